"""`volume create`, `ls`, `inspect` and `rm`."""

from __future__ import annotations

from typing import Any

from transom_cli import values
from transom_cli.client import Client
from transom_cli.containers import collect_filters
from transom_cli.errors import CommandFailed, DaemonError, report_failures
from transom_cli.flags import BOOL, FILTER, LIST, Kind, api_command, flag
from transom_cli.inspection import FORMAT_HELP, inspect_all
from transom_cli.tables import Listing, natural_key, parse_format, quiet_format
from transom_cli.units import decimal_size

__all__ = ["LISTING", "create", "inspect", "ls", "rm", "volume_row"]

_CLUSTER_TABLE = "table {{.Name}}\t{{.Group}}\t{{.Driver}}\t{{.Availability}}\t{{.Status}}"
LISTING = Listing(
    headings={
        "Availability": "AVAILABILITY",
        "Driver": "DRIVER",
        "Group": "GROUP",
        "Name": "VOLUME NAME",
        "Scope": "SCOPE",
        "Mountpoint": "MOUNTPOINT",
        "Labels": "LABELS",
        "Links": "LINKS",
        "Size": "SIZE",
        "Status": "STATUS",
    },
    columns=("Driver", "Name"),
    raw="name: {{.Name}}\ndriver: {{.Driver}}",
)


@api_command("create", "[VOLUME]", about="Create a volume", most=1)
@flag("--driver", "-d", default="local", about="Specify volume driver name")
@flag("--label", kind=LIST._replace(parse=values.label), about="Set metadata for a volume")
@flag("--opt", "-o", kind=Kind("map", str, multiple=True), about="Set driver specific options")
def create(client: Client, arguments: list[str], *, driver: str, label: tuple[str, ...], opt: tuple[str, ...]) -> None:
    """Create a volume and print its name."""
    body = {"Driver": driver, "DriverOpts": values.key_values(opt), "Labels": values.key_values(label)}
    if arguments:
        body["Name"] = arguments[0]
    print(client.post("/volumes/create", body)["Name"])


@api_command("ls", about="List volumes")
@flag("--cluster", kind=BOOL, about="Display only cluster volumes, in columns of their own", since="1.42")
@flag("filters", "--filter", "-f", kind=FILTER, about='Provide filter values (e.g. "dangling=true")')
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--quiet", "-q", kind=BOOL, about="Only display volume names")
def ls(
    client: Client,
    _arguments: list[str],
    *,
    cluster: bool,
    filters: tuple[tuple[str, str], ...],
    template: str | None,
    quiet: bool,
) -> None:
    """Print the volumes, sorted by name."""
    if cluster and not quiet:
        # Docker's client takes no other format then.
        template = _CLUSTER_TABLE
    elif not quiet and not template:
        template = client.setting("volumesFormat")
    shown = parse_format(quiet_format(template, "{{.Name}}", "name: {{.Name}}") if quiet else template or "")
    answer = client.get("/volumes", filters=collect_filters(filters))
    for warning in answer.get("Warnings") or []:
        CommandFailed(warning).show()
    volumes = sorted(answer["Volumes"] or [], key=lambda volume: natural_key(volume["Name"]))
    shown.print(LISTING, [volume_row(volume) for volume in volumes if not cluster or "ClusterVolume" in volume])


@api_command(
    "inspect",
    "VOLUME [VOLUME...]",
    about="Display detailed information on one or more volumes",
    least=1,
    most=None,
)
@flag("template", "--format", "-f", about=FORMAT_HELP)
def inspect(client: Client, arguments: list[str], *, template: str | None) -> None:
    """Print all that is known about volumes."""
    inspect_all(arguments, lambda name: client.get_text(f"/volumes/{name}"), template or "")


@api_command(
    "rm",
    "VOLUME [VOLUME...]",
    about="Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    least=1,
    most=None,
)
@flag("--force", "-f", kind=BOOL, about="Force the removal of one or more volumes", since="1.25")
def rm(client: Client, arguments: list[str], *, force: bool) -> None:
    """Remove volumes that no container uses."""
    failures: list[CommandFailed] = []
    for name in arguments:
        try:
            client.delete(f"/volumes/{name}", force=force)
            print(name, flush=True)
        except DaemonError as failure:
            failures.append(failure)
    report_failures(failures)


def volume_row(volume: dict[str, Any]) -> dict[str, Any]:
    """Return what the fields of `--format` are for one volume."""
    labels = volume.get("Labels") or {}
    usage = volume.get("UsageData") or {}
    return {
        "Availability": "N/A",
        "Driver": volume["Driver"],
        "Group": "N/A",
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(sorted(f"{key}={value}" for key, value in labels.items())),
        "Links": str(usage.get("RefCount", "N/A")),
        "Mountpoint": volume["Mountpoint"],
        "Name": volume["Name"],
        "Scope": volume["Scope"],
        "Size": decimal_size(usage["Size"]) if usage else "N/A",
        "Status": "N/A",
    }
