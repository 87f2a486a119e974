"""Changes to what an image says of its containers: the instructions of `commit --change` and `import --change`.

    config = apply_changes(image.config, ('ENV PATH=$PATH:/opt/bin', 'CMD ["serve", "--all"]', 'EXPOSE 80/tcp'))

The instructions are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME
and WORKDIR, written as in a Dockerfile; each sees what those before it did. Variables stand for those of the
environment that the configuration has by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from transom.dockerfile.evaluation import StageState, advance
from transom.dockerfile.grammar import interpret
from transom.dockerfile.lines import read_lines
from transom.dockerfile.source import DockerfileError, check_characters
from transom.errors import InvalidParameter
from transom.graph.model import RunConfig

__all__ = ["apply_changes"]

_ALLOWED: Final = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME",
    "WORKDIR",
)  # fmt: skip


def apply_changes(config: RunConfig, changes: Sequence[str]) -> RunConfig:
    """Return a configuration with changes applied, in their order; a change may have several lines.

    Raises `InvalidParameter`, which names the instruction that is wrong.
    """
    try:
        read = read_lines(tuple(line for change in changes for line in change.split("\n")), "--change")
    except DockerfileError as error:
        # The lines are on the user's screen already.
        raise InvalidParameter(error.problem) from None
    for line in read.lines:
        if line.name not in _ALLOWED:
            raise InvalidParameter(f"{line.keyword} is not a valid change command")
        check_characters(line.text)
    variables = (entry.partition("=") for entry in config.env)
    state = StageState(config, {name: value for name, equals, value in variables if equals})
    for line in read.lines:
        state, _ = advance(state, interpret(line))
    return state.config
