"""How much a point would add to the hypervolume of a front, and the expectation of that under normal predictions.

The region that a front (n, m) does not dominate, below the reference point, is cut into disjoint boxes (`free_boxes`).
A point y gains sum_k prod_j (u_kj - max(y_j, l_kj))+ . For independent normal y_j the expectation of each factor is
psi_j(u_kj) - psi_j(l_kj), where psi_j(t) = E (t - y_j)+ = s_j h((t - mu_j) / s_j), h(z) = phi(z) + z Phi(z): the exact
expected hypervolume improvement (M. Emmerich, A. Deutz, J. W. Klinkenberg, CEC 2011, doi:10.1109/CEC.2011.5949880;
K. Yang, M. Emmerich, A. Deutz, T. Back, J. Global Optim. 75 (2019) 3-34, doi:10.1007/s10898-019-00798-7). Here it is
summed in logarithms, so that slopes remain where it is zero in floating point (S. Ament et al. 2023, arXiv:2310.20708).

Boxes: two objectives give the n + 1 strips of a staircase. More: slabs between consecutive values of the last
objective, each with the boxes of the others, joined where they go on from slab to slab. Their number grows with n
about as n (m = 3), n^2 (m = 4), so `thinned` fronts are enough for more objectives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .dominance import Floats, Ints, front
from .hypervolume import below

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_SERIES = 50.0  # from here on the difference 1 - a R(a) has lost half its digits: its series has them


@dataclass(eq=False)
class Boxes:
    """Disjoint boxes (K, m), `lower` may be -inf; cuts[j]: the different bounds of objective j, increasing;
    first, last: (K, m) places of the bounds among the cuts.
    """

    lower: Floats
    upper: Floats
    cuts: list[Floats]
    first: Ints
    last: Ints

    @classmethod
    def of(cls, values: Floats, reference: Floats, floor: Floats | None = None) -> Boxes:
        """Of the region below reference (m,) that no row of values (n, m) dominates.

        floor: (m,) values that no point can fall below, -inf where there is no such bound; what lies below is not
        counted. Where nothing would be left, it is.
        """
        lower, upper = free_boxes(values, reference)
        if floor is not None:
            raised = np.maximum(lower, floor)
            wide = (upper > raised).all(axis=1)
            if wide.any():
                lower, upper = raised[wide], upper[wide]
        cuts, first, last = [], np.empty(lower.shape, dtype=np.int64), np.empty(lower.shape, dtype=np.int64)
        for j in range(lower.shape[1]):
            cut, place = np.unique(np.concatenate([lower[:, j], upper[:, j]]), return_inverse=True)
            cuts.append(cut)
            first[:, j], last[:, j] = place[: len(lower)], place[len(lower) :]
        return cls(lower, upper, cuts, first, last)


def free_boxes(values: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """(lower (K, m), upper (K, m)) disjoint boxes that fill {y < reference: no row of values (n, m) is <= y}.

    Raises:
        ValueError: shapes that do not fit, or a reference point that is not finite.
    """
    inside, reference = below(values, reference)
    inside = np.unique(inside[front(inside)], axis=0) if len(inside) else inside
    rows = _boxes(inside, reference)
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


Box = tuple[tuple[float, ...], tuple[float, ...]]


def _boxes(values: Floats, reference: Floats) -> list[Box]:
    """The boxes of a front without doubles, each (lower, upper)."""
    m = len(reference)
    if not len(values):
        return [((-math.inf,) * m, tuple(reference.tolist()))]
    if m == 1:
        return [((-math.inf,), (float(values.min()),))]
    if m == 2:
        return _strips(values, reference)
    order = np.argsort(values[:, -1], kind="stable")
    flat, heights = values[order, :-1], values[order, -1].tolist()
    levels = [-math.inf, *sorted(set(heights)), float(reference[-1])]
    found: list[Box] = []
    open_since: dict[Box, float] = {}
    for low, high in pairwise(levels):
        if low == high:
            continue
        below = flat[: int(np.searchsorted(heights, low, side="right"))]
        now = _boxes(below[front(below)], reference[:-1]) if len(below) else _boxes(below, reference[:-1])
        current = dict.fromkeys(now, low)
        for box in [item for item in open_since if item not in current]:
            found.append(_raised(box, open_since.pop(box), low))
        for box in current:
            open_since.setdefault(box, low)
    return found + [_raised(box, since, levels[-1]) for box, since in open_since.items()]


def _raised(box: Box, low: float, high: float) -> Box:
    return (*box[0], low), (*box[1], high)


def _strips(values: Floats, reference: Floats) -> list[Box]:
    """Along the first objective: between two neighbours everything below the left one's second value is free."""
    rows = values[np.lexsort((values[:, 1], values[:, 0]))].tolist()
    top, right = float(reference[1]), float(reference[0])
    left = -math.inf
    strips: list[Box] = []
    for x, y in rows:
        if y >= top:  # doubles of a flattened front
            continue
        if x > left:
            strips.append(((left, -math.inf), (x, top)))
        left, top = x, y
    strips.append(((left, -math.inf), (right, top)))
    return strips


def thinned(values: Floats, most: int) -> Ints:
    """Places of at most `most` rows of a front (n, m) that stand for it: the best of each objective, then always the
    row farthest from those chosen, in shares of the front's range.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    low, width = values.min(axis=0), np.ptp(values, axis=0)
    scaled = (values - low) / np.where(width > 0, width, 1.0)
    chosen = list(dict.fromkeys(np.argmin(scaled, axis=0).tolist()))[:most]
    apart = np.min([((scaled - scaled[row]) ** 2).sum(axis=1) for row in chosen], axis=0)
    while len(chosen) < most:
        row = int(np.argmax(apart))
        chosen.append(row)
        apart = np.minimum(apart, ((scaled - scaled[row]) ** 2).sum(axis=1))
    return np.sort(np.array(chosen, dtype=np.int64))


def improvement(points: Floats, boxes: Boxes) -> Floats:
    """(q,) what each row of points (q, m) would add to the volume."""
    sides = np.maximum(boxes.upper[None] - np.maximum(points[:, None], boxes.lower[None]), 0.0)
    return np.asarray(sides.prod(axis=2).sum(axis=1))


# --- the expectation ------------------------------------------------------------------------------------------------


def log_expected_improvement(mean: Floats, sd: Floats, boxes: Boxes) -> Floats:
    """(q,) the logarithm of the expected improvement of independent normal predictions mean (q, m), sd (q, m)."""
    total: Floats | float = 0.0
    for j, cuts in enumerate(boxes.cuts):
        z = (cuts - mean[:, j, None]) / sd[:, j, None]
        psi = _log_h(z)[0] + np.log(sd[:, j, None])
        total = total + _log_difference(psi[:, boxes.last[:, j]], psi[:, boxes.first[:, j]])[0]
    return _log_sum(np.asarray(total))[0]


def log_expected_improvement_with_gradients(mean: Floats, sd: Floats, boxes: Boxes) -> tuple[Floats, Floats, Floats]:
    """(log EHVI (q,), its derivatives by mean (q, m), by sd (q, m))."""
    total: Floats | float = 0.0
    by_mean, by_sd = [], []
    for j, cuts in enumerate(boxes.cuts):
        s = sd[:, j, None]
        z = (cuts - mean[:, j, None]) / s
        log_h, slope = _log_h(z)
        psi = log_h + np.log(s)
        with np.errstate(invalid="ignore"):
            density = np.where(np.isneginf(z), 0.0, 1.0 - z * slope)  # phi / h
        high, low = boxes.last[:, j], boxes.first[:, j]
        term, share = _log_difference(psi[:, high], psi[:, low])
        rest = 1.0 / np.maximum(1.0 - share, 1e-300)
        total = total + term
        by_mean.append((share * slope[:, low] - slope[:, high]) * rest / s)
        by_sd.append((density[:, high] - share * density[:, low]) * rest / s)
    value, weights = _log_sum(np.asarray(total))
    to_mean = np.stack([(weights * item).sum(axis=1) for item in by_mean], axis=1)
    return value, to_mean, np.stack([(weights * item).sum(axis=1) for item in by_sd], axis=1)


def _log_h(z: Floats) -> tuple[Floats, Floats]:
    """(log h(z), Phi(z) / h(z)), any shape; (-inf, 0) at -inf. One erfcx each: h(-a) = phi(a) (1 - a R(a)) with Mills'
    ratio R, and h(a) = a + h(-a).
    """
    from scipy.special import erfcx

    a = np.minimum(np.abs(z), 1e150)
    mills = math.sqrt(0.5 * math.pi) * erfcx(a * math.sqrt(0.5))
    far = a > _SERIES
    squared = 1.0 / np.maximum(a * a, 1.0)
    bracket = np.where(far, squared * (1.0 - 3.0 * squared + 15.0 * squared**2), 1.0 - a * mills)
    log_low = -0.5 * a * a - _HALF_LOG_2PI + np.log(bracket)  # log h(-a)
    low = np.exp(-0.5 * a * a - _HALF_LOG_2PI)  # phi(a)
    positive = z > 0
    high = np.where(positive, a, 1.0) + low * bracket
    value = np.where(positive, np.log(high), np.where(np.isneginf(z), -np.inf, log_low))
    slope = np.where(positive, (1.0 - low * mills) / high, mills / bracket)
    return value, np.where(np.isneginf(z), 0.0, slope)


def _log_difference(high: Floats, low: Floats) -> tuple[Floats, Floats]:
    """(log(e^high - e^low), e^(low - high)) for high > low (-inf allowed)."""
    gap = np.minimum(low - high, -1e-15)
    share = np.exp(gap)
    return high + np.log(-np.expm1(gap)), share


def _log_sum(terms: Floats) -> tuple[Floats, Floats]:
    """(log sum_k e^terms (q,), the terms' shares of it (q, K)) of terms (q, K)."""
    top = terms.max(axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    parts = np.exp(terms - top)
    total = np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)
    return (top + np.log(total))[:, 0], parts / total
