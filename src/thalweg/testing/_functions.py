"""Benchmark functions on arrays (n, d) -> (n,), each with its minimum 0 at the origin unless said otherwise.

Definitions as in Jamil & Yang 2013 (arXiv:1308.4008) and Hansen et al. 2009 (BBOB, inria-00362633).
"""

from __future__ import annotations

import numpy as np

from ..core.batch import Floats


def sphere(x: Floats) -> Floats:
    """Sum of squares."""
    return np.asarray((x**2).sum(axis=1))


def ellipsoid(x: Floats) -> Floats:
    """Sum of squares with weights from 1 to 1e6."""
    weights = 10.0 ** (6.0 * np.arange(x.shape[1]) / max(x.shape[1] - 1, 1))
    return np.asarray((weights * x**2).sum(axis=1))


def rosenbrock(x: Floats) -> Floats:
    """A bent valley; minimum moved from (1, ..., 1) to the origin."""
    z = x + 1.0
    return np.asarray((100.0 * (z[:, 1:] - z[:, :-1] ** 2) ** 2 + (1.0 - z[:, :-1]) ** 2).sum(axis=1))


def rastrigin(x: Floats) -> Floats:
    """A bowl with a regular grid of local minima, one in every unit cube."""
    return np.asarray(10.0 * x.shape[1] + (x**2 - 10.0 * np.cos(2.0 * np.pi * x)).sum(axis=1))


def ackley(x: Floats) -> Floats:
    """A nearly flat, bumpy plain with a narrow funnel."""
    far = np.exp(-0.2 * np.sqrt((x**2).mean(axis=1)))
    bumps = np.exp(np.cos(2.0 * np.pi * x).mean(axis=1))
    return np.asarray(20.0 - 20.0 * far + np.e - bumps)


def schwefel(x: Floats) -> Floats:
    """On [-500, 500]^d: the best minimum is far from the second best; minimum 0 (to 1e-4 d) at 420.9687."""
    return np.asarray(418.9828872724339 * x.shape[1] - (x * np.sin(np.sqrt(np.abs(x)))).sum(axis=1))


def levy(x: Floats) -> Floats:
    """Waves along a slope in every coordinate; minimum moved to the origin."""
    w = 1.0 + x / 4.0
    head = np.sin(np.pi * w[:, 0]) ** 2
    middle = ((w[:, :-1] - 1.0) ** 2 * (1.0 + 10.0 * np.sin(np.pi * w[:, :-1] + 1.0) ** 2)).sum(axis=1)
    tail = (w[:, -1] - 1.0) ** 2 * (1.0 + np.sin(2.0 * np.pi * w[:, -1]) ** 2)
    return np.asarray(head + middle + tail)


def griewank(x: Floats) -> Floats:
    """On [-600, 600]^d: a wide bowl with fine waves."""
    waves = np.cos(x / np.sqrt(np.arange(1.0, x.shape[1] + 1.0))).prod(axis=1)
    return np.asarray(1.0 + (x**2).sum(axis=1) / 4000.0 - waves)


def step(x: Floats) -> Floats:
    """De Jong's steps: plateaus of width 1, no slope anywhere."""
    return np.asarray((np.floor(x + 0.5) ** 2).sum(axis=1))


def zdt1(x: Floats) -> Floats:
    """(n, 2): a convex front f2 = 1 - sqrt(f1) at x[1:] = 0 (Zitzler et al. 2000, doi:10.1162/106365600568202)."""
    g = 1.0 + 9.0 * x[:, 1:].mean(axis=1)
    return np.column_stack([x[:, 0], g * (1.0 - np.sqrt(x[:, 0] / g))])


def zdt2(x: Floats) -> Floats:
    """(n, 2): a front f2 = 1 - f1^2 that is not convex, at x[1:] = 0."""
    g = 1.0 + 9.0 * x[:, 1:].mean(axis=1)
    return np.column_stack([x[:, 0], g * (1.0 - (x[:, 0] / g) ** 2)])


def pressure_vessel(shell: Floats, head: Floats, radius: Floats, length: Floats) -> tuple[Floats, Floats]:
    """Cost (n,) and constraints g <= 0 (n, 3) of a cylindrical vessel (Sandgren 1990, doi:10.1115/1.2912596).

    shell, head: thicknesses (inch, multiples of 1/16);  radius, length: inner radius and length of the cylinder (inch).
    """
    cost = 0.6224 * shell * radius * length + 1.7781 * head * radius**2
    cost = cost + 3.1661 * shell**2 * length + 19.84 * shell**2 * radius
    g1 = 0.0193 * radius - shell
    g2 = 0.00954 * radius - head
    g3 = 1.0 - (np.pi * radius**2 * length + 4.0 / 3.0 * np.pi * radius**3) / 1_296_000.0  # scaled to the others
    return cost, np.column_stack([g1, g2, g3])


def welded_beam(h: Floats, ll: Floats, t: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Cost (n,) and constraints g <= 0 (n, 5, scaled) of a welded beam (Deb 2000, doi:10.1016/S0045-7825(99)00389-8).

    h, ll: thickness and length of the weld (inch);  t, b: height and width of the beam (inch).
    """
    load, span, young, shear = 6000.0, 14.0, 30e6, 12e6
    cost = 1.10471 * h**2 * ll + 0.04811 * t * b * (14.0 + ll)
    direct = load / (np.sqrt(2.0) * h * ll)
    arm = np.sqrt(0.25 * (ll**2 + (h + t) ** 2))
    twist = load * (span + 0.5 * ll) * arm
    twist = twist / (2.0 * (0.7071 * h * ll * (ll**2 / 12.0 + 0.25 * (h + t) ** 2)))
    stress = np.sqrt(direct**2 + twist**2 + ll * direct * twist / arm)
    bending = 6.0 * load * span / (b * t**2)
    deflection = 4.0 * load * span**3 / (young * t**3 * b)
    buckling = (
        4.013
        * np.sqrt(young * shear / 36.0)
        * t
        * b**3
        / span**2
        * (1.0 - t / (2.0 * span) * np.sqrt(young / (4.0 * shear)))
    )
    limits = [stress / 13600.0 - 1.0, bending / 30000.0 - 1.0, h - b, 1.0 - buckling / load, deflection / 0.25 - 1.0]
    return cost, np.column_stack(limits)
