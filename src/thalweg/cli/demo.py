"""`thalweg demo`: tune a real compressor here and now."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Tune a real compressor on this machine, in about a minute.")
@click.option(
    "--out", default="demo-out", show_default=True, metavar="FOLDER", help="Where text, store and picture go."
)
@click.option("--budget", "-b", default=None, metavar="N|TIME", help="Evaluations, or a time (120).")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--strategy", default=None, help="The search method (auto).")
@click.option("--progress/--no-progress", default=True, help="A line that shows how far it is.")
def demo(out: str, budget: str | None, seed: int, strategy: str | None, progress: bool) -> None:
    """Tune LZMA and PPMd on the standard library's source code, against the presets of xz and 7-Zip.

    Every trial is unpacked again and compared. It starts over each time; the store stays for `thalweg show demo`.
    """
    from ..apps.programs.demo import job

    changes = {name: item for name, item in (("budget", budget), ("strategy", strategy)) if item is not None}
    made = job(Path(out), seed=seed, **changes)
    click.echo(f"{len(made.presets)} presets first, then the search; the space:\n")
    click.echo(made.describe(samples=0).partition("presets:")[0].removeprefix("space:\n"))
    outcome = made.run(fresh=True, progress=progress)
    click.echo("\n" + outcome.text())
    picture = Path(out) / "demo.png"
    outcome.result.plot(picture)
    click.echo(f"\npicture: {picture}\nagain: thalweg show demo --store {made.store}")
