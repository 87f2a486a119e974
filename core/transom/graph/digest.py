"""Digests: names that are computed from content (OCI image specification, descriptor.md, "Digests")."""

from __future__ import annotations

import re

from transom.errors import InvalidParameter

__all__ = ["Digest", "chain_ids"]

_LENGTHS = {"sha256": 64, "sha512": 128}
_FORM = re.compile(r"(sha256|sha512):([0-9a-f]+)\Z")


class Digest(str):
    """A digest in its usual form, `sha256:` and 64 hexadecimal digits. It is a string, so it goes anywhere."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return `text` as a digest. Raises `InvalidParameter` for another form or an unknown algorithm."""
        match = _FORM.match(text)
        if match is None or len(match[2]) != _LENGTHS[match[1]]:
            raise InvalidParameter(f"invalid digest {text!r}: it should be sha256: and 64 hexadecimal digits")
        return cls(text)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Return the SHA-256 digest of content."""
        import hashlib  # loads OpenSSL, which the command line does not need

        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def algorithm(self) -> str:
        """The name of the hash function, as hashlib knows it."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hexadecimal digits."""
        return self.partition(":")[2]


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """Return, per layer, the digest that names it together with all layers below.

    OCI image specification, config.md, "Layer ChainID".
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(Digest.of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
