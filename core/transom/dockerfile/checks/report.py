"""Findings as `build --check` shows them."""

from __future__ import annotations

from collections.abc import Sequence

from transom.dockerfile.checks.rules import Finding
from transom.dockerfile.parse import Dockerfile
from transom.dockerfile.source import snippet

__all__ = ["render"]


def render(findings: Sequence[Finding], dockerfile: Dockerfile) -> str:
    """Return how many findings there are and each with its rule, its page and its lines."""
    if not findings:
        return "Check complete, no warnings found.\n"
    count = "1 warning has" if len(findings) == 1 else f"{len(findings)} warnings have"
    return f"Check complete, {count} been found!\n" + "".join(_shown(finding, dockerfile) for finding in findings)


def _shown(finding: Finding, dockerfile: Dockerfile) -> str:
    page = f" - {finding.url}" if finding.url else ""
    lines = snippet(dockerfile.name, dockerfile.lines, finding.location)
    return f"\nWARNING: {finding.rule}{page}\n{finding.detail}\n{lines}\n"
