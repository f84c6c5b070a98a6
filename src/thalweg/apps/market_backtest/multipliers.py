"""Two multipliers of a day-by-day rule, solved exactly.

The rule (as returns from the previous close; a day's position is > 0 long, < 0 short): with H = clip(high_pred + h, 0,
10) and L = clip(low_pred + l, -1, 0), a long day enters at L if L > low and leaves at H if H <= high, else at the
close; a short day enters at H if H < high and leaves at L if L >= low, else at the close; a fee is paid once for each
entry. With `close_at_eod` every day leaves at the close. The profit is the sum over the days.

This objective is a fiction in three ways that matter to whoever trades it: entry and target may be of one bar though
nobody knows which came first, the fee is paid once, and an open beyond a level is not seen. `kernel` has none of them;
this one is here because it is used, and because it can be solved.

How: a long day contributes E(l) (X(h) - L(l) - fee), with E whether it entered and X what it left at; a short day the
same with the roles changed. So the profit at every pair of m values of h and m of l is two matrix products, O(n m^2).
Between the jumps it does not fall as h grows (what is sold, is sold higher) nor as l falls, so the largest value of all
is at a jump, approached from the side on which it is large (h just below high - high_pred of a day, l just above low -
low_pred), or at an end of the box: n + 2 values of each, and all pairs are tried. Where jumps coincide (prices on a
coarse grid, days that are both long and short) the jump itself may be better than both its sides, so it is tried too.
What is found is the maximum over the box but for `MARGIN` times the positions.

Arrays are NumPy's, or PyTorch's where they are given (nothing is imported for that, and they stay on their device).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

from ...core.errors import ProblemError

MARGIN, MARGIN_SINGLE = 1e-12, 1e-6
"""How far inside of a jump a candidate stands, in double and in single precision."""
CHUNK = 100_000
"""Grid values of one batched product: what works on them stays in the processor's cache."""
Box = tuple[tuple[float, float], tuple[float, float]]
BOUNDS: Box = ((-0.03, 0.03), (-0.03, 0.03))
FEE = 0.0005
"""Of an entry, where none is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """b problems of n days each, all arrays (b, n). long, short: sizes >= 0 of the two positions of a day.

    Made by `Days.of`.
    """

    close: Any
    high: Any
    low: Any
    high_pred: Any
    low_pred: Any
    long: Any
    short: Any
    fee: float
    close_at_eod: bool
    tools: Any
    """The module the arrays are of: numpy or torch."""

    @classmethod
    def of(
        cls, arrays: dict[str, Any], long: Any, short: Any, fee: float | None, close_at_eod: bool, single: bool
    ) -> Days:
        """Checked days. arrays: close, high, low, high_pred, low_pred. single: one problem, of any shape.

        Raises:
            ProblemError: shapes that do not fit.
        """
        tools = _tools([*arrays.values(), long, short])
        made = {name: _array(tools, item, single) for name, item in {**arrays, "long": long, "short": short}.items()}
        if tools.__name__ == "torch":
            kind = max((item.dtype for item in made.values()), key=lambda dtype: dtype.itemsize)
            made = {name: item.to(kind) for name, item in made.items()}
        shape = made["close"].shape
        for name, item in made.items():
            if tuple(item.shape) != tuple(shape) or item.ndim != 2 or not item.shape[1]:
                raise ProblemError(f"multipliers: {name} has shape {tuple(item.shape)}, close has {tuple(shape)}")
        return cls(**made, fee=FEE if fee is None else float(fee), close_at_eod=bool(close_at_eod), tools=tools)

    def take(self, part: Any) -> Days:
        """Some of the problems: a slice or indices."""
        names = ("close", "high", "low", "high_pred", "low_pred", "long", "short")
        cut = {name: getattr(self, name)[part] for name in names}
        return Days(**cut, fee=self.fee, close_at_eod=self.close_at_eod, tools=self.tools)


def profits(days: Days, h: Any, low_mult: Any) -> Any:
    """(b, k) profits of k pairs for each problem, day by day as the rule says. h, low_mult: (b, k)."""
    xp = days.tools
    high_at = xp.clip(days.high_pred[:, None, :] + h[:, :, None], 0.0, 10.0)
    low_at = xp.clip(days.low_pred[:, None, :] + low_mult[:, :, None], -1.0, 0.0)
    close, high, low = (item[:, None, :] for item in (days.close, days.high, days.low))
    sold = close if days.close_at_eod else xp.where(high_at <= high, high_at, close)
    bought = close if days.close_at_eod else xp.where(low_at >= low, low_at, close)
    long = xp.where(low_at > low, sold - low_at - days.fee, 0.0) * days.long[:, None, :]
    short = xp.where(high_at < high, high_at - bought - days.fee, 0.0) * days.short[:, None, :]
    return (long + short).sum(-1)


def solve(days: Days, bounds: Box = BOUNDS) -> tuple[Any, Any, Any]:
    """(h, l, profit), (b,) each: the best pair of every problem within the bounds (l = low multiplier)."""
    (low_h, high_h), (low_l, high_l) = check_bounds(bounds)
    xp = days.tools
    found: list[tuple[Any, Any, Any]] = []
    b, n = days.close.shape
    margin = MARGIN if xp.finfo(days.close.dtype).eps < 1e-12 else MARGIN_SINGLE
    per_chunk = max(1, CHUNK // (n + 2) ** 2)
    for start in range(0, b, per_chunk):
        part = days.take(slice(start, start + per_chunk))
        h = _candidates(xp, part.high - part.high_pred, -margin, (low_h, high_h))
        low_mult = _candidates(xp, part.low - part.low_pred, margin, (low_l, high_l))
        found.append(best_pairs(part, h, low_mult))
    joined = [xp.concatenate(items) if len(items) > 1 else items[0] for items in zip(*found, strict=True)]
    return joined[0], joined[1], joined[2]


def pairs(days: Days, bounds: Box = BOUNDS) -> list[tuple[float, float, float]]:
    """`solve` as plain numbers, with one transfer from the device for the whole batch.

    Raises:
        ProblemError: a problem has numbers that are not finite.
    """
    return plain(days, solve(days, bounds))


def plain(days: Days, solved: tuple[Any, Any, Any]) -> list[tuple[float, float, float]]:
    """What a solver gave, (b,) each, as numbers. Raises as `pairs` does."""
    xp = days.tools
    given = (days.close, days.high, days.low, days.high_pred, days.low_pred, days.long, days.short)
    total = sum(item.sum(-1) for item in given)  # finite where all of them are (they are returns, none is near 1e308)
    rows = xp.stack([*solved, total], -1).tolist()
    for i, row in enumerate(rows):
        if not math.isfinite(row[3]):
            raise ProblemError(f"multipliers: problem {i} has values that are not finite; leave such days out")
    return [(h, low_mult, profit) for h, low_mult, profit, _ in rows]


def best_pairs(days: Days, h: Any, low_mult: Any) -> tuple[Any, Any, Any]:
    """(h, l, profit), (b,) each: the best of all pairs of candidates h (b, m) and low_mult (b, k)."""
    xp = days.tools
    rows = xp.arange(len(h))
    by_l, by_h, entered, sold, shorted, bought = _terms(days, h, low_mult)
    if days.close_at_eod:  # separable: what is bought does not know what is sold
        i, j = by_h.argmax(-1), by_l.argmax(-1)
    else:
        # (b, n, m_l)^T (b, n, m_h): what the long days left at, where they entered; less the same of the short days
        grid = xp.matmul(_flip(entered), sold) - xp.matmul(_flip(bought), shorted)
        grid = grid + by_l[:, :, None] + by_h[:, None, :]
        best = grid.reshape(len(h), -1).argmax(-1)
        i, j = best % h.shape[1], best // h.shape[1]
    one = h[rows, i], low_mult[rows, j]
    return one[0], one[1], profits(days, one[0][:, None], one[1][:, None])[:, 0]


def _terms(days: Days, h: Any, low_mult: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """by_l, by_h: (b, m) what depends on one of the two only; the others (b, n, m): the factors of the products."""
    xp = days.tools
    high_at = xp.clip(days.high_pred[:, :, None] + h[:, None, :], 0.0, 10.0)
    low_at = xp.clip(days.low_pred[:, :, None] + low_mult[:, None, :], -1.0, 0.0)
    close, high, low, long, short = (
        item[:, :, None] for item in (days.close, days.high, days.low, days.long, days.short)
    )
    entered = xp.where(low_at > low, long, 0.0)
    shorted = xp.where(high_at < high, short, 0.0)
    if days.close_at_eod:
        by_l, by_h = (entered * (close - low_at - days.fee)).sum(1), (shorted * (high_at - close - days.fee)).sum(1)
        return by_l, by_h, None, None, None, None
    sold = xp.where(high_at <= high, high_at, close)
    bought = xp.where(low_at >= low, low_at, close)
    by_l = -(entered * (low_at + days.fee)).sum(1)
    by_h = (shorted * (high_at - days.fee)).sum(1)
    return by_l, by_h, entered, sold, shorted, bought


def _candidates(xp: Any, jumps: Any, aside: float, box: tuple[float, float]) -> Any:
    """(b, m): beside the jumps (and at them, where some coincide) and the ends of the box."""
    ends = [xp.full_like(jumps[:, :1], end) for end in box]
    beside = jumps + aside
    tried = [*ends, xp.where((beside >= box[0]) & (beside <= box[1]), beside, box[0])]
    if xp.__name__ == "torch" or _coincide(xp.sort(jumps, -1), 2 * abs(aside)):  # a device is not asked: it would wait
        tried.append(xp.where((jumps >= box[0]) & (jumps <= box[1]), jumps, box[0]))
    return xp.concatenate(tried, -1)


def _coincide(ordered: Any, width: float) -> bool:
    return bool((ordered[:, 1:] - ordered[:, :-1] <= width).any())


def _flip(item: Any) -> Any:
    return item.swapaxes(-1, -2)


def _tools(items: list[Any]) -> Any:
    """torch where one of the arrays is a tensor (then it is imported already), else numpy."""
    torch = sys.modules.get("torch")
    if torch is not None and any(isinstance(item, torch.Tensor) for item in items):
        return torch
    import numpy

    return numpy


def _array(tools: Any, item: Any, single: bool) -> Any:
    """(b, n) floating-point numbers of the tools' kind."""
    if tools.__name__ == "torch":
        made = tools.as_tensor(item).detach()
        if not made.is_floating_point():
            made = made.to(tools.float64)
        elif made.dtype in (tools.float16, tools.bfloat16):
            made = made.to(tools.float32)
    else:
        try:
            made = tools.asarray(item, dtype=tools.float64)
        except (TypeError, ValueError) as error:
            raise ProblemError(f"multipliers: arrays of numbers are expected: {error}") from None
    return made.reshape(1, -1) if single else made


def check_bounds(bounds: Box) -> Box:
    """The bounds as floats.

    Raises:
        ProblemError: they are not ((low, high), (low, high)).
    """
    try:
        (a, b), (c, d) = ((float(low), float(high)) for low, high in bounds)
    except (TypeError, ValueError):
        raise ProblemError(f"bounds: ((low, high), (low, high)) is expected, got {bounds!r}") from None
    if not (a <= b and c <= d):
        raise ProblemError(f"bounds: low <= high is expected, got {bounds!r}")
    return (a, b), (c, d)
