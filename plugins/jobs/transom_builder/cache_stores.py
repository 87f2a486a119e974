"""The places of caches: what `--cache-from` and `--cache-to` say, checked before anything is done for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from transom.builds import CacheStore
from transom.errors import InvalidParameter, Unsupported
from transom.graph.reference import Reference
from transom_builder.attributes import flag
from transom_builder.compressions import COMPRESSION, check_compression
from transom_builder.options import BuildOptions

__all__ = ["check_stores", "reference_of"]

#: What each type of cache has besides its place.
_EXPORTS: Final[Mapping[str, tuple[str, ...]]] = {
    "inline": ("mode",),
    "registry": ("ref", "mode", "image-manifest", "oci-mediatypes", "ignore-error", *COMPRESSION),
    "local": ("stream", "mode", "image-manifest", "oci-mediatypes", "ignore-error", *COMPRESSION),
}
_IMPORTS: Final[Mapping[str, tuple[str, ...]]] = {
    "inline": (),
    "registry": ("ref",),
    "local": ("stream", "digest", "tag"),
}
_MODES: Final = ("min", "max")


def check_stores(options: BuildOptions) -> None:
    """Raise `InvalidParameter` or `Unsupported` for places of caches that cannot be."""
    for store in options.cache_from:
        _check(options, store, _IMPORTS, "imported from")
    for store in options.cache_to:
        _check(options, store, _EXPORTS, "exported to")
        mode = store.attributes.get("mode", "min")
        if mode not in _MODES:
            raise InvalidParameter(f"invalid mode {mode!r} of a cache: it should be min or max")
        if store.type == "inline" and mode == "max":
            raise Unsupported(
                "an image has the cache of its own steps, which is mode=min: give max to the type registry"
            )
        for name in ("image-manifest", "oci-mediatypes"):
            if not flag(store.attributes, name, default=True):
                raise Unsupported(f"a cache is exported as an OCI image manifest: leave out {name}=false")
        flag(store.attributes, "ignore-error")
        check_compression(store.attributes)


def _check(options: BuildOptions, store: CacheStore, known: Mapping[str, tuple[str, ...]], verb: str) -> None:
    if store.type not in known:
        raise Unsupported(f"a cache cannot be {verb} the type {store.type!r}: there are {', '.join(known)}")
    for name in store.attributes:
        if name not in known[store.type]:
            raise Unsupported(
                f"the attribute {name} of a cache of the type {store.type} is not supported: leave it out"
            )
    if store.type == "registry":
        reference_of(store)
    if store.type == "local" and (options.session is None or not store.attributes.get("stream")):
        raise InvalidParameter("a cache of the type local is the client's, which has opened no session")


def reference_of(store: CacheStore) -> Reference:
    """Return where a cache is in a registry. Raises `InvalidParameter`."""
    reference = store.attributes.get("ref", "")
    if not reference:
        raise InvalidParameter(f"ref is needed for the {store.type} cache: give it with ref=NAME")
    return Reference.parse(reference).tagged()
