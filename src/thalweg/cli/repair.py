"""`thalweg repair`: a sound file of a damaged one."""

from __future__ import annotations

import json

import click

from ..core.errors import StoreError

LOST = 1


@click.command(
    short_help="Make a sound store of a damaged one.",
    epilog="Exit codes: 0 every row is there, 1 some are lost (which is said), 2 it could not be done.",
)
@click.argument("store")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def repair(ctx: click.Context, store: str, dry_run: bool, as_json: bool) -> None:
    """Make a sound store of the damaged file STORE.

    Rows are read page by page and checked by their checksums; a single wrong bit is turned back. The new file takes the
    place of the old one when it is complete and verified; the old one is kept as STORE.damaged-1, rows that are damaged
    beyond repair as STORE.damaged-1.rows.jsonl. Nobody may have the store open.
    """
    from ..parts.stores.health import examine
    from ..parts.stores.repair import repair as make_sound

    if "://" in store and not store.startswith("sqlite:///"):
        problems = [finding for finding in examine(store) if finding.level == "problem"]
        for finding in problems:
            click.echo(f"{finding.topic}: {finding.text}: {finding.cure}")
        if problems:
            raise StoreError("a server's database is repaired by its own means: restore it from a backup")
        click.echo("nothing to repair")
        return
    report = make_sound(store.removeprefix("sqlite:///"), dry_run)
    if as_json:
        shown = {
            "path": str(report.path),
            "kept": report.kept,
            "corrected": report.corrected,
            "absent": report.absent,
            "set_aside": len(report.set_aside),
            "made": report.made,
            "notes": report.notes,
            "original": str(report.original or ""),
            "rows": str(report.aside or ""),
        }
        click.echo(json.dumps(shown))
    else:
        click.echo("\n".join(report.lines()))
        if dry_run:
            click.echo("nothing was changed (--dry-run)")
    ctx.exit(LOST if report.lost else 0)
