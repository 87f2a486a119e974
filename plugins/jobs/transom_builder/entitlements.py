"""What steps may do that others may not, where the client allows it: the machine's network, all privileges."""

from __future__ import annotations

from typing import Final

from transom.dockerfile.instructions import Run
from transom.dockerfile.stages import Plan
from transom.errors import InvalidParameter
from transom_builder.options import BuildOptions

__all__ = ["check_allowed", "check_entitlements"]

_NETWORK: Final = "network.host"
_SECURITY: Final = "security.insecure"


def check_allowed(options: BuildOptions) -> None:
    """Raise `InvalidParameter` for an entitlement that there is not."""
    for name in options.allow:
        if name not in (_NETWORK, _SECURITY):
            raise InvalidParameter(f"unknown entitlement {name}: there are {_NETWORK} and {_SECURITY}")


def check_entitlements(options: BuildOptions, plan: Plan) -> None:
    """Raise `InvalidParameter` for a step that needs what the client does not allow.

    A client that gives all steps the machine's network allows it.
    """
    allowed = {*options.allow, *([_NETWORK] if options.network == "host" else [])}
    for stage in plan.stages:
        for instruction in stage.instructions:
            for need in _needs(instruction) if isinstance(instruction, Run) else ():
                if need not in allowed:
                    problem = f"{need} is not allowed: allow it with --allow {need}"
                    raise plan.dockerfile.error(problem, instruction)


def _needs(run: Run) -> tuple[str, ...]:
    network = (_NETWORK,) if run.network == "host" else ()
    return (*network, _SECURITY) if run.security == "insecure" else network
