"""`history`, `tag`, `image prune`, and what is asked of the daemon for them."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from transom_cli.platforms import parse_platform

Capture = pytest.CaptureFixture[str]
Transom = Callable[..., int]

ID = "sha256:" + "a1" * 32


def query(request: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


@pytest.fixture
def history(daemon: Any) -> None:
    daemon.on(
        "GET",
        "/images/app/history",
        [
            {
                "Id": ID,
                "Created": int(time.time()) - 7200,
                "CreatedBy": "CMD [\t" + "x" * 50,
                "Size": 0,
                "Comment": "note",
                "Tags": ["app:1"],
            },
            {
                "Id": "<missing>",
                "Created": 0,
                "CreatedBy": "x" * 45,
                "Size": 4_194_304,
                "Comment": "",
                "Tags": None,
            },
        ],
    )


def test_history_is_a_table_of_steps(history: None, transom: Transom, capfd: Capture) -> None:
    assert transom("history", "app") == 0
    assert capfd.readouterr().out.splitlines() == [
        "IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT",
        f"a1a1a1a1a1a1   2 hours ago   CMD [ {'x' * 38}…   0B        note",
        f"<missing>      N/A           {'x' * 45}   4.19MB    ",
    ]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["-q"], ["a1a1a1a1a1a1", "<missing>"]),
        (["-q", "--no-trunc"], [ID, "<missing>"]),
        (["-H=false", "--format", "{{.Size}} {{.CreatedSince}}"], ["0 ", "4194304 1970-01-01T00:00:00Z"]),
        (["--no-trunc", "--format", "{{.CreatedBy}}"], ["CMD [ " + "x" * 50, "x" * 45]),
    ],
)
def test_history_is_shown_as_it_is_wanted(
    history: None,
    transom: Transom,
    capfd: Capture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    lines: list[str],
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert transom("history", *arguments, "app") == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[1] == lines[1]
    assert shown[0].startswith(lines[0])


def test_history_as_json_has_all_fields(history: None, transom: Transom, capfd: Capture) -> None:
    assert transom("image", "history", "--format", "json", "app") == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert list(rows[0]) == ["Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"]


def test_a_platform_is_sent_as_the_api_wants_it(history: None, daemon: Any, transom: Transom) -> None:
    daemon.on("GET", "/images/app/json", {})
    assert transom("history", "--platform", "linux/arm64/v8", "app") == 0
    assert transom("image", "inspect", "--platform", "linux/amd64", "app") == 0
    assert [json.loads(query(request)["platform"]) for request in daemon.requests] == [
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
        {"architecture": "amd64", "os": "linux"},
    ]


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("arm64", {"architecture": "arm64", "os": "linux"}),
        ("windows/amd64", {"architecture": "amd64", "os": "windows"}),
        ("linux/aarch64", {"architecture": "arm64", "os": "linux"}),
        ("linux/arm/v7", {"architecture": "arm", "os": "linux", "variant": "v7"}),
        ("Linux/x86_64", {"architecture": "amd64", "os": "linux"}),
        ("linux/amd64/v1", {"architecture": "amd64", "os": "linux"}),
        ("linux/amd64/v2", {"architecture": "amd64", "os": "linux", "variant": "v2"}),
        ("linux/arm/7", {"architecture": "arm", "os": "linux", "variant": "v7"}),
        ("armhf", {"architecture": "arm", "os": "linux"}),
        ("linux/armel", {"architecture": "arm", "os": "linux", "variant": "v6"}),
        ("macos/arm64", {"architecture": "arm64", "os": "darwin"}),
        ("windows(10.0.1)/i386", {"architecture": "386", "os": "windows", "os.version": "10.0.1"}),
        ("", None),
    ],
)
def test_platforms_have_many_names(text: str, platform: dict[str, str] | None) -> None:
    assert parse_platform(text) == platform


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier'),
        ("a*", '"a*": wildcards not yet supported'),
        ("wasip1", '"wasip1": unknown operating system or architecture'),
        (
            "linux/a b",
            '"a b" is an invalid component of "linux/a b": platform specifier component must match "^[A-Za-z0-9_.-]+$"',
        ),
        (
            "/arm",
            '"" is an invalid OS component of "/arm": OSAndVersion specifier component must match'
            r' "^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.-]*)\\))?$"',
        ),
    ],
)
def test_what_is_no_platform_is_not_sent(
    history: None, daemon: Any, transom: Transom, capfd: Capture, text: str, problem: str
) -> None:
    beginnings = {
        ("history",): "invalid platform: ",
        ("image", "inspect"): "",
        ("rmi",): "",
        ("push",): f"Invalid platform {text}",
    }
    for command, beginning in beginnings.items():
        assert transom(*command, "--platform", text, "app") == 1
        assert capfd.readouterr().err == f"{beginning}{problem}: invalid argument\n"
    assert daemon.requests == []


def test_the_platforms_of_an_image_that_are_to_go_are_sent(daemon: Any, transom: Transom) -> None:
    daemon.on("DELETE", "/images/app", [])
    assert transom("rmi", "--platform", "linux/arm64,linux/386", "--platform", "amd64", "app") == 0
    [request] = daemon.requests
    assert [json.loads(text) for text in parse_qs(urlsplit(request.target).query)["platforms"]] == [
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "386", "os": "linux"},
        {"architecture": "amd64", "os": "linux"},
    ]


def test_tag_sends_the_name_and_the_tag_apart(daemon: Any, transom: Transom) -> None:
    daemon.on("POST", "/images/app:1/tag", lambda request: request.answer(status=201))
    assert transom("tag", "app:1", "host:5000/app") == 0
    assert transom("image", "tag", "app:1", "docker.io/library/app:2") == 0
    assert [query(request) for request in daemon.requests] == [
        {"repo": "host:5000/app", "tag": "latest"},
        {"repo": "app", "tag": "2"},
    ]


@pytest.mark.parametrize("name", ["App", "a@sha256:" + "0" * 64, "a:b:c"])
def test_a_name_that_no_image_can_have_is_not_sent(daemon: Any, transom: Transom, name: str) -> None:
    assert transom("tag", "app", name) == 1
    assert daemon.requests == []


def test_a_tree_of_images_is_refused(daemon: Any, transom: Transom, capfd: Capture) -> None:
    assert transom("images", "--tree") == 1
    assert "--tree is not supported" in capfd.readouterr().err
    assert daemon.requests == []


@pytest.fixture
def pruning(daemon: Any) -> None:
    report = {"ImagesDeleted": [{"Untagged": "app:1"}, {"Deleted": ID}], "SpaceReclaimed": 1_234_567}
    daemon.on("POST", "/images/prune", report)


def test_prune_asks_before_it_does_anything(
    pruning: None, daemon: Any, transom: Transom, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert transom("image", "prune") == 0
    assert capfd.readouterr().out == (
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] "
    )
    assert daemon.requests == []
    monkeypatch.setattr(sys, "stdin", io.StringIO("Y\n"))
    assert transom("image", "prune", "-a") == 0
    assert capfd.readouterr().out == (
        "WARNING! This will remove all images without at least one container associated to them.\n"
        "Are you sure you want to continue? [y/N] "
        f"Deleted Images:\nuntagged: app:1\ndeleted: {ID}\n\nTotal reclaimed space: 1.235MB\n"
    )


def test_prune_sends_its_filters(pruning: None, daemon: Any, transom: Transom) -> None:
    assert transom("image", "prune", "-f", "--filter", "until=24h", "--filter", "label!=keep") == 0
    assert transom("image", "prune", "-af") == 0
    assert [json.loads(query(request)["filters"]) for request in daemon.requests] == [
        {"until": ["24h"], "label!": ["keep"], "dangling": ["true"]},
        {"dangling": ["false"]},
    ]


def test_a_prune_that_found_nothing_says_how_much_that_is(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("POST", "/images/prune", {"ImagesDeleted": None, "SpaceReclaimed": 0})
    assert transom("image", "prune", "-f") == 0
    assert capfd.readouterr().out == "Total reclaimed space: 0B\n"
