"""Many symbols, each in a process of its own: one that fails, or dies, does not stop the others."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from ...core.errors import ProblemError
from .data import load_bars
from .forecast_cache import ForecastCache
from .plan import Plan
from .report import Report
from .search import search

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One symbol's work, as it goes to a process. store: an address, or None.  cache: a folder for forecasts."""

    symbol: str
    plan: Plan
    store: str | None
    cache: str | None = None


@dataclass(slots=True)
class Summary:
    """reports: by symbol.  errors: symbol -> what happened instead.  cpu_s, seconds: by symbol.  wall_s: of all."""

    reports: dict[str, Report] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0

    def text(self) -> str:
        """One line per symbol: out of sample first, luck beside it."""
        wide = max(14, *(len(symbol) for symbol in (*self.reports, *self.errors)), 0)
        head = (
            f"{'symbol':<{wide}} {'OOS Sharpe':>10} {'+-':>5} {'in sample':>9} {'deflated':>8} {'PBO':>5} {'rules':>6}"
        )
        lines = [head]
        for symbol, report in self.reports.items():
            names = ("walk_forward_sharpe", "walk_forward_error", "in_sample_sharpe", "deflated_sharpe", "overfitting")
            found = report.figures_of(*names, "trials")
            outside, error, inside, deflated, overfit = (found[name] for name in names)
            lines.append(
                f"{symbol:<{wide}} {outside:>10.2f} {error:>5.2f} {inside:>9.2f} {deflated:>8.0%} {overfit:>5.0%} "
                f"{found['trials']:>6.0f}"
            )
        lines += [f"{symbol:<{wide}} failed: {why}" for symbol, why in self.errors.items()]
        spent, alone = sum(self.cpu_s.values()), sum(self.seconds.values())
        lines.append(f"{self.wall_s:.1f} s; one after the other {alone:.1f} s ({spent:.1f} CPU-s)")
        return "\n".join(lines)


def run_symbols(
    symbols: Sequence[str],
    plan: Plan | None = None,
    *,
    workers: int = 1,
    store: str | None = None,
    output: str | Path | None = None,
    cache: str | Path | None = None,
    tell: Told = lambda _: None,
) -> Summary:
    """Search every symbol, `workers` at a time (1: in this process).

    store: an address such as "sqlite:///backtest.db", opened by every process.  output: a folder for the folds
    (SYMBOL_backtest.csv) and the report (SYMBOL_backtest.json).  cache: a folder for forecasts.
    tell: hears a line whenever a symbol is done.

    Raises:
        ProblemError: no symbols, symbols twice, or no workers. What goes wrong with a symbol is in `Summary.errors`.
    """
    if not symbols or len(set(symbols)) != len(symbols):
        raise ProblemError(f"symbols: one or more different ones are expected, got {', '.join(symbols) or 'none'}")
    if workers < 1:
        raise ProblemError(f"workers: a whole number >= 1 is expected, got {workers}")
    if store == "memory" and workers > 1:
        store = None  # each process would have its own anyway
    folder = None if output is None else Path(output)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    jobs = [Job(item, plan or Plan(), store, None if cache is None else str(cache)) for item in symbols]
    summary, before = Summary(), time.perf_counter()

    def done(symbol: str, outcome: dict[str, Any]) -> None:
        _take(summary, symbol, outcome, folder)
        error = summary.errors.get(symbol)
        tell(f"{symbol}: {error}" if error else f"{symbol}: done, {summary.reports[symbol].verdict}")

    if workers == 1:
        for job in jobs:
            done(job.symbol, work(job))
    else:
        _in_processes(jobs, workers, done)
    summary.wall_s = time.perf_counter() - before
    order = {symbol: i for i, symbol in enumerate(symbols)}
    summary.reports = dict(sorted(summary.reports.items(), key=lambda item: order[item[0]]))
    return summary


def work(job: Job) -> dict[str, Any]:
    """A symbol's outcome as plain data: {"report": ...} or {"error": text}, with "cpu_s" and "seconds"."""
    before, began = time.process_time(), time.perf_counter()
    try:
        made = search(load_bars(job.symbol), job.plan, store=job.store, cache=ForecastCache(job.cache))
        outcome: dict[str, Any] = {"report": made.as_dict()}
    except Exception as error:  # whatever it is, the other symbols go on
        outcome = {"error": f"{type(error).__name__}: {error}"}
    return outcome | {"cpu_s": time.process_time() - before, "seconds": time.perf_counter() - began}


def _take(summary: Summary, symbol: str, outcome: dict[str, Any], folder: Path | None) -> None:
    summary.cpu_s[symbol] = float(outcome.get("cpu_s", 0.0))
    summary.seconds[symbol] = float(outcome.get("seconds", 0.0))
    if "error" in outcome:
        summary.errors[symbol] = str(outcome["error"])
        return
    report = summary.reports[symbol] = Report.from_dict(outcome["report"])
    if folder is not None:
        report.write_csv(folder / f"{report.symbol}_backtest.csv")
        text = json.dumps(report.as_dict(), indent=1, default=str)
        (folder / f"{report.symbol}_backtest.json").write_text(text + "\n", encoding="utf-8")


# --- processes --------------------------------------------------------------------------------------------------------


def _serve(job: Job, pipe: Connection) -> None:
    pipe.send(work(job))
    pipe.close()


def _in_processes(jobs: list[Job], workers: int, done: Callable[[str, dict[str, Any]], None]) -> None:
    """A fresh process for each job: what kills one takes no other symbol with it."""
    context = multiprocessing.get_context("spawn")
    waiting, running = list(reversed(jobs)), dict[Connection, tuple[str, SpawnProcess]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop()
                here, there = context.Pipe(duplex=False)
                process = context.Process(target=_serve, args=(job, there), daemon=True)
                process.start()
                there.close()
                running[here] = job.symbol, process
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                symbol, process = running.pop(pipe)
                done(symbol, _received(pipe, process))
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _received(pipe: Connection, process: SpawnProcess) -> dict[str, Any]:
    try:
        outcome: dict[str, Any] = pipe.recv()
    except EOFError:
        outcome = {}
    finally:
        pipe.close()
    process.join()
    return outcome or {"error": f"its process ended without an answer (exit code {process.exitcode})"}
