"""What a run says about itself, and what to try next. Every sentence rests on a number measured in the run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..core.batch import Floats, Status
from .data import Column, RunData
from .reduce import effect, effects, failing_range
from .suggest import at_edge, suggestions
from .text import clean, clip, count, number, seconds

_PUNISHED = {Status.FAILED: "failed", Status.TIMEOUT: "timed out", Status.PRUNED: "were pruned"}


def explain(data: RunData) -> str:
    """Paragraphs for people: what was run and why, where the time went, what failed, what stands out, what to try."""
    sections = [
        ("", _result(data)),
        ("Strategy", _strategy(data)),
        ("Noise", _noise(data)),
        ("Time", _time(data)),
        ("Failures", _failures(data)),
        ("Parameters", _parameters(data)),
        ("Suggestions", suggestions(data)),
    ]
    blocks = []
    for title, lines in sections:
        if lines:
            blocks.append("\n".join([title, *(f"  {line}" for line in lines)] if title else lines))
    return "\n\n".join(blocks)


def _result(data: RunData) -> list[str]:
    head = f"{clip(data.name, 48)}: " if data.name else ""
    others = f" and {count(data.added + data.reused)} results from elsewhere" if data.own < len(data) else ""
    lines = [f"{head}{count(data.own)} evaluations{others}, {count(int(data.ok.sum()))} usable"]
    if data.stop_reason:
        lines[0] += f"; stopped: {clean(data.stop_reason)}"
    row = data.best()
    if row is None:
        return lines
    if len(data.objectives) > 1:
        lines.append(f"{len(data.front())} trials on the Pareto front")
        return lines
    since = len(data) - 1 - row
    value = number(data.best_value())
    late = f"; the {count(since)} evaluations after it brought nothing better" if since else "; it was the last one"
    lines.append(f"best {clip(data.objectives[0], 36)} {value} in trial {data.number(row)}{late}")
    return lines


def _strategy(data: RunData) -> list[str]:
    lines = []
    if data.strategy:
        lines.append(data.searched_by())
    repeats = _repeats(data)
    if data.cached:
        share = data.cached / (data.cached + len(data))
        lines.append(
            f"{count(data.cached)} proposals ({share:.0%}) were known already and came from the cache, at no cost"
        )
    if repeats and not data.noisy:
        lines.append(f"{count(repeats)} of {count(len(data))} evaluations repeated an earlier point")
    return lines


def _noise(data: RunData) -> list[str]:
    """Where values are noisy: what was looked at again, what came of it, and which point to use."""
    if not data.noisy or not len(data):
        return []
    if data.again:
        lines = [f"{count(data.again)} of {count(len(data))} evaluations looked at a point again"]
    else:
        lines = ["no point was looked at again: what each value owes to luck is only known from its neighbours"]
    if data.flukes:
        which = ", ".join(map(str, data.flukes[:3])) + (", ..." if len(data.flukes) > 3 else "")
        several = len(data.flukes) > 1
        lines.append(
            f"trial{'s' * several} {which}: far from all that followed at the same point, so "
            f"{'these values are left out as flukes' if several else 'its value is left out as a fluke'}"
        )
    if data.advice:
        lines.append(data.advice)
    return lines


def _repeats(data: RunData) -> int:
    """Evaluations whose parameters were evaluated before."""
    if not data.columns or not len(data):
        return 0
    table = np.column_stack([column.values for column in data.columns])
    bits = np.ascontiguousarray(np.where(np.isnan(table), np.inf, table + 0.0)).view(np.int64)
    return len(table) - len(np.unique(bits, axis=0))


def _time(data: RunData) -> list[str]:
    if data.spans is None or sum(data.spans.seconds.values()) <= 0:
        return []
    took = data.seconds[np.isfinite(data.seconds)]
    wall = f"{seconds(data.spans.wall_s)} with {data.spans.workers} worker{'s' * (data.spans.workers != 1)}: "
    lines = [(wall if data.spans.wall_s > 0 else "") + data.spans.verdict()]
    if len(took) > 1:
        middle, tail = float(np.median(took)), float(np.quantile(took, 0.95))
        lines.append(
            f"one evaluation: median {seconds(middle)}, 95 % within {seconds(tail)}, "
            f"longest {seconds(float(took.max()))}"
        )
    return lines


def _failures(data: RunData) -> list[str]:
    lines = []
    for status, word in _PUNISHED.items():
        amount = data.count(status)
        if amount:
            lines.append(
                f"{count(amount)} of {count(len(data))} ({amount / len(data):.0%}) {word}{_spent(data, status)}"
            )
    if data.violations is not None and (broken := int((data.violations > 0).sum())):
        lines.append(f"{count(broken)} of {count(len(data))} ({broken / len(data):.0%}) violate a constraint")
        if broken == len(data):
            nearest = int(np.argmin(data.violations))
            least = number(float(data.violations[nearest]))
            lines.append(f"nearest to what is allowed: trial {data.number(nearest)}, violated by {least} in all")
    groups = kinds([message.split("\n", 1)[0] for message in data.errors.values()])
    lines += [f"{count(amount)} x {clip(message, 140)}" for amount, message in groups[:3]]
    if len(groups) > 3:
        lines.append(f"{len(groups) - 3} more kinds of message")
    where = _failing_place(data)
    return [*lines, where] if where else lines


def _spent(data: RunData, status: Status) -> str:
    took = data.seconds[(data.statuses == status) & np.isfinite(data.seconds)]
    total = float(data.seconds[np.isfinite(data.seconds)].sum())
    return f", {took.sum() / total:.0%} of the evaluation time" if total > 0 and len(took) else ""


def kinds(messages: Iterable[str]) -> list[tuple[int, str]]:
    """(how many there are, the first of them) of every kind of message, the most frequent first."""
    said = list(messages)
    first = {_shape(message): message for message in reversed(said)}
    return [(amount, first[shape]) for shape, amount in Counter(map(_shape, said)).most_common()]


def _shape(message: str) -> str:
    """A message without what differs from trial to trial: numbers, addresses, quoted things, paths."""
    message = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", message)
    message = re.sub(r"(/[\w.~-]+){2,}", "/…", message)
    return re.sub(r"0x[0-9a-fA-F]+|[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", "#", message)[:300]


def _failing_place(data: RunData) -> str:
    """The parameter that tells failures from successes best, where it tells enough."""
    bad = np.isin(data.statuses, [Status.FAILED, Status.TIMEOUT])
    known = bad | (data.statuses == Status.DONE)
    if bad.sum() < 5 or (known & ~bad).sum() < 5:
        return ""
    outcome = np.where(known, bad.astype(float), np.nan)
    scores = [(effect(column, outcome), column) for column in data.columns]
    score, column = max(scores, key=lambda item: item[0], default=(0.0, Column("", np.empty(0))))
    if not score >= 0.3:
        return ""
    return f"{clip(column.name, 36)} alone tells {score:.0%} of what fails: {_rates(column, outcome)}"


def _rates(column: Column, outcome: Floats) -> str:
    seen = np.isfinite(outcome) & np.isfinite(column.values)
    x, y = column.values[seen], outcome[seen]
    if column.options:
        used = [k for k in range(len(column.options)) if (x == k).any()]
        rates = sorted(((float(y[x == k].mean()), column.options[k]) for k in used), reverse=True)
        return ", ".join(f"{clip(label, 20)} {rate:.0%}" for rate, label in rates[:3])
    low, high = failing_range(x, y)
    inside = (x >= low) & (x <= high)
    if inside.all():
        return f"{float(y.mean()):.0%}"
    if low == x.min():
        where, rest = f"up to {number(high, 3)}", "above"
    elif high == x.max():
        where, rest = f"from {number(low, 3)} on", "below"
    else:
        where, rest = f"from {number(low, 3)} to {number(high, 3)}", "elsewhere"
    return f"{float(y[inside].mean()):.0%} {where}, {float(y[~inside].mean()):.0%} {rest}"


def _parameters(data: RunData) -> list[str]:
    values = np.where(data.ok, data.values[:, 0], np.nan)
    shares = effects(data.columns, values)
    lines = []
    if shares:
        shown = ", ".join(f"{clip(name, 28)} {share:.0%}" for name, share in shares.items())
        lines.append(f"what explains {clip(data.objectives[0], 28)}, one after the other (by rank): {shown}")
    for column, side in at_edge(data):
        bound = column.low if side == "lower" else column.high
        lines.append(f"{clip(column.name, 36)} of the best trials lies at its {side} bound {number(bound)}")
    return lines
