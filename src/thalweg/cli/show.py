"""`thalweg show`: what is in a store."""

from __future__ import annotations

import json

import click

from ..core.errors import ProblemError
from .reading import opened


@click.command(short_help="List the studies of a store, or show one.")
@click.argument("name", required=False)
@click.option("--store", default="./thalweg.db", show_default=True, metavar="FILE", help="Where to look.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--explain", is_flag=True, help="Also what happened, in words.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the study (.png, .svg, .pdf).")
def show(name: str | None, store: str, as_json: bool, explain: bool, plot: str | None) -> None:
    """List the studies of a store; with a NAME show what that study has found."""
    from ..apps.programs.stored import outcome_named
    from ..engine.load import load

    with opened(store) as found:
        if name is None:
            rows = [(item, load(found, item).result.evaluations) for item in found.names()]
            if as_json:
                click.echo(json.dumps([{"name": item, "evaluations": count} for item, count in rows]))
            else:
                click.echo("\n".join(f"{item}  {count} evaluations" for item, count in rows) or "no studies yet")
            return
        result = load(found, name).result
    try:
        outcome = outcome_named(store, name)
    except ProblemError:  # not a tuning job, or one of another folder: the study speaks for itself
        click.echo(json.dumps(result.rows(), default=str) if as_json else result.table())
    else:
        click.echo(json.dumps(outcome.as_dict(), default=str) if as_json else outcome.text())
    if result.success and result.noisy and not as_json:
        click.echo(f"\n{result.recommend().text()}")
    if explain:
        click.echo("\n" + result.explain())
    if plot:
        click.echo(f"picture: {result.plot(plot)}")
