"""Market backtests against vectorbt and backtesting.py, in one run, CPU time.

    python benchmarks/market_backtest.py speed         the same sweep in all three: return, Sharpe ratio, drawdown
    python benchmarks/market_backtest.py trades        trade by trade on market orders, against backtesting.py
    python benchmarks/market_backtest.py multipliers   140 exact optimisations; SciPy's DIRECT and DE on the same
    python benchmarks/market_backtest.py overhead      microseconds per candidate of strategies that ask in batches
    python benchmarks/market_backtest.py fills         walk-forward Sharpe ratios with both kinds of fills
    python benchmarks/market_backtest.py pictures      docs/images/market-*.png

Needs, beside thalweg[fast,market]: vectorbt[rust] (Apache 2 with Commons Clause) and backtesting (AGPL 3). Both are
rivals to measure, and are imported nowhere else.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)
import numpy as np

from thalweg.apps.market_backtest.data import load_bars
from thalweg.apps.market_backtest.forecast import Forecast
from thalweg.apps.market_backtest.forecasters import Cross, Ewma
from thalweg.apps.market_backtest.kernel import backtest
from thalweg.apps.market_backtest.measures import Measures
from thalweg.apps.market_backtest.multipliers import Days, profits
from thalweg.apps.market_backtest.objective import GOAL, Scorer
from thalweg.apps.market_backtest.optimize import optimize_batch, split
from thalweg.apps.market_backtest.plan import Plan, default_space
from thalweg.apps.market_backtest.rules import Costs, OptimisticFills, Rules
from thalweg.apps.market_backtest.search import search
from thalweg.apps.market_backtest.synthetic import Regime, synthetic
from thalweg.apps.market_backtest.trades import trades
from thalweg.engine.optimize import maximize

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
REPETITIONS = 3


def cpu(call: Callable[[], int]) -> float:
    """Runs per CPU second; call gives how many it made."""
    before = time.process_time()
    count = call()
    return count / (time.process_time() - before)


# --- speed ------------------------------------------------------------------------------------------------------------


def sweep(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(entry below the last close, target above the last close), log-distances."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.002, 0.02, count), rng.uniform(0.002, 0.03, count)


def ours(bars: Any, count: int, engine: str) -> int:
    below, above = sweep(count)
    forecast = Forecast.of(np.zeros(len(bars)), np.zeros(len(bars)))
    rules = Rules.of(high_mult=above, low_mult=-below)
    found = Measures.of(backtest(bars, forecast, rules, Costs(0.0005), engine=engine))
    assert np.isfinite(found.sharpe + found.log_return + found.max_drawdown).all()
    return count


def vectorbt(bars: Any, count: int, engine: str, chunk: int = 250) -> int:
    """A limit entry and a target: entries where the low reaches the limit, filled at min(open, limit); `tp_stop`."""
    import vectorbt as vbt

    below, above = sweep(count)
    previous = np.concatenate([[np.nan], bars.close[:-1]])[:, None]
    columns = [getattr(bars, name)[:, None] for name in ("open", "high", "low", "close")]
    for start in range(0, count, chunk):
        limit = previous * np.exp(-below[start : start + chunk])
        entries = bars.low[:, None] <= limit
        price = np.where(entries, np.minimum(bars.open[:, None], limit), bars.close[:, None])
        made = vbt.Portfolio.from_signals(
            columns[3], entries, False, price=price, open=columns[0], high=columns[1], low=columns[2],
            tp_stop=above[start : start + chunk][None, :] + below[start : start + chunk][None, :], fees=0.0005,
            freq="1D", engine=engine,
        )  # fmt: skip
        total = made.total_return() + made.sharpe_ratio() + made.max_drawdown()
        assert len(total) == min(chunk, count - start)
    return count


def backtesting(bars: Any, count: int) -> int:
    import pandas as pd
    from backtesting import Backtest, Strategy

    frame = pd.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close}, pd.to_datetime(list(bars.times))
    )

    class Limit(Strategy):
        below = above = 0.01

        def init(self) -> None:
            pass

        def next(self) -> None:
            if not self.position:
                for order in self.orders:
                    order.cancel()
                last = self.data.Close[-1]
                self.buy(limit=last * np.exp(-self.below), tp=last * np.exp(self.above))

    warnings.simplefilter("ignore", UserWarning)  # it says of targets in the bar of an entry what our page says
    test = Backtest(frame, Limit, cash=1e7, commission=0.0005, finalize_trades=True)
    for below, above in zip(*sweep(count), strict=True):
        found = test.run(below=float(below), above=float(above))
        assert np.isfinite(found["Sharpe Ratio"] + found["Return [%]"] + found["Max. Drawdown [%]"])
    return count


def speed() -> None:
    bars = load_bars("GOOG")
    runs: dict[str, Callable[[], int]] = {
        "thalweg, numba": lambda: ours(bars, 20_000, "numba"),
        "thalweg, numpy": lambda: ours(bars, 2_000, "numpy"),
        "vectorbt, rust": lambda: vectorbt(bars, 1_000, "rust"),
        "vectorbt, numba": lambda: vectorbt(bars, 1_000, "numba"),
        "backtesting.py": lambda: backtesting(bars, 10),
    }
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(REPETITIONS + 1):
        for name, call in runs.items():
            rate = cpu(call)
            if turn:  # the first one compiles
                seen[name].append(rate)
    best = {name: max(rates) for name, rates in seen.items()}
    rows = [
        [name, f"{rate:,.0f}", f"{rate * len(bars) / 1e6:.1f}", f"{best['thalweg, numba'] / rate:,.1f}"]
        for name, rate in best.items()
    ]
    print(_timing.table(["", "backtests per CPU-s", "million bars per CPU-s", "thalweg is faster by"], rows))
    print(_timing.where("numpy", "numba", "vectorbt", "vectorbt-rust", "backtesting"))


# --- trade by trade ---------------------------------------------------------------------------------------------------


def same_trades() -> None:
    import pandas as pd
    from backtesting import Backtest, Strategy

    for symbol in SYMBOLS:
        bars = load_bars(symbol)
        forecast = Cross(10, 50).forecast(bars)
        mine = trades(bars, forecast, Rules.of(), Costs(0.0))
        # a signal is known at the close before the bar that trades it
        wanted = np.append(forecast.side[1:], 0)
        frame = pd.DataFrame({"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close})

        class Follow(Strategy):
            def init(self) -> None:
                self.wanted = wanted  # noqa: B023 (run at once)

            def next(self) -> None:
                want = bool(self.wanted[len(self.data) - 1])
                if want and not self.position:
                    self.buy(size=0.5)
                elif not want and self.position:
                    self.position.close()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = Backtest(frame, Follow, cash=1e9, finalize_trades=True).run()["_trades"]
        pairs = list(zip(mine, theirs.itertuples(), strict=True))
        price = max(max(abs(a.entry_price - b.EntryPrice), abs(a.exit_price - b.ExitPrice)) for a, b in pairs[:-1])
        result = max(abs(a.result - b.ReturnPct) for a, b in pairs[:-1])
        assert all((a.entry_bar, a.exit_bar) == (b.EntryBar, b.ExitBar) for a, b in pairs[:-1])
        assert price == 0 and result < 1e-12, (price, result)
        print(f"{symbol}: {len(pairs)} trades, the same bars and prices; largest difference of a result {result:.0e}")


# --- multipliers ------------------------------------------------------------------------------------------------------


def windows(count: int, n: int) -> dict[str, np.ndarray]:
    """Days of `count` windows of AAPL, as returns from the previous close, with EWMA forecasts."""
    bars = load_bars("AAPL")
    forecast = Ewma().forecast(bars)
    index = (len(bars) - 1 - np.arange(count))[:, None] - n + np.arange(n)
    previous = bars.close[index - 1]
    return {
        "close": bars.close[index] / previous - 1, "high": bars.high[index] / previous - 1,
        "low": bars.low[index] / previous - 1, "high_pred": np.expm1(forecast.high[index]),
        "low_pred": np.expm1(forecast.low[index]),
    }  # fmt: skip


def multipliers() -> None:
    from scipy.optimize import differential_evolution, direct

    days, box = windows(70, 200), [(-0.03, 0.03)] * 2
    sides = np.sign(days["close"] + 1e-12) * np.where(np.arange(200) % 3, 1.0, -1.0)
    spent, exact = [], {}
    for _ in range(REPETITIONS):
        before = time.process_time()
        for eod in (False, True):
            exact[eod] = optimize_batch(
                days["close"], sides, days["high"], days["high_pred"], days["low"], days["low_pred"], close_at_eod=eod,
                trading_fee=0.0015,
            )  # fmt: skip
        spent.append(time.process_time() - before)
    print(f"exact: 140 optimisations (70 windows of 200 days x 2 policies) in {min(spent):.3f} CPU-s")
    rivals: dict[str, Callable[[Any], Any]] = {
        "SciPy direct, 500 evaluations": lambda f: direct(f, box, maxfun=500),
        "SciPy differential evolution, 1,020": lambda f: differential_evolution(
            f, box, maxiter=50, popsize=10, rng=42, tol=1e-12, atol=1e-5, polish=False
        ),
    }
    few = 8
    for name, call in rivals.items():
        gaps, before = [], time.process_time()
        for eod in (False, True):
            made = Days.of(days, *split(sides), 0.0015, eod, single=False)
            for i in range(few):
                one = made.take(slice(i, i + 1))
                found = call(lambda x, one=one: -float(profits(one, x[None, :1], x[None, 1:])[0, 0]))
                gaps.append(1 + found.fun / exact[eod][i][2])
        cost = (time.process_time() - before) / (2 * few)
        print(
            f"{name}: {cost * 140:.2f} CPU-s for 140 ({cost * 140 / min(spent):.0f} times as long), "
            f"profit lower by {np.mean(gaps):.2%} in the mean, {np.max(gaps):.2%} at worst"
        )


# --- overhead ---------------------------------------------------------------------------------------------------------


def spent_on(strategy: str, objective: Callable[[Any], Any], evaluations: int) -> tuple[float, float]:
    """Microseconds of CPU per candidate outside and inside the objective, the least of the repetitions."""
    seen = []
    for _ in range(REPETITIONS):
        inside = [0.0]

        def timed(columns: Any, inside: list[float] = inside) -> Any:
            before = time.process_time()
            found = objective(columns)
            inside[0] += time.process_time() - before
            return found

        before = time.process_time()
        found = maximize(
            timed, default_space(), objectives={GOAL: "maximize"}, strategy=strategy, max_evals=evaluations, seed=0,
            vectorised=True, progress=False,
        )  # fmt: skip
        total = time.process_time() - before
        seen.append((1e6 * (total - inside[0]) / found.evaluations, 1e6 * inside[0] / found.evaluations))
    return min(seen)


def overhead(evaluations: int = 20_000) -> None:
    bars = load_bars("GOOG")
    scorer = Scorer(bars, Ewma().forecast(bars), [(1, len(bars))], blocks=4, penalty=0.5, costs=Costs())
    rows = []
    for strategy in ("random", "sobol", "lhs", "grid", "de", "genetic", "pso"):
        plain, inside = spent_on(strategy, lambda columns: scorer(columns)[GOAL], evaluations)
        named, _ = spent_on(strategy, scorer, evaluations)
        rows.append([strategy, _timing.figure(plain), _timing.figure(named), _timing.figure(inside)])
    head = ["strategy", "overhead, us per candidate", "with five named results", "backtests, us per candidate"]
    print(_timing.table(head, rows))


# --- fills ------------------------------------------------------------------------------------------------------------


def plans() -> dict[str, Plan]:
    space = {name: default_space()[name] for name in ("high_mult", "low_mult")}
    common: dict[str, Any] = {"space": space, "fixed": {"hold": 1}, "train": 504, "anchored": False, "folds": 8}
    return {name: Plan(**common, fills=name, max_evals=400) for name in ("optimistic", "pessimistic")}


def both_fills() -> list[tuple[str, Any, Any]]:
    made = []
    for symbol in SYMBOLS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimisticFills)
            one, two = (search(load_bars(symbol), plan) for plan in plans().values())
        made.append((symbol, one, two))
    return made


def fills() -> None:
    rows = []
    for symbol, *reports in both_fills():
        cells = []
        for report in reports:
            found = report.figures_of("walk_forward_sharpe", "in_sample_sharpe", "deflated_sharpe", "overfitting")
            cells += [f"{found['walk_forward_sharpe']:.2f}", f"{found['in_sample_sharpe']:.2f}",
                      f"{found['deflated_sharpe']:.0%}", f"{found['overfitting']:.0%}"]  # fmt: skip
        rows.append([symbol, *cells])
    head = ["walk-forward Sharpe", "in sample", "deflated", "overfitting"]
    print(_timing.table(["", *(f"optimistic: {x}" for x in head), *(f"pessimistic: {x}" for x in head)], rows))


# --- pictures ---------------------------------------------------------------------------------------------------------


def pictures() -> None:
    from matplotlib.figure import Figure

    folder = Path(__file__).resolve().parent.parent / "docs" / "images"
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    found = both_fills()
    names = [symbol for symbol, *_ in found]
    at = np.arange(len(names))
    for k, (label, colour) in enumerate((("optimistic fills", "#c44e52"), ("pessimistic fills", "#4c72b0"))):
        values = [reports[k]["walk_forward_sharpe"] for _, *reports in found]
        errors = [reports[k]["walk_forward_error"] for _, *reports in found]
        left.bar(at + 0.4 * k - 0.2, values, 0.38, yerr=errors, label=label, color=colour, capsize=2)
    left.set_xticks(at, names)
    left.axhline(0, color="black", linewidth=0.8)
    left.set_ylabel("out-of-sample Sharpe ratio")
    left.set_title("Walk-forward does not find the fills' error", fontsize=10)
    left.legend(fontsize=8)
    grid = np.linspace(-0.01, 0.01, 5)
    up, down = (item.ravel() for item in np.meshgrid(grid, grid))
    for label, colour in (("optimistic", "#c44e52"), ("pessimistic", "#4c72b0")):
        right.hist(fair(label, up, down), bins=np.arange(-6, 92, 2), color=colour, label=f"{label} fills", alpha=0.8)
    right.axvspan(-3, 3, color="grey", alpha=0.2, label="luck (|t| <= 3)")
    right.set_xlabel("t statistic of the mean daily return")
    right.set_ylabel("rules (of 25)")
    right.set_title("A fair game: nothing can be earned here", fontsize=10)
    right.legend(fontsize=8)
    figure.savefig(folder / "market-fills.png", dpi=110)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    days = windows(1, 200)
    made = Days.of(days, np.ones((1, 200)), np.zeros((1, 200)), 0.0015, False, single=False)
    h = np.linspace(-0.03, 0.03, 241)
    mesh = [item.ravel()[None, :] for item in np.meshgrid(h, h)]
    value = np.asarray(profits(made, *mesh))[0].reshape(241, 241)
    shown = axes.pcolormesh(100 * h, 100 * h, value, cmap="viridis", shading="nearest")
    ((best_h, best_l, best),) = optimize_batch(
        days["close"], np.ones((1, 200)), days["high"], days["high_pred"], days["low"], days["low_pred"],
        trading_fee=0.0015,
    )  # fmt: skip
    axes.plot(100 * best_h, 100 * best_l, "r*", markersize=14, label=f"exact maximum: {best:.4f}")
    axes.set_xlabel("high multiplier, %")
    axes.set_ylabel("low multiplier, %")
    axes.set_title(f"Profit of the two-multiplier rule; best of 241 x 241: {value.max():.4f}", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")
    figure.colorbar(shown, ax=axes)
    figure.savefig(folder / "market-multipliers.png", dpi=110)


def fair(kind: str, up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """t statistics of 25 rules on 24 x 1,000 days of a martingale, without costs."""
    rng, days = np.random.default_rng(0), 1000
    total, squares, count = np.zeros(25), np.zeros(25), 0
    for _ in range(24):
        bars = synthetic(days, rng, regimes=(Regime(0.0, 0.015),), steps=60).bars
        forecast = Forecast.of(np.full(days, 0.012), np.full(days, -0.012))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimisticFills)
            tally = backtest(bars, forecast, Rules.of(high_mult=up, low_mult=down, hold=1), Costs(0.0), fills=kind)
        total, squares, count = total + tally.total, squares + tally.squares, count + tally.bars
    mean = total / count
    return mean / np.sqrt(squares / count - mean**2) * np.sqrt(count)


PARTS = {"speed": speed, "trades": same_trades, "multipliers": multipliers, "overhead": overhead, "fills": fills,
         "pictures": pictures}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted(PARTS))
    PARTS[parser.parse_args().part]()


if __name__ == "__main__":
    main()
