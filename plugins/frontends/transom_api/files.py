"""Handlers for the files of containers."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from transom_api.bodies import parse_image_config
from transom_api.jobs import run
from transom_api.parameters import Query, read_content
from transom_api.router import answer, empty
from transom_api.times import format_time
from transom_api.transfer import TAR, run_with_body, send_output

if TYPE_CHECKING:
    from transom.containers.paths import PathStat
    from transom.drivers.graph import Change

__all__ = [
    "get_container_archive",
    "get_container_changes",
    "get_container_export",
    "head_container_archive",
    "post_commit",
    "put_container_archive",
]

_STAT = "X-Docker-Container-Path-Stat"
#: Go's bits of a file's mode (io/fs, FileMode) for those that Unix has.
_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


async def head_container_archive(request: web.Request) -> web.StreamResponse:
    """HEAD /containers/{id}/archive."""
    return web.Response(headers=await _stat(request))


async def get_container_archive(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/archive."""
    headers = await _stat(request)
    return await send_output(request, "archive_get", headers=headers, container=_name(request), path=_path(request))


async def put_container_archive(request: web.Request) -> web.StreamResponse:
    """PUT /containers/{id}/archive."""
    query = Query(request)
    await run_with_body(
        request,
        "archive_put",
        container=_name(request),
        path=_path(request),
        keep_kinds=query.flag("noOverwriteDirNonDir"),
        take_owner=query.flag("copyUIDGID"),
    )
    return empty(200)


async def get_container_changes(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/changes."""
    found: list[Change] = await run(request, "changes", container=_name(request))
    return answer([{"Path": _text(change.path), "Kind": int(change.kind)} for change in found] or None)


async def get_container_export(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/export."""
    return await send_output(request, "export", content_type="application/octet-stream", container=_name(request))


async def post_commit(request: web.Request) -> web.StreamResponse:
    """POST /commit."""
    query = Query(request)
    image = await run(
        request,
        "commit",
        container=query.text("container"),
        repository=query.text("repo"),
        tag=query.text("tag"),
        author=query.text("author"),
        comment=query.text("comment"),
        pause=query.flag("pause") if query.text("pause") else True,
        changes=query.texts("changes"),
        config=parse_image_config(await read_content(request)),
    )
    return answer({"Id": image}, 201)


async def _stat(request: web.Request) -> dict[str, str]:
    """Return the headers that say what is at the path: JSON in base64."""
    found: PathStat = await run(request, "archive_stat", container=_name(request), path=_path(request))
    shape = {
        "name": _text(found.name),
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": format_time(found.mtime),
        "linkTarget": _text(found.target),
    }
    return {_STAT: base64.b64encode(orjson.dumps(shape)).decode(), "Content-Type": TAR}


def go_mode(mode: int) -> int:
    """Return a type and permissions (`st_mode`) as Go's FileMode has them."""
    bits = sum(value for bit, value in _BITS.items() if mode & bit)
    return _KINDS.get(stat.S_IFMT(mode), 0) | bits | mode & 0o777


def _text(path: bytes) -> str:
    """Return a path for JSON, in which bytes that are no UTF-8 have no form."""
    return path.decode(errors="replace")


def _name(request: web.Request) -> str:
    return request.match_info["id"]


def _path(request: web.Request) -> bytes:
    return Query(request).path("path")
