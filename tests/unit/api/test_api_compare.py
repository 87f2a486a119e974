"""`POST /drivers/compare`: what is asked of the job, and its lines of progress."""

from __future__ import annotations

import json

import pytest


def test_a_comparison_reports_and_ends_with_its_numbers(api, engine):
    def compare(job, **_):
        job.progress("Run 1 of 1", current=1, total=2)
        job.tell(Kind="graph")

    engine.results["driver_compare"] = compare
    body = {"Drivers": ["a", "b"], "Image": "app", "Workloads": ["disk"], "Runs": 1, "Quick": True}
    answer = api.post("/drivers/compare", body)
    first, last = map(json.loads, answer.body.splitlines())
    assert first["status"] == "Run 1 of 1"
    assert last == {"aux": {"Kind": "graph"}}
    assert engine.jobs[0].parameters == {
        "drivers": ("a", "b"),
        "kind": "graph",
        "image": "app",
        "workloads": ("disk",),
        "runs": 1,
        "quick": True,
    }


@pytest.mark.parametrize("body", [{"Drivers": "a"}, {"Drivers": ["a"], "Runs": "many"}, {"Drivers": ["a"], "Image": 1}])
def test_what_has_another_type_is_refused(api, engine, body):
    engine.results["driver_compare"] = None
    assert api.post("/drivers/compare", body).status == 400
    assert engine.jobs == []
