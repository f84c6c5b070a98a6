"""`thalweg resume`: a stored job goes on."""

from __future__ import annotations

from typing import Any

import click

from .tune import finish


@click.command(short_help="Go on with a tuning job where it was left.")
@click.argument("name")
@click.option("--store", default="./thalweg.db", show_default=True, metavar="FILE", help="Where it is.")
@click.option(
    "--budget", "-b", multiple=True, metavar="N|TIME", help="A new budget (evaluations count from the start)."
)
@click.option("--jobs", "-j", type=click.IntRange(1), help="Programs that run at once.")
@click.option("--json", "as_json", is_flag=True, help="Events and the outcome as JSON lines on stdout.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the run (.png, .svg, .pdf).")
@click.option("--progress/--no-progress", default=None, help="A line that shows how far it is.")
@click.pass_context
def resume(ctx: click.Context, /, name: str, store: str, budget: tuple[str, ...], **options: Any) -> None:
    """Go on with the tuning job NAME, in the folder in which it was started (`thalweg show` lists the names)."""
    from ..apps.programs.stored import job_named

    changes: dict[str, Any] = {"budget": list(budget)} if budget else {}
    if options["jobs"]:
        changes["jobs"] = options["jobs"]
    job = job_named(store, name, changes)
    outcome = job.run(progress="json" if options["as_json"] else options["progress"])
    finish(ctx, outcome, as_json=options["as_json"], plot=options["plot"])
