"""The page of a comparison of drivers: a verdict and a plot for each measure, all numbers, and the machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from transom_cli.driver_compare import quantity, title
from transom_cli.pages.frame import escape, page, section, table, tiles
from transom_cli.pages.plots import Bar, bar_plot

__all__ = ["drivers_page"]

Json = dict[str, Any]

#: The last of the drivers is no driver but the limit.
_LIMIT = -1


def drivers_page(comparison: Json) -> str:
    """Return the page of what `POST /drivers/compare` found."""
    drivers = comparison["Drivers"]
    heading = f"{comparison['Kind']} drivers: {', '.join(drivers[:_LIMIT])}"
    facts = {"Drivers": str(len(drivers) - 1), "Runs": str(comparison["Runs"])}
    groups = itertools.groupby(comparison["Results"], key=lambda result: result["Workload"])
    body = [
        f"<header><h1>{escape(heading)}</h1>",
        f'<p class="faint">{escape(drivers[_LIMIT])} is the limit: what the machine does without a driver.'
        " Bars are medians, dots the single runs. A driver wins where its worst run is better than the best of every"
        " other one.</p>",
        *_warnings(comparison),
        f"<p><code>{escape(_command(comparison))}</code></p></header>",
        tiles(facts),
        "<main>",
        _overview(comparison["Results"], drivers),
        *(_workload(name, list(results), drivers) for name, results in groups),
        _machine(comparison["Machine"]),
        "</main>",
    ]
    return page(heading, body)


def _warnings(comparison: Json) -> Iterator[str]:
    if comparison["Quick"]:
        yield '<p class="warning">Each workload did only a little (--quick), so these numbers mean little.</p>'


def _command(comparison: Json) -> str:
    """Return the command line that compares the same once more."""
    words = ["transom driver compare", *comparison["Drivers"][:_LIMIT]]
    if comparison["Kind"] == "exec":
        words.append("--exec")
    if comparison["Image"]:
        words += ["--image", comparison["Image"]]
    names = dict.fromkeys(result["Workload"] for result in comparison["Results"])
    words += [f"--workload {name}" for name in names]
    if comparison["Quick"]:
        words.append("--quick")
    return " ".join([*words, "--runs", str(comparison["Runs"])])


def _overview(results: list[Json], drivers: list[str]) -> str:
    """Return all medians at a glance: each with how it stands to the limit, the winners marked."""
    rows = [[_link(result), *(_glance(result, driver, drivers[_LIMIT]) for driver in drivers)] for result in results]
    note = (
        f'<p class="faint">Medians; below, each as a part of what {escape(drivers[_LIMIT])} takes or does. Bold: it'
        " wins.</p>"
    )
    headings = ("Workload", *(escape(driver) for driver in drivers))
    numeric = range(1, len(drivers) + 1)
    return section("overview", "Overview", note, table("All medians", headings, rows, numeric=numeric))


def _link(result: Json) -> str:
    return f'<a href="#workload-{escape(result["Workload"])}">{escape(title(result))}</a>'


def _glance(result: Json, driver: str, limit: str) -> str:
    found, native = result["Drivers"].get(driver), result["Drivers"].get(limit)
    if found is None:
        return "failed" if driver in result["Failures"] else "-"
    shown = escape(quantity(found["Median"], result["Unit"]))
    if result["Apart"] and result["Order"][0] == driver:
        shown = f"<strong>{shown}</strong>"
    if driver != limit and native is not None and native["Median"]:
        shown += f'<br><span class="faint">{_times(found["Median"] / native["Median"])}x</span>'
    return shown


def _times(ratio: float) -> str:
    return f"{ratio:.3g}" if ratio < 1000 else f"{ratio:.0f}"


def _workload(name: str, results: list[Json], drivers: list[str]) -> str:
    method = f'<p class="faint">By {escape(results[0]["Method"])}.</p>'
    measures = "\n".join(_measure(result, drivers) for result in results)
    return section(f"workload-{escape(name)}", name, method, f'<div class="measures">{measures}</div>')


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
    caption = f"{title(result)}: all runs"
    plot = bar_plot(bars, f"{result['About']}. {result['Verdict']}") if bars else ""
    failures = "\n".join(
        f'<p class="warning">{escape(driver)} could not do it: {escape(reason)}</p>'
        for driver, reason in result["Failures"].items()
    )
    return (
        f"<article><h3>{escape(result['Measure'])}"
        f' <span class="faint">{escape(result["About"])}; {better}</span></h3>\n'
        f'<p class="verdict">{escape(result["Verdict"])}</p>\n{failures}\n{plot}\n'
        f"<details><summary>All runs</summary>{table(caption, ('Driver', 'Median', 'Spread', 'Runs'), rows)}</details>"
        "</article>"
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
