"""What the suites say of long values that differ."""

from __future__ import annotations

import pytest

from transom.testing.comparing import difference


@pytest.mark.parametrize(
    ("found", "wanted", "said"),
    [
        (b"", b"", None),
        (b"same" * 50_000, b"same" * 50_000, None),
        (b"abc", b"abx", "at byte 2 of 3, where 3 are wanted, there is b'c', not b'x'"),
        (b"abc", b"ab", "at byte 2 of 3, where 2 are wanted, there is b'c', not b''"),
        (b"", b"a" * 100, f"at byte 0 of 0, where 100 are wanted, there is b'', not {b'a' * 40!r}"),
    ],
)
def test_the_first_difference_is_said(found: bytes, wanted: bytes, said: str | None) -> None:
    assert difference(found, wanted) == said
