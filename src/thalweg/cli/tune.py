"""`thalweg tune`: options to settings, settings to a job, the job's outcome to a text and an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .main import INTERRUPTED

if TYPE_CHECKING:
    from ..apps.programs.outcome import Outcome

IMPROVED, NO_IMPROVEMENT = 0, 3


@click.command(
    short_help="Find the best parameters of a command-line program.",
    epilog="Exit codes: 0 better than every preset, 3 not better, 2 something is wrong with the job, 130 interrupted.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[FILE.toml] [-- PROGRAM ARGUMENTS...]")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="TEXT",
    help="A parameter: order:int[2,64], "
    "rate:float[1e-4,1e-1]:log, mf:cat[hc3,bt4], flag:bool, 'pb:int[0,4] if method==lzma2'.",
)
@click.option(
    "--minimize",
    multiple=True,
    metavar="NAME=EXPR",
    help="bytes=size({out}), cpu, score=last_number(stdout) ...; several make a Pareto table.",
)
@click.option("--maximize", multiple=True, metavar="NAME=EXPR", help="The same, for what should be large.")
@click.option("--report", multiple=True, metavar="NAME=EXPR", help="Measured and recorded, not optimised.")
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="EXPR",
    help="Between parameters (lc+lp<=4), or of what is measured (rss<=200e6).",
)
@click.option(
    "--default",
    "presets",
    multiple=True,
    metavar="POINT",
    help="A preset, tried first: 'order=6 mem=16' or 'name: order=6 mem=16'.",
)
@click.option(
    "--verify", metavar="COMMAND", help="Must succeed after a run; what it writes to {back} must equal the input."
)
@click.option("--original", metavar="FILE", help="The input that {back} must equal, where it is not obvious.")
@click.option("--prepare", metavar="COMMAND", help="Run before each run.")
@click.option("--cleanup", metavar="COMMAND", help="Run after each trial.")
@click.option(
    "--instances", multiple=True, metavar="PATTERN", help="Files for {instance}, for instance 'corpus/*.txt'."
)
@click.option("--over", type=click.Choice(["sum", "mean", "max", "geomean"]), help="How metrics of instances combine.")
@click.option(
    "--repeats", type=click.IntRange(1), help="Runs per trial: times count by the smallest, others by the median."
)
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="A further environment variable.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="What a run may use: memory=2GB, cpu_s=60, processes=64, file_size=1GB, open_files=100, address_space=4GB.",
)
@click.option("--timeout", "eval_timeout", metavar="auto|SECONDS", help="For one evaluation.")
@click.option("--jobs", "-j", type=click.IntRange(1), help="Programs that run at once (1).")
@click.option("--budget", "-b", multiple=True, metavar="N|TIME", help="200, 10m, or both (100).")
@click.option("--store", metavar="FILE", help="Where everything is remembered (./thalweg.db).")
@click.option("--name", help="The study's name (a hash of the job, so the same command goes on where it was).")
@click.option("--fresh", is_flag=True, help="Forget what this study has, and start over.")
@click.option("--strategy", help="The search method (auto): a name, or one with options: 'de(population=40)'.")
@click.option("--seed", type=int, help="(0)")
@click.option("--output", metavar="NAME", help="What {out} is called in the commands that are printed (out).")
@click.option("--dry-run", is_flag=True, help="Show the space, exact command lines and the metrics; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Events and the outcome as JSON lines on stdout.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the run (.png, .svg, .pdf).")
@click.option("--progress/--no-progress", default=None, help="A line that shows how far it is.")
@click.pass_context
def tune(ctx: click.Context, /, words: tuple[str, ...], **options: Any) -> None:
    """Find the best parameters of a command-line program.

    Placeholders: {name} a parameter, {out} a fresh output file, {instance} the input, {folder}, {number}. An argument
    that mentions only inactive parameters vanishes; {?...} is a part that does. No shell: arguments are passed as they
    are, `> {out}` and `< {instance}` as last arguments redirect.

    \b
    thalweg tune -p 'level:int[1,5]' --minimize 'bytes=size({out})' --minimize cpu \\
        --default level=5 -b 20 -- zpaq a {out} corpus.txt -m{level}
    """
    from ..apps.programs.job import TuningJob

    flags = {name: options.pop(name) for name in ("fresh", "dry_run", "as_json", "plot", "progress")}
    job = TuningJob.of(settings_of(words, options))
    if flags["dry_run"]:
        click.echo(job.describe())
        return
    progress = "json" if flags["as_json"] else flags["progress"]
    outcome = job.run(fresh=flags["fresh"], progress=progress)
    finish(ctx, outcome, as_json=flags["as_json"], plot=flags["plot"])


def settings_of(words: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """A file's settings, overruled by those options that were given."""
    from ..apps.programs import spec

    settings: dict[str, Any] = {}
    if words and words[0].endswith(".toml") and (len(words) == 1 or Path(words[0]).is_file()):
        settings, words = spec.load(words[0]), words[1:]
    given = {name: value for name, value in options.items() if value not in (None, (), False)}
    if "environment" in given:
        given["environment"] = dict(item.split("=", 1) if "=" in item else (item, "") for item in given["environment"])
    if words:
        given["command"] = list(words)
    return {**settings, **given}


def finish(ctx: click.Context, outcome: Outcome, *, as_json: bool, plot: str | None) -> None:
    """Print the outcome, draw the picture, exit with the outcome's code."""
    if plot:
        path = outcome.result.plot(plot)
    if as_json:
        click.echo(json.dumps(outcome.as_dict(), default=str))
    else:
        click.echo(outcome.text())
        if plot:
            click.echo(f"picture: {path}")
    if "interrupt" in outcome.stop_reason:
        ctx.exit(INTERRUPTED)
    ctx.exit(IMPROVED if outcome.improved else NO_IMPROVEMENT)
