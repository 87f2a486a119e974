"""The job `distribution_inspect`: what a reference stands for at its registry, without pulling it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from transom.graph.image_config import parse_config
from transom.graph.model import Platform
from transom.graph.reference import Reference
from transom.job import Job
from transom.registry import Credentials, DistributionInfo
from transom_images.connections import Patience
from transom_images.manifests import Index, Manifest, parse_manifest
from transom_images.registry import Registry

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["distribution_inspect"]


def distribution_inspect(
    engine: Engine, job: Job, *, reference: str, credentials: Credentials | None = None
) -> DistributionInfo:
    """Return the descriptor and the platforms of what a reference names. Raises what `pull` raises for a manifest."""
    wanted = Reference.parse(reference).tagged()
    with closing(Registry(wanted, engine.config, credentials, Patience(job.check))) as registry:
        fetched = registry.manifest(wanted)
        parsed = parse_manifest(fetched.content, fetched.descriptor.media_type)
        if isinstance(parsed, Index):
            platforms = tuple(entry.platform for entry in parsed.entries if entry.platform is not None)
        else:
            platforms = (_platform(registry, parsed),)
    return DistributionInfo(fetched.descriptor, platforms)


def _platform(registry: Registry, manifest: Manifest) -> Platform:
    return parse_config(registry.configuration(manifest.config)).platform
