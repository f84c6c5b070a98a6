"""`backtest_forecasts` of many symbols at once, a process for each; one that fails does not stop the others.

python -m thalweg.compat.marketsim.parallel_backtest_runner ETHUSD BTCUSD TSLA --workers 3
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ...apps.functions.workers import Crew
from ...apps.market_backtest.data import name_of
from ...core.errors import ProblemError
from .backtest_test3_inline import MadePrices, backtest_forecasts


def run_parallel(
    symbols: Sequence[str], num_simulations: int = 70, workers: int = 4, output_dir: str | Path | None = None
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str], dict[str, float]]:
    """(rows by symbol, none for those that failed; why those failed; seconds by symbol).

    output_dir: a folder for SYMBOL_backtest.csv (None: nothing is written).

    Raises:
        ProblemError: no symbols, one of them twice, or fewer than one worker or simulation.
    """
    if not symbols or len(set(symbols)) != len(symbols):
        raise ProblemError(f"symbols: one or more different ones are expected, got {', '.join(symbols) or 'none'}")
    for name, item in (("workers", workers), ("num_simulations", num_simulations)):
        if item < 1:
            raise ProblemError(f"{name}: a whole number >= 1 is expected, got {item!r}")
    rows, errors, seconds = dict[str, list[dict[str, Any]]](), dict[str, str](), dict[str, float]()
    with ThreadPoolExecutor(min(workers, len(symbols))) as pool:
        futures = {pool.submit(_apart, symbol, num_simulations): symbol for symbol in symbols}
        for future in as_completed(futures):
            symbol = futures[future]
            try:
                rows[symbol], seconds[symbol], notes = future.result()
                for note in notes:
                    print(f"{symbol}: {note}", file=sys.stderr)
            except Exception as error:  # whatever it is, the other symbols go on
                rows[symbol], seconds[symbol], errors[symbol] = [], 0.0, f"{type(error).__name__}: {error}"
    rows = {symbol: rows[symbol] for symbol in symbols}
    if output_dir is not None:
        for symbol, found in rows.items():
            _write(Path(output_dir) / f"{name_of(symbol)}_backtest.csv", found)
    return rows, errors, seconds


def _apart(symbol: str, num_simulations: int) -> tuple[list[dict[str, Any]], float, list[str]]:
    """In a process of its own: what kills it takes no other symbol with it."""
    crew = Crew(1)
    try:
        return crew.map(_one, [((symbol, num_simulations), {})])[0]  # type: ignore[no-any-return]
    finally:
        crew.close()


def _one(symbol: str, num_simulations: int) -> tuple[list[dict[str, Any]], float, list[str]]:
    """(rows, seconds, what was warned of)."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MadePrices)
        found = backtest_forecasts(symbol, num_simulations)
    rows = found if isinstance(found, list) else found.to_dict("records")
    return rows, time.perf_counter() - began, [str(item.message) for item in caught]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        if rows:
            writer.writeheader()
            writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit code: 1 where a symbol failed."""
    parser = argparse.ArgumentParser(prog="parallel_backtest_runner", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
    parser.add_argument("--num-simulations", type=int, default=70, help="per symbol (70)")
    parser.add_argument("--workers", type=int, default=4, help="symbols at once (4)")
    parser.add_argument("--output-dir", default="backtest_results", help="for SYMBOL_backtest.csv (backtest_results)")
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    try:
        rows, errors, seconds = run_parallel(given.symbols, given.num_simulations, given.workers, given.output_dir)
    except ProblemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    wall, alone = time.perf_counter() - began, sum(seconds.values())
    for symbol, found in rows.items():
        if symbol in errors:
            print(f"{symbol}: failed: {errors[symbol]}")
            continue
        profit, after = (
            sum(row[f"{row['policy']}_{what}"] for row in found) / len(found)
            for what in ("in_sample_profit", "next_bar_return")
        )
        print(
            f"{symbol}: {len(found)} simulations in {seconds[symbol]:.2f} s; mean in-sample profit {profit:.4f}, mean "
            f"return of the bar after {after:+.5f}"
        )
    print(f"Total: {wall:.2f} s with {given.workers} workers, processes' starts included")
    print(f"Sequential would take: {alone:.2f} s")
    print(f"Speedup: {alone / wall:.2f}x")
    print(f"Results: {given.output_dir}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
