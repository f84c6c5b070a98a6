"""A search, or one configuration, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...watch.text import align, number
from .metrics import METRICS
from .outcome import Look
from .sensitivity import BASES
from .summary import TWO_SIDED, Summary

if TYPE_CHECKING:
    from .outcome import Outcome

CAVEAT = "A stylised model: it compares configurations under its own assumptions and predicts no token's price."


def text_of(outcome: Outcome) -> str:
    """The whole report."""
    search = outcome.search
    parts = [_head(outcome), _winners(outcome), _fresh(outcome)]
    chosen = f"trial {outcome.best.number}, the first of the front" if search.pareto else "the best"
    parts.append(metrics_table(outcome.summary, 0, f"metrics of {chosen}, on fresh noise"))
    parts.append("\n".join([
        f"what each parameter does over its range, around {chosen} (there) and {BASES - 1} random points",
        "(common noise; sd: standard deviations of a metric over all configurations looked at)",
        *(f"  {effect.text()}" for effect in outcome.effects),
    ]))  # fmt: skip
    told = outcome.summary.performance()
    parts.append(
        f"performance of the last evaluation: {number(told['seconds'], 3)} s, {number(told['cpu_seconds'], 3)} CPU-s, "
        f"{number(told['memory_mb'], 4)} MB, {number(told['path_days_per_cpu_second'] / 1e6, 3)} million path-days per "
        f"CPU-second, {number(told['latency_seconds'], 3)} s per configuration"
    )
    size = f"{search.paths} paths x {search.days} days"
    parts.append(f"{outcome.result.evaluations} evaluations ({search.initial_points} initial) of {size}; stopped: "
                 f"{outcome.result.stop_reason}; study {search.study_name}")  # fmt: skip
    return "\n\n".join([*parts, CAVEAT])


def _head(outcome: Outcome) -> str:
    search = outcome.search
    goal = "front of " + ", ".join(search.objectives) if search.pareto else "weighted score"
    return f"Consensus type: {search.consensus}; {goal}; risk: {search.risk}; strategy {search.strategy_name}"


def _winners(outcome: Outcome) -> str:
    if outcome.search.pareto:
        return _front(outcome)
    lines = [f"  {name}: {number(value)}" for name, value in outcome.best.params.items()]
    value = f"Best Objective Value: {number(outcome.best.value)}"
    ends = [f"{name} ({end})" for name, end in outcome.ends.items()]
    warned = (
        [f"at the end of the range searched: {', '.join(ends)}; what lies beyond was not looked at"] if ends else []
    )
    return "\n".join(["Best Parameters:", *lines, value, *warned])


def _front(outcome: Outcome) -> str:
    """The front: objectives on fresh noise, and the parameters in which its members differ."""
    params = [trial.params for trial in outcome.winners]
    names = list(dict.fromkeys(name for row in params for name in row))
    varied = [name for name in names if len({row.get(name) for row in params}) > 1]
    rows = [
        [str(trial.number), *(f"{look.fresh:.4f}" for look in looks.values()),
         *(number(trial.params.get(name), 4) for name in varied)]
        for trial, looks in zip(outcome.winners, outcome.looks, strict=True)
    ]  # fmt: skip
    count = len(outcome.result.front)
    title = f"Pareto front: {count} configurations" + (f", {len(rows)} of them shown" if len(rows) < count else "")
    table = align(rows, ["trial", *outcome.search.objectives, *varied], right=range(len(rows[0])))
    return f"{title}; objectives on fresh noise\n{table}"


def _fresh(outcome: Outcome) -> str:
    """The second look, on noise the search has not seen: of a front only the values that do not hold."""
    several = outcome.search.pareto
    lines = []
    for trial, looks in zip(outcome.winners, outcome.looks, strict=True):
        for name, look in looks.items():
            if not several or not look.holds:
                lines.append(f"  {f'trial {trial.number} ' if several else ''}{name}: {_look(look)}")
    every = [look for looks in outcome.looks for look in looks.values()]
    fell = sum(not look.holds for look in every)
    lines.append(f"  {len(every) - fell} of {len(every)} fresh values lie in the 95 % interval of what the search saw")
    if fell:
        lines.append("  where one does not, the fresh value counts: the search was flattered by the noise it chose on")
    for name in outcome.search.objectives:
        gain, half = outcome.gain(name)
        whose = f"trial {outcome.best.number} {name}" if several else name
        lines.append(
            f"  {whose} against the defaults, same noise: {gain:+.4f} (95 %: {gain - half:+.4f} to {gain + half:+.4f})"
        )
    head = f"measured again on fresh noise, {outcome.search.fresh.paths} paths (95 % intervals)"
    return "\n".join([head, *lines])


def _look(look: Look) -> str:
    low, high = look.interval
    half = TWO_SIDED * look.searched_error
    return (
        f"searched {look.searched:.4f} ({look.searched - half:.4f} to {look.searched + half:.4f}), "
        f"fresh {look.fresh:.4f} ({low:.4f} to {high:.4f})" + ("" if look.holds else ": does not hold")
    )


def metrics_table(summary: Summary, row: int = 0, title: str = "metrics") -> str:
    """Every metric of one configuration: mean, Monte-Carlo error, quantiles, the mean of the worst twentieth."""
    rows = []
    for name, metric in METRICS.items():
        low, middle, high = summary.quantile(name)[:, row]
        cells: Sequence[float] = (
            summary.mean[name][row], summary.error[name][row], low, middle, high, summary.worst[name][row],
        )  # fmt: skip
        rows.append([name, *(number(float(cell), 4) for cell in cells), metric.unit])
    header = ["", "mean", "error", "5 %", "median", "95 %", "worst 5 %", "unit"]
    return f"{title}\n" + align(rows, header, right=range(1, 7))
