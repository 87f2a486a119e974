"""Handlers for builds, and what they read of a request."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from transom.builds import BuildOutput, CacheStore
from transom.containers.model import Ulimit
from transom.errors import InvalidParameter, NotFound, Unsupported
from transom_api.endpoints import parse_extra_hosts
from transom_api.fields import Fields, parse_object
from transom_api.parameters import Query, parse_credentials
from transom_api.transfer import body_of, report_progress

if TYPE_CHECKING:
    from aiohttp import web

    from transom.registry import Credentials
    from transom_api.sessions import Session

__all__ = ["LIMITS", "post_build", "read_registry_config"]

#: What limits the containers of steps, as numbers and as words.
LIMITS = ("cpuperiod", "cpuquota", "cpushares", "memory", "memswap", "cgroupparent", "cpusetcpus", "cpusetmems")
_NUMBERS = LIMITS[:5]
#: No limit.
_NONE = (None, 0, "")
#: Docker Hub's name among the credentials of a configuration, and elsewhere.
_HUB = ("index.docker.io", "docker.io")


async def post_build(request: web.Request) -> web.StreamResponse:
    """POST /build: make an image of the body, or of what is elsewhere, and tell how far that is."""
    query = Query(request)
    _refuse(query)
    return await report_progress(
        request,
        "build",
        input=body_of(request),
        patient=True,
        dockerfile=query.text("dockerfile"),
        hidden=query.text("hidden"),
        remote=_remote(query),
        tags=query.texts("t"),
        target=query.text("target"),
        build_args=_strings(query, "buildargs", with_null=True),
        labels=_strings(query, "labels"),
        no_cache=query.flag("nocache"),
        no_cache_filter=query.texts("nocachefilter"),
        pull=query.flag("pull"),
        platform=query.text("platform"),
        network=query.text("networkmode"),
        allow=query.texts("allow"),
        add_hosts=parse_extra_hosts(Fields({"ExtraHosts": list(query.texts("extrahosts"))})),
        shm_size=_size(query, "shmsize"),
        ulimits=_ulimits(query),
        cache_from=_stores(query, "cachefrom"),
        cache_to=_stores(query, "cacheto"),
        outputs=_outputs(query),
        contexts=_strings(query, "buildcontexts"),
        session=_session(request, query),
        credentials=read_registry_config(request),
        progress=_progress(query),
        quiet=query.flag("q"),
        remove=query.flag("rm", default=True),
        force_remove=query.flag("forcerm"),
        check=query.flag("check"),
        graphdriver=query.text("graphdriver"),
        execdriver=query.text("execdriver"),
    )


def _refuse(query: Query) -> None:
    """Raise `Unsupported` or `InvalidParameter` for what no build can have here."""
    version = query.text("version")
    if version == "2":
        raise Unsupported("this engine does not speak BuildKit's protocol: leave out version=2 (DOCKER_BUILDKIT=0)")
    if version not in ("", "1"):
        raise InvalidParameter(f'invalid version "{version}"')
    if query.flag("squash"):
        raise Unsupported("the option squash is not supported by this engine: leave it out")
    for name in LIMITS:
        value = query.number(name) if name in _NUMBERS else query.text(name)
        if value not in _NONE and (name, value) != ("memswap", -1):
            raise Unsupported(f"the option {name} is not supported by this engine: leave it out")
    if query.text("isolation") not in ("", "default"):
        raise InvalidParameter(f'invalid isolation: "{query.text("isolation")}"')
    if _json(query, "securityopt", list):
        raise InvalidParameter("The daemon on this platform does not support setting security options on build")


def _remote(query: Query) -> str:
    remote = query.text("remote")
    if remote == "client-session":
        raise Unsupported("a context that comes over a session is BuildKit's: send it as the body of the request")
    return remote


def _progress(query: Query) -> str:
    progress = query.text("progress") or "docker"
    if progress not in ("docker", "steps"):
        raise InvalidParameter(f"invalid value {progress!r} for progress: it should be docker or steps")
    return progress


def _size(query: Query, name: str) -> int:
    size = query.number(name) or 0
    if size < 0:
        raise InvalidParameter(f"invalid value {size} for {name}: it should be a number of bytes")
    return size


def _json(query: Query, name: str, kind: type[Any]) -> Any:
    """Return a parameter that is JSON, an empty one of its kind (`list` or `dict`) if it is absent or null."""
    text = query.text(name)
    try:
        value = orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"invalid value for {name}: it should be JSON: {error}") from None
    if value is not None and not isinstance(value, kind):
        raise InvalidParameter(f"invalid value for {name}: it should be {'a list' if kind is list else 'an object'}")
    return value or kind()


def _strings(query: Query, name: str, *, with_null: bool = False) -> dict[str, str]:
    """Return a JSON object of strings; where values may be null, as those of arguments, they count as absent."""
    value = _json(query, name, dict)
    if with_null:
        value = {key: item for key, item in value.items() if item is not None}
    return Fields({name: value}).mapping(name)


def _ulimits(query: Query) -> tuple[Ulimit, ...]:
    given = Fields({"ulimits": _json(query, "ulimits", list)}).objects("ulimits")
    return tuple(Ulimit(limit.string("Name"), limit.integer("Soft"), limit.integer("Hard")) for limit in given)


def _stores(query: Query, name: str) -> tuple[CacheStore, ...]:
    """Return the places of a cache: each is the name of an image, or an object of attributes with a `type`."""
    stores = []
    for item in _json(query, name, list):
        if isinstance(item, str):
            stores.append(CacheStore("registry", {"ref": item}))
            continue
        attributes = Fields({name: item}).mapping(name)
        stores.append(CacheStore(attributes.pop("type", "registry"), attributes))
    return tuple(stores)


def _outputs(query: Query) -> tuple[BuildOutput, ...]:
    """Return the outputs as `[{"Type", "Attrs", "Stream"}]`, the last for what goes to the client."""
    given = Fields({"outputs": _json(query, "outputs", list)}).objects("outputs")
    return tuple(
        BuildOutput(output.string("Type"), output.mapping("Attrs"), output.string("Stream")) for output in given
    )


def _session(request: web.Request, query: Query) -> Session | None:
    """Return the session that a build belongs to. Raises `NotFound`."""
    identity = query.text("session")
    if not identity:
        return None
    session: Session | None = request.app["sessions"].get(identity)
    if session is None:
        raise NotFound(f"no such session: {identity}")
    return session


def read_registry_config(request: web.Request) -> dict[str, Credentials]:
    """Return the credentials of `X-Registry-Config` by the name of a registry, as references have it.

    Raises `InvalidParameter`, without showing the content.
    """
    header = request.headers.get("X-Registry-Config", "")
    if not header:
        return {}
    try:
        content = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
        configurations = parse_object(content)
        return {_registry_name(key): parse_credentials(configurations.object(key)) for key in orjson.loads(content)}
    except (InvalidParameter, ValueError):
        raise InvalidParameter(
            "invalid X-Registry-Config header: it should be a JSON object of credentials in base64url encoding"
        ) from None


def _registry_name(key: str) -> str:
    """Return a registry's name from what it is called in a configuration: `https://NAME[:PORT]/v1/`, or the name."""
    name = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return _HUB[1] if name in _HUB else name
