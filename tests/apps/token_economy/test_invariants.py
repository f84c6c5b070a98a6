"""What must hold on every day of every path, over the whole box and every kind of consensus."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.apps.token_economy.consensus import CONSENSUS
from thalweg.apps.token_economy.metrics import METRICS, SCORES
from thalweg.apps.token_economy.parameters import columns_of, space_of
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.state import Scene
from thalweg.apps.token_economy.world import Shock, World

BALANCES = ("supply", "liquid", "staked", "unbonding", "pool_tokens", "pool_usd", "price", "adoption")


class Books:
    """The worst violation seen of each identity."""

    def __init__(self) -> None:
        self.worst = dict.fromkeys(("supply", "partition", "product", "negative"), 0.0)
        self.days = 0
        self.most_unbonding = 0.0

    def __call__(self, at: Scene) -> None:
        state, config, day = at.state, at.config, at.day
        parts = state.liquid + state.staked + state.unbonding + state.pool_tokens
        told = {
            "supply": np.abs((config.supply0 + state.issued - state.burned) / state.supply - 1),
            "partition": np.abs(parts / state.supply - 1),
            "product": np.abs(state.pool_tokens * state.pool_usd / state.product - 1),
            "negative": np.max([-getattr(state, name) for name in BALANCES], axis=0),
        }
        for name, seen in told.items():
            assert np.isfinite(seen).all()
            self.worst[name] = max(self.worst[name], float(np.max(seen)))
        for name in ("attack", "energy", "revenue", "flow", "change", "participation"):
            assert np.isfinite(getattr(day, name)).all(), name
        self.days += 1
        self.most_unbonding = max(self.most_unbonding, float(np.max(state.unbonding / state.supply)))

    def check(self) -> None:
        assert self.worst["negative"] == 0.0
        assert {name: value for name, value in self.worst.items() if value > 1e-10} == {}


@pytest.mark.parametrize("preset", ["consensus", "full"])
def test_identities_over_ten_thousand_configurations(preset: str) -> None:
    space = space_of(preset, "any")
    points = space.sample(5000, np.random.default_rng(1))
    columns = space.to_columns(*space.resolve(points)[1:])
    assert set(np.unique(columns["consensus"])) == set(CONSENSUS)
    books = Books()
    summary = Simulator(paths=2, days=365, seed=1).evaluate(columns, watch=books)
    books.check()
    assert books.days >= 365
    assert books.most_unbonding > 1e-3  # the queue was in use
    for name, values in summary.paths.items():
        assert np.isfinite(values).all(), name
    for name in SCORES:
        assert (summary.paths[name] >= 0).all()
        assert (summary.paths[name] <= 1).all()


@pytest.mark.parametrize("kind", list(CONSENSUS))
def test_identities_survive_ten_years_of_shocks_at_the_corners(kind: str) -> None:
    space = space_of("full", kind)
    corners = np.random.default_rng(2).integers(0, 2, (40, space.dimension)).astype(float)
    columns = space.to_columns(*space.resolve(corners)[1:])
    shocks = (Shock(400, demand=0.01, electricity=10.0), Shock(1500, demand=50.0), Shock(2500, demand=0.2))
    books = Books()
    Simulator(paths=2, days=3650, seed=3, world=World(shocks=shocks)).evaluate(columns, watch=books)
    books.check()


def test_the_books_find_a_mistake() -> None:
    """The check itself can fail: tokens that appear from nowhere, a balance below zero."""

    def forge(at: Scene) -> None:
        at.state.liquid = at.state.liquid + 1.0
        books(at)

    books = Books()
    Simulator(paths=2, days=5).evaluate({"initial_supply": 1e6}, watch=forge)
    with pytest.raises(AssertionError):
        books.check()


def test_every_core_parameter_moves_a_metric_for_every_kind() -> None:
    for kind in CONSENSUS:
        space = space_of("consensus", kind)
        for name in space.names[1:]:
            low, high = space.parameters[name].low, space.parameters[name].high  # type: ignore[attr-defined]
            rows = [{"consensus": kind, name: value} for value in (low, high)]
            found = Simulator(paths=8, days=120).evaluate(columns_of(rows)).mean
            moved = [metric for metric in METRICS if abs(np.diff(found[metric])[0]) > 1e-6 * abs(found[metric]).max()]
            assert moved, f"{kind}: {name} changes nothing"
