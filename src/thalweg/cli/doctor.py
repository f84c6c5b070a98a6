"""`thalweg doctor`: is everything as it should be?"""

from __future__ import annotations

import json

import click

MARKS = {"ok": "  ok     ", "note": "  note   ", "problem": "  PROBLEM"}


@click.command(
    short_help="Examine this machine, and a store.",
    epilog="Exit codes: 0 no problem (notes are none), 1 a problem.",
)
@click.argument("store", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Only what is not ok.")
@click.pass_context
def doctor(ctx: click.Context, store: str | None, as_json: bool, quiet: bool) -> None:
    """Examine versions, libraries, cores, memory and limits; with a STORE (a file, or an address) also where it is,
    every row's checksum, its studies and who works on them. Nothing is changed.
    """
    from ..core.address import redacted
    from ..parts.stores import health
    from ..watch import machine

    found = machine.examine()
    found += health.examine(store) if store else [health.sqlite_library()]
    shown = [finding for finding in found if not quiet or finding.level != "ok"]
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in shown], indent=1))
    else:
        for level, topic, text, cure in shown:
            click.echo(f"{MARKS[level]} {topic}: {redacted(text)}")
            if cure and level != "ok":
                click.echo(f"            {redacted(cure)}")
        problems = sum(finding.level == "problem" for finding in found)
        said = f"{problems} problem{'s' * (problems > 1)}" if problems else "no problem"
        click.echo(said)
    ctx.exit(1 if any(finding.level == "problem" for finding in found) else 0)
