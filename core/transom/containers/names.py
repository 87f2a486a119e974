"""Names of containers: their rules, and the ones that are made up for containers that were given none."""

from __future__ import annotations

import re
import secrets

from transom.errors import InvalidParameter

__all__ = ["check_name", "make_id", "make_name"]

_FORM = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")

_QUALITIES = (
    "amber ample astute bold brave bright brisk calm candid clever cosy crisp daring deft eager earnest fair fleet fond"
    " frank fresh gentle glad golden grand hardy hearty honest humble jolly keen kind lively loyal lucid mellow merry"
    " mild modest neat nimble noble patient placid plucky polite proud quick quiet ready robust serene sharp silent"
    " sleek smart snug solid spry stable steady stout sturdy sunny swift tidy tranquil trim trusty upright vivid warm"
    " wise witty zesty"
).split()
_CRAFT = (
    "ark barge bark brig canoe caravel catboat clipper cog coracle cutter dhow dinghy dory felucca ferry frigate galley"
    " gig gondola hulk ironclad junk kayak ketch launch lighter longship lugger packet pinnace pram prau punt raft"
    " sampan schooner scow shallop skiff sloop smack tartane tender trawler trimaran trireme tug umiak whaler wherry"
    " xebec yacht yawl"
).split()


def make_id() -> str:
    """Return a new ID: 64 hexadecimal digits, of which the first twelve are not all decimal.

    An ID that looks like a number would be taken for one by programs that get it as a host name.
    """
    while True:
        identity = secrets.token_hex(32)
        if not identity[:12].isdecimal():
            return identity


def make_name() -> str:
    """Return a name that is easy to say: a quality, a boat, and a number."""
    return f"{secrets.choice(_QUALITIES)}_{secrets.choice(_CRAFT)}{secrets.randbelow(100)}"


def check_name(name: str) -> str:
    """Return a container's name without the slash that clients may put before it. Raises `InvalidParameter`."""
    bare = name.removeprefix("/")
    if not _FORM.match(bare):
        raise InvalidParameter(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return bare
