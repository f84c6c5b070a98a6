"""`thalweg token-economy`: search, simulate and report a token economy; options to settings, nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..core.errors import ProblemError
from .reading import opened

if TYPE_CHECKING:
    from ..apps.token_economy.outcome import Outcome

Command = TypeVar("Command", bound=Callable[..., Any])
KINDS = ("pow", "pos", "dpos", "poa")


def _size(command: Command) -> Command:
    """How much is simulated, and how it is shown."""
    for option in (
        click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it (.png, .svg, .pdf)."),
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option("--engine", type=click.Choice(["numpy", "numba"]), default="numpy", show_default=True),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
        click.option("--days", type=click.IntRange(1), default=365, show_default=True, help="Of a run."),
        click.option("--paths", type=click.IntRange(1), default=500, show_default=True, help="Per configuration."),
    ):
        command = option(command)
    return command


@click.group(name="token-economy", short_help="Search and simulate the parameters of a token economy.")
def token_economy() -> None:
    """Search and simulate the parameters of a token economy.

    A stylised model: it compares configurations under its own assumptions and predicts no token's price.
    """


@token_economy.command()
@click.option("--consensus", type=click.Choice([*KINDS, "any"]), default="pow", show_default=True)
@click.option("--iterations", type=click.IntRange(1), default=30, show_default=True, help="Evaluations, in all.")
@click.option("--initial-points", type=click.IntRange(1), help="Of them, before the search (5, or all where fewer).")
@click.option("--preset", type=click.Choice(["core", "consensus", "full"]), default="core", show_default=True,
              help="4 parameters, those and what only some kinds have, or 15.")  # fmt: skip
@click.option("--pareto", is_flag=True, help="All scores side by side, no weights.")
@click.option("--weight", "weights", multiple=True, metavar="SCORE=NUMBER", help="price_stability=0.3, and so on.")
@click.option("--risk", type=click.Choice(["mean", "cvar"]), default="mean", show_default=True,
              help="What a candidate is worth: the mean over paths, or over the worst twentieth.")  # fmt: skip
@click.option("--strategy", help="The search method (bayesian; with --pareto nsga2).")
@click.option("--store", metavar="FILE", help="Where everything is remembered; the same command goes on from there.")
@click.option("--name", help="The study's name (made of the settings).")
@click.option("--progress/--no-progress", default=None, help="A line that shows how far it is.")
@_size
def optimize(weights: tuple[str, ...], as_json: bool, plot: str | None, progress: bool | None, **options: Any) -> None:
    """Find the best parameters; measure them again on noise that the search has not seen.

    \b
    thalweg token-economy optimize --consensus pos --iterations 50 --initial-points 10
    """
    from ..apps.programs.job import address_of
    from ..apps.token_economy.search import Search

    _drawable(plot)
    options["weights"] = {name: _number(name, text) for name, text in _pairs(weights, "weight")} or None
    options["initial_points"] = options["initial_points"] or min(5, options["iterations"])
    options["store"] = None if options["store"] is None else address_of(options["store"])
    outcome = Search.of(options).run(progress=False if as_json else progress)
    _show(outcome, as_json, plot)


@token_economy.command()
@click.option("--consensus", type=click.Choice(KINDS), default="pow", show_default=True)
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=NUMBER", help="block_reward=2; the rest: defaults."
)
@_size
def simulate(
    consensus: str,
    params: tuple[str, ...],
    paths: int,
    days: int,
    seed: int,
    engine: Any,
    as_json: bool,
    plot: str | None,
) -> None:
    """Simulate one configuration: every metric with its error, quantiles and the mean of the worst twentieth.

    \b
    thalweg token-economy simulate --consensus pos -p block_reward=2 -p staking_apy=0.08
    """
    from ..apps.token_economy.metrics import METRICS
    from ..apps.token_economy.parameters import columns_of
    from ..apps.token_economy.report import CAVEAT, metrics_table
    from ..apps.token_economy.simulator import Simulator

    _drawable(plot)
    given = {_owned(name, consensus): _number(name, text) for name, text in _pairs(params, "param")}
    row = {"consensus": consensus, **given}
    simulator = Simulator(paths, days, seed, engine=engine)
    summary = simulator.evaluate(columns_of([row]))
    if as_json:
        told = {
            name: {"mean": float(summary.mean[name][0]), "error": _known(summary.error[name][0]),
                   "worst": float(summary.worst[name][0]), "unit": metric.unit}
            for name, metric in METRICS.items()
        }  # fmt: skip
        click.echo(json.dumps({"params": row, "metrics": told, "performance": summary.performance()}))
    else:
        click.echo(metrics_table(summary, 0, f"{paths} paths x {days} days") + f"\n\n{CAVEAT}")
    if plot:
        from ..apps.token_economy.plots import draw_simulation

        path = draw_simulation(simulator, row, plot)
        click.echo(f"picture: {path}", err=as_json)


@token_economy.command()
@click.argument("name", required=False)
@click.option("--store", required=True, metavar="FILE", help="Where the search is remembered.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it (.png, .svg, .pdf).")
def report(name: str | None, store: str, as_json: bool, plot: str | None) -> None:
    """Report a stored search (NAME, or the only one there); nothing is searched."""
    from ..apps.token_economy.outcome import judge
    from ..apps.token_economy.search import stored
    from ..engine.load import load

    _drawable(plot)
    with opened(store) as found:
        search, own = stored(found, name)
        result = load(found, own).result
        result.stop_reason = result.stop_reason or "as stored"
    _show(judge(search, result), as_json, plot)


def _show(outcome: Outcome, as_json: bool, plot: str | None) -> None:
    click.echo(json.dumps(outcome.as_dict()) if as_json else outcome.text())
    if plot:
        from ..apps.token_economy.plots import draw_outcome

        click.echo(f"picture: {draw_outcome(outcome, plot)}", err=as_json)


def _pairs(given: tuple[str, ...], what: str) -> list[tuple[str, str]]:
    for text in given:
        if "=" not in text:
            raise ProblemError(f"--{what}: NAME=NUMBER is expected, got {text!r}")
    return [(name.strip(), value) for name, _, value in (text.partition("=") for text in given)]


def _known(value: float) -> float | None:
    """JSON has no NaN: the error of a single path is not known."""
    return None if math.isnan(value) else float(value)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ProblemError(f"{name}: a number is expected, got {text!r}")
    return value


def _drawable(plot: str | None) -> None:
    """A picture that cannot be drawn is said before anything is computed."""
    if plot:
        from ..watch.plots import blank, checked

        checked(plot)
        blank("drawing a token economy")


def _owned(name: str, consensus: str) -> str:
    """`name`, which `consensus` has."""
    from ..apps.token_economy.consensus import CONSENSUS

    having = [kind for kind, own in CONSENSUS.items() if name in own.children]
    if having and consensus not in having:
        raise ProblemError(f"{name}: only {' and '.join(having)} have it, and the consensus is {consensus}")
    return name
