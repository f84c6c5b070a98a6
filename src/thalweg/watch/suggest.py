"""What to try next. Every suggestion names the measured number it rests on; a run that gives no reason gets none."""

from __future__ import annotations

import numpy as np

from ..core.batch import Status
from .data import Column, RunData
from .reduce import effects
from .text import clip, count, number

EDGE, NEAR = 0.01, 0.025
"""A best trial within 1 % of the range from a bound (on the parameter's own scale), with most of the other good ones
within 2.5 %, is at the edge."""

WORTH_S = 2.0
"""Shorter runs get no advice about time: there is nothing to win."""

LIGHT, LIGHT_FRONTS = ("de", "sobol", "random"), ("nsga2", "nsga3", "random")
"""Strategies that take microseconds per point, for one objective and for several."""


def at_edge(data: RunData) -> list[tuple[Column, str]]:
    """(column, "lower" | "upper") of numeric parameters that explain something and whose value is at a bound in the
    best trial and near it in at least half of the best 2 % (at least 5 trials: one lucky trial does not speak alone).
    """
    good = np.flatnonzero(data.ok)
    if len(good) < 20:
        return []
    ranked = good[np.argsort(data.values[good, 0] * data.signs[0], kind="stable")]
    top = ranked[: max(5, len(good) // 50)]
    found = []
    matter = effects(data.columns, np.where(data.ok, data.values[:, 0], np.nan))
    for column in data.columns:
        if column.name not in matter or column.options or not (np.isfinite(column.low) and column.high > column.low):
            continue
        unit = column.unit()
        if column.kind == "integer" and column.high - column.low < 4:
            continue  # with a handful of values, being at the end says nothing
        for side, away in (("lower", unit), ("upper", 1 - unit)):
            if away[top[0]] <= EDGE and (away[top] <= NEAR).mean() >= 0.5:
                found.append((column, side))
    return found


def suggestions(data: RunData) -> list[str]:
    """What to try next, each with the number it rests on; none where the run gives no reason."""
    found = []
    good = data.values[data.ok, 0]
    if len(good) >= 10 and good.max() == good.min():
        found.append(
            f"all {count(len(good))} values are {number(float(good[0]))}: the objective does not depend on the "
            "parameters; check that it uses them"
        )
    for column, side in at_edge(data):
        found.append(
            f"widen {clip(column.name, 36)} beyond its {side} bound: the best trial lies within {EDGE:.0%} of it"
        )
    found += [text for text in (_late(data), _failing(data), _slow_tail(data), _spans_advice(data)) if text]
    return found


def _late(data: RunData) -> str:
    """Still improving, or long done."""
    row = data.best()
    n = len(data)
    if row is None or len(data.objectives) > 1 or n < 20:
        return ""
    done = (row + 1) / n
    if done > 0.95 and data.budget is not None and data.own >= data.budget:
        return f"give it more evaluations: the best value came at {done:.0%} of the budget of {count(data.budget)}"
    patience = max(50, 2 * row)
    if n >= 100 and row + 1 + patience < 0.7 * n and not data.noisy:
        return (
            f"nothing better came in the last {count(n - row - 1)} of {count(n)} evaluations; "
            f"stop=Plateau({patience}) would have ended the run after {count(row + 1 + patience)}"
        )
    return ""


def _failing(data: RunData) -> str:
    bad = data.count(Status.FAILED)
    if bad < 5 or bad < 0.2 * len(data):
        return ""
    share = f"{bad / len(data):.0%} of the evaluations failed"
    return f"{share}: exclude what cannot work with space.require(...) or narrower bounds"


def _slow_tail(data: RunData) -> str:
    took = data.seconds[np.isfinite(data.seconds) & (data.statuses == Status.DONE)]
    if len(took) < 20 or data.count(Status.TIMEOUT):
        return ""
    limit = 5 * float(np.median(took))
    slow = took[took > limit]
    saved = float((slow - limit).sum())
    if limit < 0.05 or saved < 0.2 * float(took.sum()):
        return ""
    return (
        f"{count(len(slow))} evaluations took over 5 times the median; eval_timeout={limit:.3g} would save up to "
        f"{saved / float(took.sum()):.0%} of the evaluation time"
    )


def _spans_advice(data: RunData) -> str:
    """What the split of the time suggests."""
    spans = data.spans
    if spans is None or spans.wall_s < WORTH_S:
        return ""
    shares = {stage: f"{share:.0%}" for stage, share in spans.shares().items()}
    size = spans.shares()
    if size["transport"] > 0.2 and size["transport"] > size["objective"]:
        return (
            f"sending work takes {shares['transport']} of the time, the objective {shares['objective']}: "
            "evaluator='inline' needs no sending"
        )
    light = LIGHT if len(data.objectives) == 1 else LIGHT_FRONTS
    if size["strategy"] > 0.5 and data.strategy not in light:
        return (
            f"the strategy takes {shares['strategy']} of the time: with so cheap an objective a lighter one "
            f"({', '.join(map(repr, light))}) makes more evaluations in it"
        )
    if size["store"] > 0.3:
        return f"the store takes {shares['store']} of the time: without store= results are kept in memory only"
    if spans.workers > 1 and size["idle"] > 0.4:
        return f"{spans.workers} workers were idle {shares['idle']} of the time: fewer would do as much"
    gain = spans.speedup(2 * spans.workers)
    if gain >= 1.5 and size["objective"] > 0.7 and spans.wall_s > 10:
        return (
            f"the objective takes {shares['objective']} of the time: "
            f"workers={2 * spans.workers} gives at most {gain:.1f}x"
        )
    return ""
