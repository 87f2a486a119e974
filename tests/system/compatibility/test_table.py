"""The page of what is here of Docker is as the code is."""

from __future__ import annotations

import pytest

from compatibility_table import PAGE, docker_commands, page
from testbed.description import DESCRIPTION


@pytest.mark.skipif(not DESCRIPTION.exists(), reason=f"{DESCRIPTION} is not there to be compared with")
def test_the_table_of_commands_and_endpoints_is_that_of_the_code(new_client: None) -> None:
    assert PAGE.read_text() == page(docker_commands()), "the page is old: run `make compatibility`"
