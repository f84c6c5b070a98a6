"""Controllers: a pendulum on a cart, and turbines placed in a field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .registry import Made, problem
from .variables import Real


def swing(command: Any, length: float, mass: float, start: float, push: float) -> float:
    """The cost of keeping a pendulum upright for 4 s (200 steps): angle, place and force, and 60 a second after a fall.

    command: (angle, its speed, place, its speed, dt) -> force, cut at 20 N; a push comes after 2 s.
    """
    angle, turn, place, speed = start, 0.0, 0.0, 0.0
    cost, dt, cart = 0.0, 0.02, 1.0
    for k in range(200):
        force = min(max(command(angle, turn, place, speed, dt), -20.0), 20.0)
        felt = force + (push if 100 <= k < 105 else 0.0)
        for _ in range(2):
            sin, cos = math.sin(angle), math.cos(angle)
            pull = (felt + mass * length * turn * turn * sin) / (cart + mass)
            spin = (9.81 * sin - cos * pull) / (length * (4 / 3 - mass * cos * cos / (cart + mass)))
            speed += dt / 2 * (pull - mass * length * spin * cos / (cart + mass))
            place += dt / 2 * speed
            turn += dt / 2 * spin
            angle += dt / 2 * turn
        if abs(angle) > 1.2 or abs(place) > 5:
            return 60 * (4 - k * dt) + cost
        cost += dt * (20 * angle * angle + place * place + 0.002 * force * force)
    return cost


def carts(instance: int) -> list[tuple[float, float, float, float]]:
    """Three pendulums (length, mass, start angle, push) that one controller has to hold."""
    rng = np.random.default_rng(instance)
    return [tuple(map(float, rng.uniform([0.3, 0.05, -0.25, -12], [1.0, 0.4, 0.25, 12]))) for _ in range(3)]  # type: ignore[misc]


@problem("pendulum", 5)
def pendulum(instance: int) -> Made:
    """A PID on the angle with a filter, and a gain on the cart's place."""
    cases = carts(instance)

    def evaluate(p: dict[str, Any]) -> float:
        total = 0.0
        for case in cases:
            memory = {"sum": 0.0, "rate": 0.0}

            def command(angle: float, turn: float, place: float, speed: float, dt: float, m: Any = memory) -> float:
                error = angle + p["centre"] * (place + speed)
                m["sum"] += error * dt
                m["rate"] += (turn - m["rate"]) * min(dt / p["filter"], 1.0)
                return float(p["kp"] * error + p["ki"] * m["sum"] + p["kd"] * m["rate"])

            total += swing(command, *case)
        return total / len(cases)

    return Made(
        [
            Real(name="kp", low=1.0, high=500.0, log=True),
            Real(name="ki", low=0.01, high=500.0, log=True),
            Real(name="kd", low=0.1, high=100.0, log=True),
            Real(name="filter", low=0.002, high=0.5, log=True),
            Real(name="centre", low=-0.1, high=0.4),
        ],
        evaluate,
    )


@problem("wind_farm", 10)
def wind_farm(instance: int) -> Made:
    """Five turbines in a field of 2 km: the power lost to each other's wakes (Jensen's model), over 16 directions."""
    rng = np.random.default_rng(instance)
    angles = np.arange(16) * np.pi / 8
    share = rng.dirichlet(np.full(16, 1.5))
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    radius, spread = 40.0, 0.05

    def evaluate(p: dict[str, Any]) -> float:
        place = np.array([[p[f"x{i}"], p[f"y{i}"]] for i in range(5)])
        apart = place[:, None, :] - place[None, :, :]  # [i, j]: from j to i
        down = apart @ along.T
        across = np.abs(apart @ np.stack([-along[:, 1], along[:, 0]]))
        wake = radius + spread * np.maximum(down, 0)
        inside = 1 / (1 + np.exp(np.clip((across - wake) / 12.0, -50, 50))) * (down > 0)
        deficit = np.sqrt(np.sum((2 / 3 * inside * (radius / wake) ** 2) ** 2, axis=1))
        power = np.sum((1 - np.minimum(deficit, 1)) ** 3, axis=0)
        near = np.sqrt((apart**2).sum(axis=2)) + 1e9 * np.eye(5)
        close = np.sum(np.maximum(1 - near / 200, 0)) / 2  # at least 200 m between two
        cable = np.sum(np.sort(near, axis=1)[:, 0]) / 1000
        return float(100 * (1 - power @ share / 5) + 40 * close + 0.5 * cable)

    return Made(
        [Real(name=f"{axis}{i}", low=0.0, high=2000.0) for i in range(5) for axis in "xy"],
        evaluate,
    )
