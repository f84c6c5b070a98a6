"""`thalweg backtest`: tune trading rules on past prices, and say what is left of them on prices tuning never saw."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import ProblemError

if TYPE_CHECKING:
    from ..apps.market_backtest.plan import Plan

FAILED = 1


@click.group(short_help="Tune trading rules on past prices; judge them on prices tuning never saw.")
def backtest() -> None:
    """Tune trading rules on past prices, and say what is left of them on prices that tuning never saw.

    A SYMBOL is AAPL, FB, GOOG, IBM or MSFT (extra [market]), a CSV file with open, high, low and close, or made prices:
    synthetic:NAME. Past prices promise nothing about future ones.
    """


def _shared(command: Any) -> Any:
    """Options of everything that trades."""
    options = [
        click.option("--forecaster", default="ewma", show_default=True, metavar="NAME",
                     help="ewma, range, cross, 'ewma(half_life=5)', or package.module:Class."),
        click.option("--fee", default=0.0005, show_default=True, help="Of each side of a trade, a share."),
        click.option("--slippage", default=0.0, show_default=True, help="The same, for worse prices."),
        click.option("--optimistic", is_flag=True, help="Fills that assume the best order inside a bar (a warning)."),
        click.option("--set", "fixed", multiple=True, metavar="NAME=VALUE", help="A parameter's value: hold=1."),
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@backtest.command(short_help="Tune and walk forward, one process per symbol.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--workers", "-j", default=1, show_default=True, type=click.IntRange(1), help="Symbols at once.")
@click.option("--store", default="./backtest.db", show_default=True, metavar="FILE", help="Where trials are kept.")
@click.option("--max-evals", "-b", default=300, show_default=True, type=click.IntRange(1), help="Rules per fold.")
@click.option("--folds", default=5, show_default=True, type=click.IntRange(1), help="Tests, one after the other.")
@click.option("--train", type=click.IntRange(1), help="Bars that train the first fold (half of them).")
@click.option("--rolling", is_flag=True, help="Later folds train on that many bars too, not on all before.")
@click.option("--purge", type=click.IntRange(0), help="Bars between training and test (the longest holding time).")
@click.option("--embargo", default=5, show_default=True, type=click.IntRange(0), help="Further bars between them.")
@click.option("--min-trades", default=30, show_default=True, type=click.IntRange(0), help="In training, at least.")
@click.option("--param", "-p", "params", multiple=True, metavar="TEXT",
              help="What is varied, instead of the default: 'hold:int[1,5]', 'side:cat[long,both]'.")  # fmt: skip
@click.option("--strategy", default="de", show_default=True, help="The search method.")
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--output-dir", metavar="FOLDER", help="For SYMBOL_backtest.csv and .json.")
@_shared
@click.pass_context
def optimize(ctx: click.Context, /, symbols: tuple[str, ...], **options: Any) -> None:
    """Tune a rule for every SYMBOL on training bars, test it on later ones, and report both with what luck explains.

    The same command goes on where it was. A symbol that fails does not stop the others (exit code 1 at the end).
    """
    from ..apps.market_backtest.rules import OptimisticFills
    from ..apps.market_backtest.runner import run_symbols
    from ..apps.programs.job import address_of

    quiet = options["as_json"]
    plan = _plan(options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimisticFills)  # the report says it
        summary = run_symbols(
            symbols, plan, workers=options["workers"], store=address_of(options["store"]),
            output=options["output_dir"], tell=lambda line: click.echo(line, err=True),
        )  # fmt: skip
    if quiet:
        reports = {name: report.as_dict() for name, report in summary.reports.items()}
        click.echo(json.dumps({"reports": reports, "errors": summary.errors}, default=str))
    else:
        for report in summary.reports.values():
            click.echo(report.text() + "\n")
        if len(symbols) > 1 or summary.errors:
            click.echo(summary.text())
    ctx.exit(FAILED if summary.errors else 0)


@backtest.command(short_help="What given parameters would have done.")
@click.argument("symbol")
@click.option("--trades", "listed", is_flag=True, help="Also every trade.")
@_shared
def run(symbol: str, listed: bool, **options: Any) -> None:
    """What one rule, given by --set, would have done with SYMBOL. Nothing is tuned; if its values were chosen after
    looking at these prices, these figures are in-sample ones: `optimize` shows what that is worth.
    """
    from ..apps.market_backtest import kernel, measures, trades
    from ..apps.market_backtest.data import load_bars
    from ..apps.market_backtest.forecast_cache import ForecastCache
    from ..apps.market_backtest.forecasters import make_forecaster
    from ..apps.market_backtest.rules import OptimisticFills, Rules

    bars, costs, fills = load_bars(symbol), _costs(options), _fills(options)
    rule = Rules.of({name: [value] for name, value in _fixed(options["fixed"]).items()})
    forecast = ForecastCache().forecast(make_forecaster(options["forecaster"]), bars)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimisticFills)
        found = measures.Measures.of(kernel.backtest(bars, forecast, rule, costs, fills=fills)).dict()
        done = trades.trades(bars, forecast, rule, costs, fills=fills) if listed else []
    if options["as_json"]:
        rows = [{name: getattr(item, name) for name in item.__slots__} for item in done]
        click.echo(json.dumps({"symbol": bars.symbol, "fills": fills, "measures": found, "trades": rows}, default=str))
        return
    click.echo(f"{bars.symbol}: {len(bars)} bars, {bars.label(0)} to {bars.label(-1)}, {fills} fills")
    click.echo("\n".join(f"  {name:<14} {value:>12.4f}" for name, value in found.items()))
    for item in done:
        click.echo(
            f"  {item.entry_time} -> {item.exit_time}  {'long' if item.side > 0 else 'short'}  {item.entry_price:.4f} "
            f"-> {item.exit_price:.4f}  {item.reason:<6}  {item.result:+.2%}"
        )
    note = "optimistic fills make money out of noise; " if fills == "optimistic" else ""
    click.echo(f"  note: {note}nothing here is out of sample; see `thalweg backtest optimize`")


@backtest.command(short_help="The reports of a store.")
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--store", default="./backtest.db", show_default=True, metavar="FILE", help="Where to look.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def report(symbols: tuple[str, ...], store: str, as_json: bool) -> None:
    """The reports that `optimize` left in a store, of some symbols or of all."""
    from ..apps.market_backtest.data import name_of
    from ..apps.market_backtest.search import stored_reports
    from .reading import opened

    with opened(store) as found:
        reports = stored_reports(found)
    wanted = {name_of(item) for item in symbols}
    chosen = {name: item for name, item in reports.items() if not wanted or item.symbol in wanted}
    if not chosen:
        known = ", ".join(sorted({item.symbol for item in reports.values()})) or "none"
        raise ProblemError(f"{store} has no report of {', '.join(symbols) or 'any symbol'}; it has: {known}")
    if as_json:
        click.echo(json.dumps({name: item.as_dict() for name, item in chosen.items()}, default=str))
    else:
        click.echo("\n\n".join(item.text() for item in chosen.values()))


# --- options to settings ----------------------------------------------------------------------------------------------


def _plan(options: dict[str, Any]) -> Plan:
    from ..apps.market_backtest.plan import Plan, default_space
    from ..apps.programs.params import build_space

    fixed = _fixed(options["fixed"])
    if options["params"]:
        space = dict(build_space(list(options["params"]), []).parameters)
    else:
        space = {name: item for name, item in default_space().items() if name not in fixed}
    names = ("folds", "train", "purge", "embargo", "max_evals", "min_trades", "strategy", "seed", "forecaster")
    return Plan(
        space=space, fixed=fixed, costs=_costs(options), fills=_fills(options), anchored=not options["rolling"],
        **{name: options[name] for name in names},
    )  # fmt: skip


def _costs(options: dict[str, Any]) -> Any:
    from ..apps.market_backtest.rules import Costs

    return Costs(options["fee"], options["slippage"])


def _fills(options: dict[str, Any]) -> Any:
    return "optimistic" if options["optimistic"] else "pessimistic"


def _fixed(texts: tuple[str, ...]) -> dict[str, Any]:
    """{name: value} of NAME=VALUE texts; a rule checks both."""
    from ..apps.market_backtest.rules import DEFAULTS

    made: dict[str, Any] = {}
    for text in texts:
        name, sign, word = (item.strip() for item in text.partition("="))
        if not sign or name not in DEFAULTS:
            raise ProblemError(f"--set {text!r}: NAME=VALUE is expected, with a name out of {', '.join(DEFAULTS)}")
        try:
            made[name] = float(word)
        except ValueError:
            made[name] = word  # side=long
    return made
