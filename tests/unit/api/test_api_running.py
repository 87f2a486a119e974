"""What is done to containers that run: how it is asked for, and how it is answered."""

from __future__ import annotations

import pytest

from transom.containers.model import ProcessList, RestartPolicy
from transom.errors import Conflict


@pytest.mark.parametrize("job", ["pause", "unpause"])
def test_a_container_is_paused_and_goes_on(api, engine, job):
    engine.results[job] = None
    answer = api.post(f"/containers/web/{job}")
    assert (answer.status, answer.body) == (204, b"")
    assert engine.jobs[-1].parameters == {"container": "web"}


def test_a_container_is_renamed(api, engine):
    engine.results["rename"] = None
    assert api.post("/containers/web/rename?name=shop").status == 204
    assert engine.jobs[-1].parameters == {"container": "web", "name": "shop"}
    engine.results["rename"] = Conflict("taken")
    assert api.post("/containers/web/rename?name=shop").status == 409


def test_a_restart_policy_is_updated(api, engine):
    engine.results["update"] = ()
    body = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "Memory": 0, "PidsLimit": None}
    assert api.post("/containers/web/update", body).json == {"Warnings": None}
    assert engine.jobs[-1].parameters == {"container": "web", "restart": RestartPolicy("on-failure", 3)}
    api.post("/containers/web/update", {"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}})
    assert engine.jobs[-1].parameters["restart"] is None


@pytest.mark.parametrize("field", ["Memory", "NanoCpus", "CpuShares", "PidsLimit", "BlkioWeight"])
def test_an_update_of_a_limit_is_refused(api, engine, field):
    engine.results["update"] = ()
    answer = api.post("/containers/web/update", {field: 100})
    assert (answer.status, field in answer.message) == (501, True)
    assert not engine.jobs


def test_processes_are_a_table(api, engine):
    engine.results["top"] = ProcessList(("PID", "CMD"), (("1", "sleep 5"),))
    assert api.get("/containers/web/top?ps_args=-o%20pid,cmd").json == {
        "Titles": ["PID", "CMD"],
        "Processes": [["1", "sleep 5"]],
    }
    assert engine.jobs[-1].parameters == {"container": "web", "arguments": "-o pid,cmd"}
