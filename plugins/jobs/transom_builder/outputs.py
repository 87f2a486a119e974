"""Where the result of a build goes: into the engine, to a registry, to the client as files or as an archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING

from transom.builds import BuildOutput
from transom.errors import InvalidParameter, Unsupported
from transom.graph.model import Image
from transom.graph.reference import Reference, parse_name
from transom.graph.tree_archive import write_tree
from transom_builder.attributes import flag
from transom_builder.compressions import COMPRESSION, check_compression
from transom_builder.options import BuildOptions
from transom_builder.reports import Reports
from transom_builder.workshop import Stack, Workshop

if TYPE_CHECKING:
    from transom.job import Job

__all__ = ["check_outputs", "deliver_files", "deliver_images", "keeps_image", "names_of"]

_FILES = ("local", "tar")
_ARCHIVES = ("docker", "oci")
_NOTHING = "cacheonly"
_TYPES = ("image", "registry", *_FILES, *_ARCHIVES, _NOTHING)


def check_outputs(options: BuildOptions) -> None:
    """Raise `InvalidParameter` or `Unsupported` for outputs that cannot be, before anything is done for them."""
    for output in options.outputs:
        if output.type not in _TYPES:
            raise InvalidParameter(f"invalid output type {output.type!r}: it should be one of {', '.join(_TYPES)}")
        if output.type in (*_FILES, *_ARCHIVES) and output.stream and options.session is None:
            raise InvalidParameter(f"the output {output.type} goes to the client, which has opened no session")
        if output.type in (*_FILES, "oci") and not output.stream:
            raise InvalidParameter(f"the output {output.type} needs a destination: give it a dest")
    compression = check_compression(layer_attributes(options))
    if compression is not None and compression.kind == "zstd" and not has_oci_types(options):
        raise Unsupported("layers in zstd are named by OCI's media types alone: leave out oci-mediatypes=false")
    if any(output.type == "registry" for output in options.outputs) and not names_of(options):
        raise InvalidParameter("tag is needed when pushing to registry: give one with --tag")


def keeps_image(options: BuildOptions) -> bool:
    """Return whether the result becomes an image of the engine, as it does if nobody says where it goes."""
    return not options.outputs or any(output.type not in (*_FILES, _NOTHING) for output in options.outputs)


def layer_attributes(options: BuildOptions) -> Mapping[str, str]:
    """Return what outputs say of the compression of the image's layers, which is one for all of them.

    Raises `InvalidParameter`.
    """
    given = [
        {name: output.attributes[name] for name in COMPRESSION if name in output.attributes}
        for output in options.outputs
        if output.type not in (*_FILES, _NOTHING)
    ]
    chosen = [attributes for attributes in given if attributes]
    if any(attributes != chosen[0] for attributes in chosen):
        raise InvalidParameter("the outputs of one build are one image: give all of them the same compression")
    return chosen[0] if chosen else {}


def has_oci_types(options: BuildOptions) -> bool:
    """Return whether the image's manifest has OCI's media types, and not Docker's. Raises `InvalidParameter`."""
    return all(flag(output.attributes, "oci-mediatypes", default=True) for output in options.outputs)


def names_of(options: BuildOptions) -> tuple[Reference, ...]:
    """Return the names that the image gets: its tags, and the names that outputs have."""
    names = [name for output in options.outputs for name in output.attributes.get("name", "").split(",") if name]
    parsed = [parse_name(name, "") for name in names]
    return tuple(dict.fromkeys((*options.tags, *(name for name in parsed if name is not None))))


def deliver_files(options: BuildOptions, image: Image, workshop: Workshop, reports: Reports) -> None:
    """Send the files of a result to the client that wants them."""
    for output in options.outputs:
        if output.type in _FILES:
            with reports.step("exporting to client") as step:
                with workshop.shown(Stack.of(image)) as tree, _opened(options, output) as stream:
                    size = 0
                    for piece in write_tree(tree, b"", with_root=False):
                        workshop.check()
                        stream.write(piece)
                        size += len(piece)
                step.status("copying files" if output.type == "local" else "sending tarball", size, done=True)


def deliver_images(job: Job, options: BuildOptions, image: Image, reports: Reports) -> None:
    """Send an image to the client as an archive, and to registries."""
    names = names_of(options)
    for output in options.outputs:
        if output.type in _ARCHIVES and output.stream:
            with reports.step(f"exporting to {output.type} image format"), _opened(options, output) as stream:
                saved = tuple(name.familiar for name in names) or (image.id,)
                job.child("image_save", names=saved, output=stream).run()
        elif output.type == "registry" or output.attributes.get("push") == "true":
            push(job, options, names, reports)


def push(job: Job, options: BuildOptions, names: Iterable[Reference], reports: Reports) -> None:
    """Push images by their names."""
    for name in names:
        with reports.step(f"pushing {name}") as step:
            credentials = options.credentials.get(name.domain)
            # What was not to be compressed is not.
            compress = layer_attributes(options).get("compression") != "uncompressed"
            job.child("push", step.follow, reference=name.familiar, credentials=credentials, compress=compress).run()


def _opened(options: BuildOptions, output: BuildOutput) -> IO[bytes]:
    assert options.session is not None
    return options.session.output(output.stream)
