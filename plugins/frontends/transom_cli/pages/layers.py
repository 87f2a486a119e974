"""The page of an image's layers: the stack, a map of the files by size, what wastes most, and advice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transom_cli.pages.frame import escape, page, section, table, tiles
from transom_cli.units import decimal_size
from transom_cli.untrusted import printable

__all__ = ["layers_page"]

Json = dict[str, Any]

#: So many paths that waste are listed.
_WORST = 25
_HEADINGS = ("Name", "Stored", "Wasted", "Added", "Changed", "Deleted")
_NUMBERS = ("Added", "Changed", "Deleted", "Size", "WastedSize")


def layers_page(image: str, report: Json) -> str:
    """Return the page of what `GET /images/{name}/layers` answered, with a tree."""
    body = [
        '<a class="skip" href="#files-heading">Skip to the files</a>',
        f"<header><h1>Layers of {escape(image)}</h1>",
        f'<p class="faint"><code>{escape(report["Id"])}</code></p></header>',
        _summary(report),
        "<main>",
        _explorer(report),
        *([_advice(report["Advice"])] if report["Advice"] else []),
        *([_offenders(report)] if report["Offenders"] else []),
        "</main>",
    ]
    data = {"tree": [_node(node) for node in report["Tree"]]}
    return page(f"Layers of {image}", body, scripts=("treemap.js", "layers.js"), data=data)


def _summary(report: Json) -> str:
    layers = sum(step["Layer"] is not None for step in report["Steps"])
    return tiles(
        {
            "Efficiency": f"{report['Efficiency']:g}%",
            "Stored in all layers": _size(report["Size"]),
            "Visible to containers": _size(report["VisibleSize"]),
            "Wasted": _size(report["WastedSize"]),
            "Compressed": _size(report["CompressedSize"]),
            "Layers": str(layers),
        }
    )


def _explorer(report: Json) -> str:
    largest = max((step["Layer"]["Size"] for step in report["Steps"] if step["Layer"]), default=0)
    stack = "\n".join(_step(step, largest) for step in report["Steps"])
    whole = {"Size": report["Size"], "WastedSize": report["WastedSize"]}
    return f"""<section aria-label="Layers and files"><div class="columns">
<div><h2>Layers</h2><ol class="stack">
<li>{_layer_button(0, "All layers", whole, report["Size"])}</li>
{stack}
</ol></div>
<div><h2 id="files-heading" tabindex="-1">Files</h2>
<p id="shown" role="status"></p>
<div class="controls">
<label>Area: <select id="area"><option value="size">bytes stored</option>
<option value="wasted">bytes wasted</option></select></label>
<label>Only: <select id="only"><option value="">all</option><option>added</option><option>changed</option>
<option>deleted</option><option>wasted</option></select></label>
<span class="legend"><span><i style="background:var(--blue)"></i>visible</span>
<span><i style="background:var(--orange)"></i>wasted</span></span>
</div>
<nav class="crumbs" id="crumbs" aria-label="Directory"></nav>
<svg class="map" id="map" role="group" aria-label="Files by size. Arrow keys move, Enter opens, Escape goes up."></svg>
{table("Files of the directory", _HEADINGS, (), numeric=range(1, 6), identity="files")}
</div></div></section>"""


def _step(step: Json, largest: int) -> str:
    layer = step["Layer"]
    instruction = printable(step["Instruction"] or step["Comment"] or "(not known)")
    if layer is None:
        return f'<li class="empty instruction" title="{escape(instruction)}">{escape(instruction)}</li>'
    return f"<li>{_layer_button(layer['Number'], instruction, layer, largest)}</li>"


def _layer_button(number: int, text: str, sizes: Json, largest: int) -> str:
    wasted = sizes["WastedSize"]
    visible = sizes["Size"] - wasted
    head = f"Layer {number}" if number else text
    note = f", {_size(wasted)} wasted" if wasted else ""
    bars = "".join(
        f'<i{kind} style="width:{100 * part / largest:.2f}%"></i>'
        for kind, part in (("", visible), (' class="wasted"', wasted))
        if part
    )
    line = f'<span class="instruction" title="{escape(text)}">{escape(text)}</span>' if number else ""
    return (
        f'<button type="button" data-layer="{number}" aria-pressed="false">'
        f'<span class="line"><strong>{escape(head)}</strong><span>{_size(sizes["Size"])}{note}</span></span>'
        f'{line}<span class="bar" aria-hidden="true">{bars}</span></button>'
    )


def _advice(advice: list[Json]) -> str:
    items = "\n".join(
        f"<li><strong>Layer {one['Layer']}, {_size(one['Size'])}</strong>: {escape(one['Text'])}."
        f'<br><span class="path faint">{escape(printable(", ".join(one["Paths"])))}</span></li>'
        for one in advice
    )
    return section("advice", "Advice", f'<ul class="advice">\n{items}\n</ul>')


def _offenders(report: Json) -> str:
    rows = list(_offender_rows(report["Offenders"][:_WORST]))
    left = report["OffenderCount"] - len(rows)
    more = [f'<p class="faint">and {left} more</p>'] if left else []
    headings = ["Wasted", "Times", "Path", "Stored in, hidden by"]
    return section("offenders", "What wastes most", table("What wastes most", headings, rows, numeric=(0, 1)), *more)


def _offender_rows(offenders: list[Json]) -> Iterator[list[str]]:
    for offender in offenders:
        versions = "; ".join(
            f"{_size(version['Size'])} in layer {version['Layer']}, {version['How']} by layer {version['HiddenBy']}"
            for version in offender["Versions"]
        )
        yield [
            _size(offender["WastedSize"]),
            str(len(offender["Versions"])),
            f'<span class="path">{escape(printable(offender["Path"]))}</span>',
            escape(versions),
        ]


def _node(node: Json) -> list[Any]:
    """Return a node as the script reads it."""
    shares = [[share["Layer"], *(share.get(name, 0) for name in _NUMBERS)] for share in node["Shares"]]
    return [
        node["Parent"],
        printable(node["Name"]),
        node["Kind"],
        shares,
        node.get("Count", 0),
        node.get("Closed", False),
    ]


def _size(size: int) -> str:
    return decimal_size(size, 3)
