"""`thalweg export`: a study's trials as a table for other programs."""

from __future__ import annotations

import csv
import json
from typing import IO

import click

from .reading import opened


@click.command(short_help="Write a study's trials as CSV or JSON.")
@click.argument("name")
@click.option("--store", default="./thalweg.db", show_default=True, metavar="FILE", help="Where it is.")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--output", "-o", type=click.File("w", lazy=True), default="-", help="A file (standard output).")
def export(name: str, store: str, form: str, output: IO[str]) -> None:
    """Write the trials of study NAME, one a row: number, parameters, objectives and named results, status, error."""
    from ..engine.load import load

    with opened(store) as found:
        rows = load(found, name).result.rows()
    if form == "json":
        json.dump(rows, output, default=str, indent=1)
        output.write("\n")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(output, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
