"""The API at a glance: method, path, handler. Each is served with and without `/v1.NN` in front."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from transom_api import (
    containers,
    execs,
    files,
    image_archives,
    images,
    logs,
    networks,
    prunes,
    refusals,
    registries,
    stats,
    system,
    volumes,
    websockets,
)

__all__ = ["REFUSED", "ROUTES"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/_ping", system.get_ping),
    ("HEAD", "/_ping", system.get_ping),
    ("GET", "/version", system.get_version),
    ("GET", "/info", system.get_info),
    ("GET", "/events", system.get_events),
    ("GET", "/drivers", system.get_drivers),
    ("POST", "/auth", registries.post_auth),
    ("GET", "/distribution/{name:.+}/json", registries.get_distribution),
    ("GET", "/containers/json", containers.get_containers_json),
    ("POST", "/containers/create", containers.post_containers_create),
    ("GET", "/containers/{id:.+}/json", containers.get_container_json),
    ("GET", "/containers/{id:.+}/logs", logs.get_container_logs),
    ("POST", "/containers/{id:.+}/start", containers.post_container_start),
    ("POST", "/containers/{id:.+}/stop", containers.post_container_stop),
    ("POST", "/containers/{id:.+}/restart", containers.post_container_restart),
    ("POST", "/containers/{id:.+}/kill", containers.post_container_kill),
    ("POST", "/containers/{id:.+}/wait", containers.post_container_wait),
    ("POST", "/containers/{id:.+}/pause", containers.post_container_pause),
    ("POST", "/containers/{id:.+}/unpause", containers.post_container_unpause),
    ("POST", "/containers/{id:.+}/rename", containers.post_container_rename),
    ("POST", "/containers/{id:.+}/update", containers.post_container_update),
    ("GET", "/containers/{id:.+}/top", containers.get_container_top),
    ("GET", "/containers/{id:.+}/stats", stats.get_container_stats),
    ("POST", "/containers/{id:.+}/resize", containers.post_container_resize),
    ("POST", "/containers/{id:.+}/attach", containers.post_container_attach),
    ("GET", "/containers/{id:.+}/attach/ws", websockets.get_container_attach_ws),
    ("POST", "/containers/{id:.+}/exec", execs.post_container_exec),
    ("HEAD", "/containers/{id:.+}/archive", files.head_container_archive),
    ("GET", "/containers/{id:.+}/archive", files.get_container_archive),
    ("PUT", "/containers/{id:.+}/archive", files.put_container_archive),
    ("GET", "/containers/{id:.+}/changes", files.get_container_changes),
    ("GET", "/containers/{id:.+}/export", files.get_container_export),
    ("DELETE", "/containers/{id:.+}", containers.delete_container),
    ("POST", "/commit", files.post_commit),
    ("POST", "/exec/{id}/start", execs.post_exec_start),
    ("POST", "/exec/{id}/resize", execs.post_exec_resize),
    ("GET", "/exec/{id}/json", execs.get_exec_json),
    ("POST", "/images/create", images.post_images_create),
    ("POST", "/images/{name:.+}/push", registries.post_images_push),
    ("GET", "/images/json", images.get_images_json),
    ("GET", "/images/search", registries.get_images_search),
    ("GET", "/images/{name:.+}/json", images.get_image_json),
    ("GET", "/images/{name:.+}/history", images.get_images_history),
    ("POST", "/images/{name:.+}/tag", images.post_image_tag),
    ("POST", "/images/prune", images.post_images_prune),
    ("POST", "/images/load", image_archives.post_images_load),
    ("GET", "/images/get", image_archives.get_images_get),
    ("GET", "/images/{name:.+}/get", image_archives.get_image_get),
    ("DELETE", "/images/{name:.+}", images.delete_images),
    ("GET", "/volumes", volumes.get_volumes),
    ("POST", "/volumes/create", volumes.post_volumes_create),
    ("GET", "/volumes/{name}", volumes.get_volume),
    ("DELETE", "/volumes/{name}", volumes.delete_volume),
    ("GET", "/networks", networks.get_networks),
    ("GET", "/networks/{id}", networks.get_network),
    ("POST", "/containers/prune", prunes.post_containers_prune),
    ("POST", "/volumes/prune", prunes.post_volumes_prune),
    ("POST", "/networks/prune", prunes.post_networks_prune),
    ("POST", "/build/prune", prunes.post_build_prune),
    ("GET", "/system/df", prunes.get_system_df),
    ("GET", "/plugins", refusals.get_plugins),
    ("GET", "/plugins/{name:.+}/json", refusals.get_plugin),
)

#: What Docker has and this engine has not, whatever a request says.
REFUSED: tuple[tuple[str, str, Handler], ...] = (
    ("*", "/plugins/{rest:.+}", refusals.refuse_plugin_change),
    ("POST", "/swarm/init", refusals.refuse_swarm_start),
    ("POST", "/swarm/join", refusals.refuse_swarm_start),
    ("POST", "/swarm/leave", refusals.refuse_swarm_leave),
    ("*", "/{kind:swarm|nodes|services|tasks|secrets|configs}", refusals.refuse_swarm),
    ("*", "/{kind:swarm|nodes|services|tasks|secrets|configs}/{rest:.+}", refusals.refuse_swarm),
    ("PUT", "/volumes/{name}", refusals.refuse_swarm),
    ("POST", "/session", refusals.refuse_builder_session),
    ("POST", "/grpc", refusals.refuse_builder_session),
)
