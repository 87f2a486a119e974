"""The page of a comparison of drivers: a verdict and a plot for each measure, all numbers, and the machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from transom_cli.driver_compare import quantity
from transom_cli.pages.frame import escape, page, section, table, tiles
from transom_cli.pages.plots import Bar, bar_plot

__all__ = ["drivers_page"]

Json = dict[str, Any]

#: The last of the drivers is no driver but the limit.
_LIMIT = -1


def drivers_page(comparison: Json) -> str:
    """Return the page of what `POST /drivers/compare` found."""
    drivers = comparison["Drivers"]
    title = f"{comparison['Kind']} drivers: {', '.join(drivers[:_LIMIT])}"
    facts = {"Drivers": str(len(drivers) - 1), "Runs": str(comparison["Runs"]), "Image": comparison["Image"] or "none"}
    groups = itertools.groupby(comparison["Results"], key=lambda result: result["Workload"])
    body = [
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="faint">{escape(drivers[_LIMIT])} is the limit: what the machine does without a driver.'
        " Bars are medians, dots the single runs.</p>",
        f"<p><code>{escape(_command(comparison))}</code></p></header>",
        tiles(facts),
        "<main>",
        *(_workload(name, list(results), drivers) for name, results in groups),
        _machine(comparison["Machine"]),
        "</main>",
    ]
    return page(title, body)


def _command(comparison: Json) -> str:
    """Return the command line that compares the same once more."""
    words = ["transom driver compare", *comparison["Drivers"][:_LIMIT]]
    if comparison["Kind"] == "exec":
        words.append("--exec")
    if comparison["Image"]:
        words += ["--image", comparison["Image"]]
    names = dict.fromkeys(result["Workload"] for result in comparison["Results"])
    words += [f"--workload {name}" for name in names]
    return " ".join([*words, "--runs", str(comparison["Runs"])])


def _workload(name: str, results: list[Json], drivers: list[str]) -> str:
    method = f'<p class="faint">By {escape(results[0]["Method"])}.</p>'
    return section(f"workload-{escape(name)}", name, method, *(_measure(result, drivers) for result in results))


def _measure(result: Json, drivers: list[str]) -> str:
    unit = result["Unit"]
    found = result["Drivers"]
    bars = [
        Bar(
            driver,
            found[driver]["Median"],
            found[driver]["Values"],
            quantity(found[driver]["Median"], unit),
            driver == drivers[_LIMIT],
        )
        for driver in drivers
        if driver in found
    ]
    better = "more is better" if result["MoreIsBetter"] else "less is better"
    rows = list(_rows(result, drivers))
    caption = f"{result['Workload']}, {result['Measure']}: all runs"
    plot = bar_plot(bars, f"{result['About']}. {result['Verdict']}") if bars else ""
    return (
        f'<h3>{escape(result["Measure"])} <span class="faint">{escape(result["About"])}; {better}</span></h3>\n'
        f'<p class="verdict">{escape(result["Verdict"])}</p>\n{plot}\n'
        f"<details><summary>All runs</summary>{table(caption, ('Driver', 'Median', 'Spread', 'Runs'), rows)}</details>"
    )


def _rows(result: Json, drivers: list[str]) -> Iterator[list[str]]:
    unit = result["Unit"]
    for driver in drivers:
        found = result["Drivers"].get(driver)
        if found is None:
            yield [escape(driver), "-", "-", escape(result["Failures"].get(driver, "not measured"))]
            continue
        values = ", ".join(quantity(value, unit) for value in found["Values"])
        yield [escape(driver), quantity(found["Median"], unit), f"{100 * found['Spread']:.0f}%", escape(values)]


def _machine(machine: Json) -> str:
    rows = [[escape(name), escape(value)] for name, value in machine.items()]
    return section("machine", "The machine", table("The machine", ("What", "Is"), rows))
