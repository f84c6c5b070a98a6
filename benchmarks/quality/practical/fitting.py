"""Fits: curves, a spectrum, an epidemic, the weights of a small network, a Gaussian process, a thin film."""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import Made, problem
from .variables import Real


@problem("pharmacokinetics", 5)
def pharmacokinetics(instance: int) -> Made:
    """Two compartments after an oral dose: absorption, clearance, volumes, exchange; log residuals of 14 samples."""
    rng = np.random.default_rng(instance)
    hours = np.array([0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 36])
    truth = np.exp(np.log([1.2, 5.0, 20.0, 8.0, 50.0]) + rng.normal(0, 0.4, 5))

    def curve(ka: float, clearance: float, v1: float, exchange: float, v2: float) -> np.ndarray:
        k10, k12, k21 = clearance / v1, exchange / v1, exchange / v2
        total = k10 + k12 + k21
        root = np.sqrt(max(total**2 - 4 * k10 * k21, 0.0))
        fast, slow = (total + root) / 2, (total - root) / 2

        def part(rate: float, other: float) -> np.ndarray:
            return (k21 - rate) / ((ka - rate) * (other - rate)) * np.exp(-rate * hours)

        last = (k21 - ka) / ((fast - ka) * (slow - ka)) * np.exp(-ka * hours)
        return np.asarray(100.0 * ka / v1 * (part(fast, slow) + part(slow, fast) + last))

    seen = curve(*truth) * np.exp(rng.normal(0, 0.05, len(hours)))

    def evaluate(p: dict[str, Any]) -> float:
        with np.errstate(all="ignore"):
            guess = curve(p["ka"], p["clearance"], p["v1"], p["exchange"], p["v2"])
        if not np.all(np.isfinite(guess)):
            return 50.0
        return float(np.sqrt(np.mean((np.log(np.maximum(guess, 1e-6)) - np.log(seen)) ** 2)))

    spans = {"ka": (0.05, 20), "clearance": (0.2, 100), "v1": (1, 500), "exchange": (0.1, 200), "v2": (1, 1000)}
    return Made([Real(name=n, low=low, high=high, log=True) for n, (low, high) in spans.items()], evaluate)


@problem("spectrum", 11)
def spectrum(instance: int) -> Made:
    """Three peaks on a sloping ground: place, height and width of each, and the ground's two numbers."""
    rng = np.random.default_rng(instance)
    axis = np.linspace(0, 10, 160)
    places = np.sort(rng.uniform(1, 9, 3))
    heights, widths = rng.uniform(0.5, 4, 3), rng.uniform(0.15, 0.9, 3)

    def curve(m: np.ndarray, h: np.ndarray, w: np.ndarray, ground: float, slope: float) -> np.ndarray:
        return np.asarray(ground + slope * axis + np.exp(-0.5 * ((axis - m[:, None]) / w[:, None]) ** 2).T @ h)

    seen = curve(places, heights, widths, 0.4, 0.05) + rng.normal(0, 0.05, len(axis))

    def evaluate(p: dict[str, Any]) -> float:
        m, h, w = (np.array([p[f"{kind}{i}"] for i in range(3)]) for kind in ("place", "height", "width"))
        return float(np.sqrt(np.mean((curve(m, h, w, p["ground"], p["slope"]) - seen) ** 2)))

    peaks = [
        variable
        for i in range(3)
        for variable in (
            Real(name=f"place{i}", low=0.0, high=10.0),
            Real(name=f"height{i}", low=0.1, high=6.0),
            Real(name=f"width{i}", low=0.05, high=3.0, log=True),
        )
    ]
    return Made([*peaks, Real(name="ground", low=-1.0, high=2.0), Real(name="slope", low=-0.3, high=0.3)], evaluate)


@problem("epidemic", 6)
def epidemic(instance: int) -> Made:
    """An epidemic's daily cases with a lockdown: contact, incubation, recovery, first cases, day, strength."""
    rng = np.random.default_rng(instance)
    days, people = 120, 1e6
    truth = (
        rng.uniform(0.35, 0.6),
        rng.uniform(0.15, 0.35),
        rng.uniform(0.1, 0.2),
        10 ** rng.uniform(1, 2.3),
        rng.uniform(35, 60),
        rng.uniform(0.4, 0.8),
    )

    def cases(
        contact: float, incubation: float, recovery: float, first: float, day: float, strength: float
    ) -> np.ndarray:
        s, e, i = people - first, first, 0.0
        out = []
        for today in range(days):
            share = min(max(today + 1 - day, 0.0), 1.0)  # of the day under lockdown, so that the day is felt smoothly
            new = min(contact * (1 - strength * share) * s * i / people, s)
            ill = incubation * e
            s, e, i = s - new, e + new - ill, i + ill - recovery * i
            out.append(ill)
        return np.array(out)

    seen = rng.poisson(cases(*truth)).astype(float)

    def evaluate(p: dict[str, Any]) -> float:
        guess = cases(p["contact"], p["incubation"], p["recovery"], p["first"], p["day"], p["strength"])
        return float(np.sqrt(np.mean((np.sqrt(np.maximum(guess, 0)) - np.sqrt(seen)) ** 2)))

    return Made(
        [
            Real(name="contact", low=0.05, high=1.5),
            Real(name="incubation", low=0.05, high=0.9),
            Real(name="recovery", low=0.03, high=0.6),
            Real(name="first", low=1.0, high=3000.0, log=True),
            Real(name="day", low=0.0, high=120.0),
            Real(name="strength", low=0.0, high=1.0),
        ],
        evaluate,
    )


@problem("neural_weights", 25)
def neural_weights(instance: int) -> Made:
    """The 25 weights of a network 2-6-1 that learns to tell two moons apart; log loss with a little decay."""
    rng = np.random.default_rng(instance)
    angle = rng.uniform(0, np.pi, 60)
    moon = np.column_stack([np.cos(angle), np.sin(angle)])
    x = np.vstack([moon[:30], np.array([1.0, 0.4]) - moon[30:]]) + rng.normal(0, 0.12, (60, 2))
    sign = np.repeat([1.0, -1.0], 30)

    def evaluate(p: dict[str, Any]) -> float:
        w = np.fromiter(p.values(), dtype=float, count=25)
        hidden = np.tanh(x @ w[:12].reshape(2, 6) + w[12:18])
        margin = sign * (hidden @ w[18:24] + w[24])
        return float(np.mean(np.logaddexp(0.0, -margin)) + 1e-4 * w @ w)

    return Made([Real(name=f"w{i}", low=-5.0, high=5.0) for i in range(25)], evaluate)


@problem("gaussian_process", 8)
def gaussian_process(instance: int) -> Made:
    """A Gaussian process' six lengths, amplitude and noise by its likelihood, 60 patients of the diabetes data."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    columns = [2, 3, 4, 6, 8, 9] if instance <= 3 else [0, 2, 3, 5, 7, 8]
    rows = np.random.default_rng(instance).permutation(len(y))[:60]
    x = (x[rows] / x.std(axis=0))[:, columns]
    y = (y[rows] - y[rows].mean()) / y[rows].std()
    apart = (x[:, None, :] - x[None, :, :]) ** 2

    def evaluate(p: dict[str, Any]) -> float:
        inverse = np.array([p[f"length{i}"] ** -2.0 for i in range(6)])
        cover = p["amplitude"] * np.exp(-0.5 * apart @ inverse) + (p["noise"] + 1e-9) * np.eye(60)
        root = np.linalg.cholesky(cover)
        solved = np.linalg.solve(root, y)
        return float((0.5 * solved @ solved + np.log(np.diag(root)).sum()) / 60)

    lengths = [Real(name=f"length{i}", low=0.05, high=100.0, log=True) for i in range(6)]
    return Made(
        [
            *lengths,
            Real(name="amplitude", low=0.01, high=100.0, log=True),
            Real(name="noise", low=1e-4, high=10.0, log=True),
        ],
        evaluate,
    )


@problem("coating", 8)
def coating(instance: int) -> Made:
    """Eight layers of two glasses that shall reflect little between 420 and 680 nm: their thicknesses in nm."""
    rng = np.random.default_rng(instance)
    waves = np.linspace(420, 680, 27)
    high, low, glass = rng.uniform(2.0, 2.5), rng.uniform(1.38, 1.48), rng.uniform(1.5, 1.8)
    wanted = 0.0 if instance <= 3 else 0.2  # from 4 on: a mirror of 20 % at every wavelength

    def evaluate(p: dict[str, Any]) -> float:
        b, c = np.ones(len(waves), complex), np.full(len(waves), glass, complex)
        for i in reversed(range(8)):
            index = high if i % 2 else low
            phase = 2 * np.pi * index * p[f"layer{i}"] / waves
            cos, sin = np.cos(phase), 1j * np.sin(phase)
            b, c = cos * b + sin / index * c, index * sin * b + cos * c
        reflected = np.abs((b - c) / (b + c)) ** 2
        return float(np.sqrt(np.mean((reflected - wanted) ** 2)))

    return Made([Real(name=f"layer{i}", low=5.0, high=250.0) for i in range(8)], evaluate)
