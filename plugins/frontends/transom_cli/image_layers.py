"""`image layers`: what the layers of an image hold, what of it they waste, and how not to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, Kind, api_command, flag
from transom_cli.tables import print_table
from transom_cli.units import decimal_size
from transom_cli.untrusted import printable
from transom_cli.values import percent

__all__ = ["layers"]

PERCENT = Kind("percent", percent)
#: So many characters of an instruction are shown, and so many paths that waste.
_WIDTH = 45
_WORST = 10
#: How much is asked for: paths that waste for programs, and nodes of the tree for the page and the terminal.
_OFFENDERS = 100
_PAGE_NODES = 20_000
_TERMINAL_NODES = 100_000


@api_command("layers", "IMAGE", about="Show what the layers of an image hold, and what they waste", least=1, most=1)
@flag("least", "--fail-under", kind=PERCENT, about="Exit with 1 if the image's efficiency is less than this percentage")
@flag("page", "--html", about="Write a page to look at with a browser to a file")
@flag("as_json", "--json", kind=BOOL, about="Print all numbers as JSON")
@flag("--no-trunc", kind=BOOL, about="Don't truncate output")
@flag("--tui", kind=BOOL, about="Walk through the layers and files on the terminal")
def layers(
    client: Client,
    arguments: list[str],
    *,
    least: float | None,
    page: str | None,
    as_json: bool,
    no_trunc: bool,
    tui: bool,
) -> None:
    """Print what the layers of an image hold: as tables, as JSON, as a page, or to walk through."""
    name = arguments[0]
    if tui and (as_json or page is not None):
        raise CommandFailed("conflicting options: --tui cannot be used with --json or --html")
    if tui and not (os.isatty(0) and os.isatty(1)):
        raise CommandFailed("--tui needs a terminal: use --json or --html where there is none")
    if page is not None:
        from transom_cli.output_file import check_writable

        check_writable(page)
    nodes = _TERMINAL_NODES if tui else _PAGE_NODES if page is not None else 0
    report = client.get(f"/images/{name}/layers", offenders=_OFFENDERS, nodes=nodes)
    if page is not None:
        from transom_cli.output_file import write_output
        from transom_cli.pages.layers import layers_page

        write_output(page, [layers_page(name, report).encode()])
    if tui:
        from transom_cli.layer_browser import browse

        browse(name, report)
    elif as_json:
        _print_json(report)
    elif page is None:
        _print_report(report, truncate=not no_trunc)
    if least is not None and report["Efficiency"] < least:
        sys.stdout.flush()
        raise CommandFailed(
            f"the efficiency of {name} is {report['Efficiency']:g}%, less than the {least:g}% of --fail-under"
        )


def _numbers(layers: Iterable[int]) -> str:
    """Return numbers of layers, each once: `1, 3`."""
    return ", ".join(map(str, sorted(set(layers))))


def _print_json(report: dict[str, Any]) -> None:
    import json

    report.pop("Tree", None)
    print(json.dumps(report, indent=4, ensure_ascii=False))


def _print_report(report: dict[str, Any], truncate: bool) -> None:
    headings = ["LAYER", "SIZE", "COMPRESSED", "ADDED", "CHANGED", "DELETED", "WASTED", "CREATED BY"]
    print_table([headings, *(_row(step, truncate) for step in report["Steps"])])
    print(
        f"\nEfficiency: {report['Efficiency']:g}% ({decimal_size(report['Size'], 3)} in all layers,"
        f" {decimal_size(report['VisibleSize'], 3)} of it visible, {decimal_size(report['WastedSize'], 3)} wasted)"
    )
    if report["Offenders"]:
        print()
        worst = report["Offenders"][:_WORST]
        print_table([["WASTED", "TIMES", "STORED IN", "HIDDEN BY", "PATH"], *map(_offender, worst)])
        left = report["OffenderCount"] - len(worst)
        if left:
            print(f"and {left} more")
    if report["Advice"]:
        print("\nAdvice:")
        for advice in report["Advice"]:
            print(f"- layer {advice['Layer']}, {decimal_size(advice['Size'], 3)}: {advice['Text']}")
            print(f"  such as {', '.join(printable(path) for path in advice['Paths'])}")


def _row(step: dict[str, Any], truncate: bool) -> list[str]:
    instruction = printable(step["Instruction"] or step["Comment"])
    if truncate and len(instruction) > _WIDTH:
        instruction = f"{instruction[: _WIDTH - 1]}…"
    layer = step["Layer"]
    if layer is None:
        return ["-", "0B", "", "", "", "", "", instruction]
    return [
        str(layer["Number"]),
        decimal_size(layer["Size"], 3),
        decimal_size(layer["CompressedSize"], 3),
        *(str(layer[name]) for name in ("Added", "Changed", "Deleted")),
        decimal_size(layer["WastedSize"], 3),
        instruction,
    ]


def _offender(offender: dict[str, Any]) -> list[str]:
    versions = offender["Versions"]
    return [
        decimal_size(offender["WastedSize"], 3),
        str(len(versions)),
        _numbers(version["Layer"] for version in versions),
        _numbers(version["HiddenBy"] for version in versions),
        printable(offender["Path"]),
    ]
