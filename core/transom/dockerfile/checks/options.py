"""Which rules are followed: the directive `# check=skip=NAME,NAME;experimental=NAME;error=true`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from transom.dockerfile.checks.rules import Finding, Rule
from transom.dockerfile.stages import Plan
from transom.errors import InvalidParameter

__all__ = ["Options", "options_of"]

#: The build argument that stands in for the directive.
_ARGUMENT: Final = "BUILDKIT_DOCKERFILE_CHECK"
_ALL: Final = "all"
_TRUE: Final = ("1", "t", "true")
_FALSE: Final = ("0", "f", "false")


@dataclass(frozen=True)
class Options:
    """`skip` and `experimental` are names of rules, `all` for all of them; `error` makes findings fail the build."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> Options:
        """Return what a directive says. Raises `InvalidParameter`."""
        values: dict[str, str] = {}
        for part in text.split(";") if text.strip() else ():
            name, equals, value = (word.strip() for word in part.partition("="))
            if not equals or name not in ("skip", "experimental", "error") or name in values:
                raise InvalidParameter(f'invalid check option "{part if not equals else name}"')
            values[name] = value
        error = values.get("error", "false").lower()
        if error not in _TRUE + _FALSE:
            raise InvalidParameter(f'failed to parse check option "error={error}": it is neither true nor false')
        return cls(_names(values.get("skip", "")), _names(values.get("experimental", "")), error in _TRUE)

    def follows(self, rule: Rule) -> bool:
        """Return whether a rule is followed."""
        if rule.experimental:
            return rule.name in self.experimental or _ALL in self.experimental
        return rule.name not in self.skip and _ALL not in self.skip

    def refuse(self, findings: Sequence[Finding]) -> None:
        """Raise `InvalidParameter` if there are findings, and they are errors."""
        if self.error and findings:
            rules = ", ".join(sorted({finding.rule for finding in findings}))
            raise InvalidParameter(f"lint violation found for rules: {rules}")


def options_of(plan: Plan) -> Options:
    """Return what a Dockerfile, or the client in its place, says. Raises `DockerfileError`."""
    text = plan.build_args.get(_ARGUMENT, plan.dockerfile.directives.get("check", ""))
    try:
        return Options.parse(text)
    except InvalidParameter as error:
        raise plan.dockerfile.error(f"failed to parse check options: {error}") from error


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
