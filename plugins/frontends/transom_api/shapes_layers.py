"""The layers of an image as `GET /images/{name}/layers` shows them, an endpoint of our own."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transom.graph.layer_report import Advice, LayerReport, LayerSummary, Offender, Share, Step, TreeNode

__all__ = ["layer_report"]

Json = dict[str, Any]


def layer_report(report: LayerReport) -> Json:
    """Return all about an image's layers, with `Tree` only if there is one."""
    shape: Json = {
        "Id": report.image,
        "Size": report.size,
        "CompressedSize": sum(layer.compressed for layer in report.layers),
        "VisibleSize": report.visible,
        "WastedSize": report.wasted,
        # Rounded down, so that only what wastes nothing has 100.
        "Efficiency": math.floor(report.efficiency * 100) / 100,
        "Steps": [_step(step) for step in report.steps],
        "Offenders": [_offender(offender) for offender in report.offenders],
        "OffenderCount": report.offender_count,
        "Advice": [_advice(advice) for advice in report.advice],
    }
    if report.tree:
        shape["Tree"] = [_node(node) for node in report.tree]
    return shape


def _step(step: Step) -> Json:
    return {
        "Created": step.history.created,
        "CreatedBy": step.history.created_by,
        "Comment": step.history.comment,
        "Instruction": step.instruction,
        "Layer": None if step.layer is None else _layer(step.layer),
    }


def _layer(layer: LayerSummary) -> Json:
    return {
        "Number": layer.number,
        "DiffId": layer.diff_id,
        "Digest": layer.blob,
        "CompressedSize": layer.compressed,
        "Size": layer.share.size,
        "WastedSize": layer.share.wasted,
        "HidesSize": layer.hides,
        "Added": layer.share.added,
        "Changed": layer.share.changed,
        "Deleted": layer.share.deleted,
        "Whiteouts": layer.whiteouts,
        "OpaqueDirectories": layer.opaque,
    }


def _offender(offender: Offender) -> Json:
    return {
        **_named("Path", offender.path),
        "WastedSize": offender.size,
        "Versions": [
            {
                "Layer": version.layer,
                "Size": version.size,
                "HiddenBy": version.hidden_by,
                "How": "deleted" if version.deleted else "replaced",
            }
            for version in offender.versions
        ],
    }


def _advice(advice: Advice) -> Json:
    return {
        "Kind": advice.kind,
        "Layer": advice.layer,
        "Size": advice.size,
        "Text": advice.text,
        "Paths": [_text(path) for path in advice.paths],
    }


def _node(node: TreeNode) -> Json:
    shape: Json = {
        **_named("Name", node.name),
        "Parent": node.parent,
        "Kind": node.kind.value,
        "Shares": [_share(share) for share in node.shares],
    }
    if node.count:
        shape["Count"] = node.count
    if node.closed:
        shape["Closed"] = True
    return shape


def _share(share: Share) -> Json:
    """Return a share without what is 0 in it, as most of it is in most of them."""
    numbers = {
        "Added": share.added,
        "Changed": share.changed,
        "Deleted": share.deleted,
        "Size": share.size,
        "WastedSize": share.wasted,
    }
    return {"Layer": share.layer, **{name: number for name, number in numbers.items() if number}}


def _named(field: str, name: bytes) -> Json:
    """Return a name as text, and exactly, in base64, where it is no UTF-8."""
    text = _text(name)
    return {field: text} if text.encode() == name else {field: text, f"{field}Base64": base64.b64encode(name).decode()}


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
