"""`GET /images/{name}/layers`: what is asked of the job, and its report as JSON."""

from __future__ import annotations

from typing import Any

from transom.errors import InvalidParameter
from transom.graph.digest import Digest
from transom.graph.layer_report import (
    Advice,
    HiddenVersion,
    LayerReport,
    LayerSummary,
    NodeKind,
    Offender,
    Share,
    Step,
    TreeNode,
)
from transom.graph.model import History

ID = Digest("sha256:" + "a1" * 32)
LAYER = LayerSummary(1, ID, ID, 9, Share(1, added=2, size=300, wasted=1), 0, 1, 0)
TREE = (
    TreeNode(b"", -1, NodeKind.DIRECTORY, (Share(1, added=2, size=300, wasted=1),)),
    TreeNode(b"\xff", 0, NodeKind.FILE, (Share(1, added=1, size=1),)),
    TreeNode(b"", 0, NodeKind.REST, (), count=7),
    TreeNode(b"d", 0, NodeKind.DIRECTORY, (), closed=True),
)


def report(**more: Any) -> LayerReport:
    values: dict[str, Any] = {
        "image": ID,
        "steps": (Step(History(created_by="x"), "RUN x", LAYER), Step(History(comment="note"), "", None)),
        "visible": 299,
        "offenders": (Offender(b"/\xff", (HiddenVersion(1, 1, 2, True), HiddenVersion(2, 5, 3, False))),),
        "offender_count": 3,
        "advice": (Advice("moved", 2, 6, "do not", (b"/a",)),),
        "tree": (),
    }
    return LayerReport(**{**values, **more})


def test_numbers_of_the_query_go_to_the_job(api, engine):
    engine.results["image_layers"] = report()
    assert api.get("/images/team/app:1/layers?offenders=3&nodes=0").status == 200
    assert engine.jobs[0].parameters == {"name": "team/app:1", "offenders": 3, "nodes": 0}
    api.get("/images/app/layers")
    assert engine.jobs[1].parameters == {"name": "app"}


def test_what_is_no_number_or_out_of_range_is_refused(api, engine):
    engine.results["image_layers"] = InvalidParameter("invalid number of nodes -1")
    assert api.get("/images/app/layers?nodes=x").status == 400
    assert api.get("/images/app/layers?nodes=-1").status == 400


def test_a_report_has_its_sums_and_layers(api, engine):
    engine.results["image_layers"] = report()
    found = api.get("/images/app/layers").json
    assert {name: found[name] for name in ("Size", "VisibleSize", "WastedSize", "CompressedSize", "Efficiency")} == {
        "Size": 300,
        "VisibleSize": 299,
        "WastedSize": 1,
        "CompressedSize": 9,
        "Efficiency": 99.66,
    }
    first, second = found["Steps"]
    assert (first["Instruction"], first["Layer"]["Number"], first["Layer"]["Whiteouts"]) == ("RUN x", 1, 1)
    assert (second["Comment"], second["Layer"]) == ("note", None)
    assert found["Offenders"] == [
        {
            "Path": "/\\xff",
            "PathBase64": "L/8=",
            "WastedSize": 6,
            "Versions": [
                {"Layer": 1, "Size": 1, "HiddenBy": 2, "How": "deleted"},
                {"Layer": 2, "Size": 5, "HiddenBy": 3, "How": "replaced"},
            ],
        }
    ]
    assert found["Advice"] == [{"Kind": "moved", "Layer": 2, "Size": 6, "Text": "do not", "Paths": ["/a"]}]
    assert "Tree" not in found


def test_a_tree_names_directories_by_their_place_in_the_list(api, engine):
    engine.results["image_layers"] = report(tree=TREE)
    assert api.get("/images/app/layers").json["Tree"] == [
        {
            "Name": "",
            "Parent": -1,
            "Kind": "directory",
            "Shares": [{"Layer": 1, "Added": 2, "Size": 300, "WastedSize": 1}],
        },
        {
            "Name": "\\xff",
            "NameBase64": "/w==",
            "Parent": 0,
            "Kind": "file",
            "Shares": [{"Layer": 1, "Added": 1, "Size": 1}],
        },
        {"Name": "", "Parent": 0, "Kind": "rest", "Shares": [], "Count": 7},
        {"Name": "d", "Parent": 0, "Kind": "directory", "Shares": [], "Closed": True},
    ]
