"""What registries say as Docker's API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transom.graph.model import Platform
    from transom.registry import DistributionInfo, SearchResult

__all__ = ["distribution_details", "search_result"]

Json = dict[str, Any]


def search_result(result: SearchResult) -> Json:
    """Return one repository that a search has found."""
    return {
        "star_count": result.stars,
        "is_official": result.official,
        "name": result.name,
        "is_automated": False,
        "description": result.description,
    }


def distribution_details(info: DistributionInfo) -> Json:
    """Return the descriptor and the platforms of what a reference names."""
    descriptor = info.descriptor
    return {
        "Descriptor": {
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest,
            "size": descriptor.size,
        },
        "Platforms": [_platform(platform) for platform in info.platforms],
    }


def _platform(platform: Platform) -> Json:
    shape = {"architecture": platform.architecture, "os": platform.os}
    return shape | ({"variant": platform.variant} if platform.variant else {})
