"""The commands of the kit. They need no daemon."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["new", "test"]


@click.command("driver new", short_help="Write the project of a new driver, ready to install and to test")
@click.argument("kind", metavar="KIND")
@click.argument("name", metavar="NAME")
@click.argument("directory", metavar="[DIRECTORY]", required=False, type=click.Path(path_type=Path))
def new(kind: str, name: str, directory: Path | None) -> None:
    """Write the project of a new driver: a package with its entry point, a driver that works, and its tests.

    KIND is graph, exec, volume, network or log. NAME is what users will choose the driver by. DIRECTORY is made; it is
    transom-NAME where it is not given.
    """
    from transom_kit.scaffold import write_project

    made = write_project(kind, name, directory or Path(f"transom-{name}"))
    click.echo(f"The {kind} driver {name} is in {made}. To go on:")
    click.echo(f"  pip install --editable '{made}[test]'")
    click.echo(f"  transom driver test {name}")


@click.command("driver test", short_help="Say whether a driver keeps the contract of its kind")
@click.argument("name", metavar="NAME")
@click.option("--kind", metavar="KIND", default="", help="Look among drivers of one kind")
@click.option("--opt", "-o", "options", multiple=True, metavar="NAME=VALUE", help="An option of what the tests make")
@click.option("--storage", type=click.Path(path_type=Path), help="A directory on the file system that the driver wants")
@click.option("--verbose", is_flag=True, help="Show what pytest says")
def test(name: str, kind: str, options: tuple[str, ...], storage: Path | None, verbose: bool) -> None:
    """Run the conformance suite of a driver's kind on it, in a place of its own, and print what passed and what failed.

    The exit status is 0 if the driver keeps its contract, 1 if not, and 2 if that cannot be found out.
    """
    from transom_kit.trial import run_suite

    pairs = dict(option.partition("=")[::2] for option in options)
    if "" in pairs or any("=" not in option for option in options):
        raise click.UsageError("an option is written NAME=VALUE")
    trial = run_suite(name, kind, pairs, storage, verbose=verbose)
    click.echo(trial.report())
    if trial.failed:
        raise click.exceptions.Exit(1)
