"""The margin that keeps integers moving.

R. Hamano, S. Saito, M. Nomura, S. Shirakawa, CMA-ES with Margin, GECCO 2022, arXiv:2205.13482, section 4.
"""

from __future__ import annotations

import math

from ...core.batch import Floats
from ._cma import Normal

_ROOT_HALF = math.sqrt(0.5)


def widen(normal: Normal, tables: list[tuple[int, Floats]], alpha: float) -> None:
    """Correct mean and scale of discrete columns so that the chance of leaving the mean's cell is at least `alpha`.

    tables: (column, borders between its cells, increasing) for every ordered discrete column.
    """
    from statistics import NormalDist

    quantile = NormalDist().inv_cdf
    normal.widened = True
    deviations = (normal.sigma * normal.scale * (normal.C.diagonal() ** 0.5)).tolist()
    for j, borders in tables:
        mean, deviation = float(normal.mean[j]), deviations[j]
        cell = int(borders.searchsorted(mean))
        if cell == 0 or cell == len(borders):  # an end cell: one border counts; eq. 20
            border = float(borders[0] if cell == 0 else borders[-1])
            reach = deviation * quantile(1 - alpha)
            distance = mean - border
            if abs(distance) > reach:
                normal.mean[j] = border + math.copysign(reach, distance)
            continue
        low, high = float(borders[cell - 1]), float(borders[cell])
        p_low, p_high = _below((low - mean) / deviation), _below((mean - high) / deviation)
        if p_low >= alpha / 2 and p_high >= alpha / 2:
            continue
        p_mid = 1 - p_low - p_high
        p_low, p_high = max(p_low, alpha / 2), max(p_high, alpha / 2)  # eq. 22-23
        lack = (1 - p_low - p_high - p_mid) / (p_low + p_high + p_mid - 3 * alpha / 2)
        p_low += lack * (p_low - alpha / 2)  # eq. 24
        p_high += lack * (p_high - alpha / 2)  # eq. 25
        below, above = quantile(1 - p_low), quantile(1 - p_high)
        if below + above <= 0:
            continue
        normal.mean[j] = (low * above + high * below) / (below + above)  # eq. 27
        normal.scale[j] *= (high - low) / (below + above) / deviation  # eq. 28


def _below(z: float) -> float:
    """P(N(0, 1) < z)"""
    return 0.5 * math.erfc(-z * _ROOT_HALF)
