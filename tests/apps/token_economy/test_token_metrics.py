"""Formulas of metrics on runs made by hand, and summaries over paths."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from thalweg.apps.token_economy import metrics
from thalweg.apps.token_economy.metrics import METRICS, SCORES
from thalweg.apps.token_economy.parameters import PARAMETERS
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.state import Scene
from thalweg.apps.token_economy.summary import Summary, error_of, tail_mean, weights_of
from thalweg.apps.token_economy.world import World
from thalweg.core.errors import ProblemError

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "token-economy.md"


def test_metrics_follow_from_the_days() -> None:
    """Everything that is a sum over days, computed again from the days themselves."""
    kept: dict[str, list[np.ndarray]] = {}

    def watch(at: Scene) -> None:
        for name in ("change", "volume", "revenue", "attack", "energy", "served", "wanted"):
            kept.setdefault(name, []).append(np.array(getattr(at.day, name)))
        for name in ("pool_usd", "price", "supply", "log_price"):
            kept.setdefault(name, []).append(np.array(getattr(at.state, name)))

    found = Simulator(paths=6, days=80).evaluate({"consensus": "pow", "trading_fee": 0.003}, watch=watch)
    days = {name: np.stack(values) for name, values in kept.items()}
    worth = days["price"] * days["supply"]
    pool, payments = days["pool_usd"].mean(0), days["served"].sum(0) / 50.0
    levels = np.concatenate([np.zeros((1, 1, 6)), days["log_price"]])
    fall = 1 - np.exp(-(np.maximum.accumulate(levels, axis=0) - levels).max(0))
    volatility = np.sqrt(365 * (days["change"] ** 2).mean(0))
    attack, kwh = days["attack"].mean(0), days["energy"].sum(0) / payments
    busy = np.minimum(days["volume"].mean(0) / (0.1 * pool), 1)
    expected = {
        "annual_volatility": volatility,
        "price_stability": 1 / (1 + volatility),
        "max_drawdown": fall,
        "price_drift": np.abs(days["log_price"][-1]),
        "attack_cost": attack,
        "weakest_attack_cost": days["attack"].min(0),
        "network_security": attack / (attack + days["served"].mean(0)),
        "security_budget": 365 * (days["revenue"] / worth).mean(0),
        "volume": days["volume"].mean(0),
        "depth_2pct": pool * (np.sqrt(1.02) - 1),
        "slippage": 1e4 / pool,
        "illiquidity": 1e6 * (np.abs(days["change"]) / days["volume"]).mean(0),
        "liquidity": 0.4 * busy + 0.4 * pool / (pool + 1e6) + 0.2 * pool / (pool + 1e4),
        "pool_fee_yield": 365 * 0.003 * days["volume"].mean(0) / (2 * pool),
        "energy": days["energy"].mean(0),
        "energy_per_payment": kwh,
        "energy_efficiency": 1 / (1 + kwh),
        "energy_per_usd": days["energy"].sum(0) / worth.sum(0),
        "payments": payments / 80,
        "turned_away": 1 - days["served"].sum(0) / days["wanted"].sum(0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found.paths[name], np.broadcast_to(values, (1, 6)), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(("exponent", "threshold"), [(1.0, 0.5), (1.0, 1 / 3), (0.0, 0.5), (0.0, 1 / 3)])
def test_nakamoto_counts_the_largest(exponent: float, threshold: float) -> None:
    for count in (1, 2, 3, 10, 21, 100, 997):
        shares = np.arange(1.0, count + 1) ** -exponent
        shares /= shares.sum()
        slow = next(k for k in range(1, count + 1) if shares[:k].sum() > threshold + 1e-12)
        sums = metrics._zipf_sums(exponent, count)
        assert metrics._above(sums, sums[[count]] * threshold)[0] == slow


def test_gini_without_income_is_that_of_the_first_holders() -> None:
    rows = {"consensus": "poa", "block_reward": 0.0, "transaction_fee": 0.0}
    for tail, gini in ((1.5, 0.5), (2.0, 1 / 3)):
        found = Simulator(paths=2, days=10, world=World(pareto_tail=tail)).evaluate(rows)
        assert found.mean["gini"][0] == pytest.approx(gini)
    paid = Simulator(paths=2, days=365).evaluate({"consensus": "poa", "block_reward": 10.0, "initial_supply": 1e6})
    assert paid.mean["gini"][0] > 0.55


def test_the_worst_twentieth() -> None:
    values = np.arange(100.0)[None]
    assert tail_mean(values, "more")[0] == 2.0
    assert tail_mean(values, "less")[0] == 97.0
    assert tail_mean(values[:, :3], "more")[0] == 0.0
    assert np.isnan(error_of(np.ones((1, 1)))[0])
    assert error_of(values)[0] == pytest.approx(values.std(ddof=1) / 10)


def test_the_told_error_is_the_true_one() -> None:
    """Means of independent seeds scatter as one run's Monte-Carlo error says."""
    runs = [Simulator(paths=64, days=60, seed=seed).evaluate({}) for seed in range(60)]
    for name in ("final_price", "annual_volatility", "attack_cost"):
        scatter = np.std([run.mean[name][0] for run in runs], ddof=1)
        told = np.mean([run.error[name][0] for run in runs])
        assert 0.75 < scatter / told < 1.3, name


def test_weights() -> None:
    run = Simulator(paths=4, days=20).evaluate({"consensus": ["pow", "pos"]})
    assert (run.weighted({"liquidity": 3.0}) == run.paths["liquidity"]).all()
    half = run.weighted({"liquidity": 1.0, "distribution": 1.0})
    np.testing.assert_allclose(half, (run.paths["liquidity"] + run.paths["distribution"]) / 2)
    usual = sum(run.paths[name] * weight for name, weight in
                zip(SCORES, (0.3, 0.3, 0.2, 0.2), strict=False))  # fmt: skip
    np.testing.assert_allclose(run.weighted(), usual)
    for wrong in ({"profit": 1.0}, {"liquidity": -1.0}, {"liquidity": 0.0}, {"liquidity": float("nan")}):
        with pytest.raises(ProblemError, match="weights"):
            weights_of(wrong)


def test_performance_is_measured() -> None:
    told = Simulator(paths=50, days=50).evaluate({"consensus": ["pow", "poa"]}).performance()
    assert told["seconds"] > 0
    assert told["latency_seconds"] == pytest.approx(told["seconds"] / 2)
    assert told["cpu_seconds"] > 0
    assert told["path_days_per_cpu_second"] == pytest.approx(2 * 50 * 50 / told["cpu_seconds"])
    assert 10 < told["memory_mb"] < 20_000
    made = Summary({}, {"seconds": 2.0, "cpu_seconds": 1.0, "memory_bytes": 2**20, "path_days": 100.0}, 4)
    assert made.performance() == {"seconds": 2.0, "cpu_seconds": 1.0, "cpu_use": 0.5, "memory_mb": 1.0,
                                  "path_days_per_cpu_second": 100.0, "latency_seconds": 0.5}  # fmt: skip


def test_the_page_has_every_metric_and_parameter_with_its_unit() -> None:
    text = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))
    assert [name for name, metric in METRICS.items() if f"| `{name}` | {metric.unit} |" not in text] == []
    assert [name for name, known in PARAMETERS.items() if f"| `{name}` | {known.unit} |" not in text] == []
    assert [name for name, metric in METRICS.items() if metric.formula not in text] == []
