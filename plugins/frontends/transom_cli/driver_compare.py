"""`driver compare`: drivers measured beside each other, by workloads, as a table, numbers for programs, and a page."""

from __future__ import annotations

import json
import sys
from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, INT, LIST, api_command, flag
from transom_cli.tables import print_table
from transom_cli.units import binary_size

__all__ = ["compare", "quantity", "title"]

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


@api_command(
    "compare", "DRIVER [DRIVER...]", about="Measure drivers beside each other, by workloads", least=1, most=None
)
@flag("execs", "--exec", kind=BOOL, about="Compare exec drivers instead of graph drivers")
@flag("page", "--html", about="Write a page with plots to look at with a browser to a file")
@flag("--image", about="Image whose layers are unpacked and whose containers are run")
@flag("numbers", "--json", about="Write all numbers to a file, or to standard output for '-'")
@flag("--quick", kind=BOOL, about="Do a little of each workload, to see whether all works; the numbers mean little")
@flag("--runs", kind=INT, default=3, about="Do everything so often")
@flag("workloads", "--workload", kind=LIST, about="Do this workload only (may be given several times)")
def compare(
    client: Client,
    arguments: list[str],
    *,
    execs: bool,
    page: str | None,
    image: str | None,
    numbers: str | None,
    quick: bool,
    runs: int,
    workloads: tuple[str, ...],
) -> None:
    """Have the daemon measure, and print what it found."""
    from transom_cli.output_file import check_writable, write_output
    from transom_cli.progress import show

    for path in (page, numbers if numbers != "-" else None):
        if path is not None:
            check_writable(path)
    body = {
        "Drivers": arguments,
        "Kind": "exec" if execs else "graph",
        "Image": image or "",
        "Workloads": list(workloads),
        "Runs": runs,
        "Quick": quick,
    }
    found: list[dict[str, Any]] = []
    content = [json.dumps(body).encode()]
    response = client.upload("POST", "/drivers/compare", content, content_type="application/json")
    show(response, sys.stderr, quiet=not sys.stderr.isatty(), on_aux=found.append)
    if not found:
        raise CommandFailed("the daemon ended before the comparison did")
    if numbers is not None and numbers != "-":
        write_output(numbers, [_text(found[0]).encode()])
    if page is not None:
        from transom_cli.pages.drivers import drivers_page

        write_output(page, [drivers_page(found[0]).encode()])
    if numbers == "-":
        print(_text(found[0]), end="")
    else:
        _print_table(found[0])


def _text(comparison: dict[str, Any]) -> str:
    return json.dumps(comparison, indent=4, ensure_ascii=False) + "\n"


def quantity(value: float, unit: str) -> str:
    """Return a value as people read it: seconds, bytes, or bytes per second."""
    if unit == "s":
        factor, name = next(((factor, name) for factor, name in _UNITS if value >= factor), _UNITS[-1])
        return f"{value / factor:.3g}{name}"
    return binary_size(value) + unit.removeprefix("B")


def _print_table(comparison: dict[str, Any]) -> None:
    drivers, found = comparison["Drivers"], comparison["Results"]
    headings = ["WORKLOAD", *(driver.upper() for driver in drivers), "BEST"]
    rows = ([title(result), *(_cell(result, driver) for driver in drivers), _best(result)] for result in found)
    print_table([headings, *rows])
    if comparison["Quick"]:
        print("Quick: each workload did only a little, so these numbers mean little.", file=sys.stderr)
    for result in found:
        for driver, reason in result["Failures"].items():
            print(f"{driver} could not do {title(result)}: {reason}", file=sys.stderr)


def title(result: dict[str, Any]) -> str:
    """Return what a measure is called beside those of other workloads."""
    workload, measure = result["Workload"], result["Measure"]
    return str(workload) if measure in workload else f"{workload} {measure}"


def _best(result: dict[str, Any]) -> str:
    """Return who wins and by how much, or who cannot be told apart."""
    order, ahead = result["Order"], result["Ahead"]
    if len(order) < 2:
        return "-"
    if not result["Apart"]:
        return f"{order[0]} ≈ {order[1]}"
    return order[0] if ahead is None else f"{order[0]}, {ahead:.3g}x"


def _cell(result: dict[str, Any], driver: str) -> str:
    """Return a median and how far the values are from each other."""
    found = result["Drivers"].get(driver)
    if found is None:
        return "-"
    return f"{quantity(found['Median'], result['Unit'])} ±{50 * found['Spread']:.0f}%"
