"""`thalweg list`: how the studies of a store stand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import StoreError
from .reading import opened

if TYPE_CHECKING:
    from ..core.store import Store


@click.command("list", short_help="How the studies of a store stand, and who works on them.")
@click.argument("store", default="./thalweg.db")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_studies(store: str, as_json: bool) -> None:
    """How the studies of STORE (a file, or an address; ./thalweg.db) stand: trials that ended, that are open, and that
    were lost by members that died; the budget; members that live."""
    with opened(store) as found:
        rows = [_row(found, name) for name in found.names()]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("no studies yet")
        return
    shown = [["study", "ended", "open", "lost", "budget", "members"]]
    for row in rows:
        if row["error"]:
            shown.append([row["name"], row["error"], "", "", "", ""])
            continue
        budget = "-" if row["budget"] is None else f"{row['used']}/{row['budget']}"
        shown.append([row["name"], *(str(row[key]) for key in ("ended", "open", "lost")), budget, str(row["members"])])
    widths = [max(len(line[i]) for line in shown) for i in range(6)]
    for line in shown:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _row(store: Store, name: str) -> dict[str, Any]:
    """The figures of one study."""
    from ..core.batch import Status

    try:
        study = store.open(name).id
        standing, members = store.standing(study), store.members(study)
        trials, _ = store.since(study)
    except StoreError as error:
        return {"name": name, "error": str(error)}
    alive = {member.token for member in members if member.alive}
    waiting = [trial for trial in trials if trial.status < Status.DONE]
    return {
        "name": name,
        "ended": len(trials) - len(waiting),
        "open": len(waiting),
        "lost": sum(trial.owner is not None and trial.owner not in alive for trial in waiting),
        "used": standing.used,
        "budget": standing.budget,
        "members": len(alive),
        "error": "",
    }
