"""The search: first points, fresh noise, fronts, what parameters do, stores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thalweg.apps.token_economy.outcome import Look, judge
from thalweg.apps.token_economy.parameters import space_of
from thalweg.apps.token_economy.search import FRESH, Search, stored
from thalweg.apps.token_economy.sensitivity import sensitivity
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.summary import tail_error, tail_mean
from thalweg.core.errors import ProblemError, StrategyError
from thalweg.engine.load import load
from thalweg.numerics.hypervolume import hypervolume
from thalweg.parts.stores import open_store

QUICK = {"paths": 100, "days": 120}


def test_iterations_are_all_evaluations_and_the_first_are_the_initial_ones() -> None:
    search = Search(consensus="pos", iterations=14, initial_points=6, strategy="random", **QUICK)
    outcome = search.run()
    assert outcome.result.evaluations == 14
    assert outcome.as_dict()["initial"] == list(range(6))
    first = outcome.result.trials[0].params
    assert first == {"consensus": "pos", "block_reward": 1.0, "initial_supply": 1e7, "market_depth": 1e6,
                     "initial_price": 1.0}  # fmt: skip
    assert [trial.source for trial in outcome.result.trials].count("initial") == 6
    distinct = {tuple(trial.params.values()) for trial in outcome.result.trials}
    assert len(distinct) == 14


def test_what_ends_at_a_bound_is_said() -> None:
    """Liquidity alone wants the deepest pool that may be searched."""
    outcome = Search(consensus="pow", iterations=25, initial_points=5, weights={"liquidity": 1}, **QUICK).run()
    assert outcome.ends["market_depth"] == "highest" == outcome.as_dict()["ends"]["market_depth"]
    assert "at the end of the range searched: " in outcome.text()
    middle = Search(consensus="pow", iterations=1, initial_points=1, **QUICK).run()  # the defaults
    assert middle.ends == {}
    assert "end of the range" not in middle.text()


def test_every_kind_has_its_own_optimum() -> None:
    """Fifty model-based evaluations each: all beat the defaults surely, and no two kinds agree on the value."""
    found = {}
    for kind in ("pow", "pos", "dpos", "poa"):
        outcome = Search(consensus=kind, iterations=30, initial_points=8, **QUICK).run()
        gain, half = outcome.gain("score")
        assert gain - half > 0.02, kind
        found[kind] = outcome.looks[0]["score"].fresh
        assert outcome.best.params["consensus"] == kind
    assert np.diff(sorted(found.values())).min() > 0.005
    assert found["pow"] == min(found.values())


def test_a_model_beats_random_points() -> None:
    """Four parameters over one to two decades each, 40 evaluations, the same noise: mean over seeds."""
    gaps = []
    for seed in range(4):
        both = [Search(consensus="pow", iterations=40, initial_points=8, strategy=strategy, seed=seed, **QUICK).run()
                for strategy in ("bayesian", "random")]  # fmt: skip
        gaps.append(both[0].best.value - both[1].best.value)
    assert np.mean(gaps) > 0.003
    assert min(gaps) > 0


def coverage(seeds: range) -> float:
    inside = 0
    for seed in seeds:
        search = Search(consensus="pos", iterations=30, initial_points=10, strategy="random", seed=seed, **QUICK)
        inside += judge(search, search.study().run(search.objective, max_evals=30, vectorised=True,
                                                   progress=False)).looks[0]["score"].holds  # fmt: skip
    return inside / len(seeds)


def test_fresh_noise_confirms_the_winner() -> None:
    assert coverage(range(20)) >= 0.85  # of 20, at most three; the long run below asks for 90 %


@pytest.mark.slow
def test_fresh_noise_confirms_the_winner_on_many_seeds() -> None:
    assert coverage(range(200)) >= 0.90


def test_fresh_noise_is_other_noise_with_more_paths() -> None:
    search = Search(seed=3, **QUICK)
    assert search.fresh == Simulator(800, 120, 3 + FRESH)
    assert not np.isin(search.fresh.noise[:, :, :100], search.simulator.noise).any()


def test_a_flattered_value_does_not_hold() -> None:
    assert Look(0.50, 0.01, 0.48, 0.01).holds
    assert not Look(0.55, 0.01, 0.48, 0.01).holds
    assert Look(0.5, 0.01, 0.48, 0.01).interval == pytest.approx((0.4604, 0.4996))


def test_risk_is_the_mean_of_the_worst_with_its_error() -> None:
    search = Search(consensus="pow", iterations=8, initial_points=8, risk="cvar", strategy="random", **QUICK)
    outcome = search.run()
    trial = outcome.best
    paths = search.simulator.evaluate({name: [item] for name, item in trial.params.items()}).weighted()
    assert trial.value == pytest.approx(tail_mean(paths, "more")[0], rel=1e-12)
    assert trial.value < paths.mean()
    assert trial.components["score_error"] == pytest.approx(tail_error(paths, "more")[0])
    # the told error is the scatter over seeds
    row = {name: [item] for name, item in trial.params.items()}
    runs = [Simulator(400, 60, seed).evaluate(row).weighted() for seed in range(60)]
    scatter = np.std([tail_mean(run, "more")[0] for run in runs], ddof=1)
    told = np.mean([tail_error(run, "more")[0] for run in runs])
    assert 0.7 < scatter / told < 1.4


def test_weights_are_respected() -> None:
    deep, safe = (
        Search(consensus="pow", iterations=40, initial_points=40, weights={name: 1.0}, strategy="random", **QUICK).run()
        for name in ("liquidity", "network_security")
    )
    assert deep.best.value == pytest.approx(max(trial.components["liquidity"] for trial in deep.result.trials))
    assert safe.best.value == pytest.approx(max(trial.components["network_security"] for trial in safe.result.trials))
    assert deep.best.params != safe.best.params


def test_a_front_has_no_weights() -> None:
    search = Search(consensus="any", preset="consensus", iterations=80, initial_points=20, pareto=True, **QUICK)
    outcome = search.run()
    assert list(search.objectives) == ["price_stability", "network_security", "liquidity", "energy_efficiency"]
    values = np.array([trial.values for trial in outcome.result.front])
    for row in values:
        assert not ((values >= row).all(axis=1) & (values > row).any(axis=1)).any()
    assert len(outcome.winners) <= 8
    told = outcome.as_dict()
    assert len(told["front"]) == len(outcome.winners)
    json.dumps(told)
    assert "Pareto front:" in outcome.text()
    children = {"pow": "target_block_time", "pos": "min_stake", "dpos": "num_delegates", "poa": "authority_bond"}
    for trial in outcome.result.trials:
        kind = trial.params["consensus"]
        assert children[kind] in trial.params
        assert ("num_delegates" in trial.params) == (kind == "dpos")


def test_fronts_are_larger_than_those_of_random_points() -> None:
    """Hypervolume of 150 configurations over all kinds, against the origin (every score is above 0)."""
    found: dict[str, list[float]] = {"nsga2": [], "random": []}
    for seed in range(2):
        for strategy, volumes in found.items():
            search = Search("any", "consensus", 150, 20, pareto=True, seed=seed, strategy=strategy, paths=50, days=120)
            study = search.study()
            result = study.run(search.objective, max_evals=150, vectorised=True, initial=search.first_points(),
                               progress=False)  # fmt: skip
            values = np.array([trial.values for trial in result.front])
            volumes.append(hypervolume(-values, np.zeros(4)))
    assert np.mean(found["nsga2"]) > np.mean(found["random"])


def test_what_changes_nothing_is_said() -> None:
    space = space_of("full", "poa")
    effects = {effect.parameter: effect for effect in sensitivity(
        Simulator(16, 60), space, {"consensus": "poa", **{name: parameter.default for name, parameter
                                   in space.parameters.items() if name != "consensus"}}, bases=3)}  # fmt: skip
    assert "staking_apy" not in effects  # authorities have none
    nothing = {name for name, effect in effects.items() if effect.nothing}
    # no miners, no stakers: nobody has a taste for risk, learns, or needs a balance; ten authorities need ten nodes
    assert nothing >= {"risk_tolerance", "learning_rate", "initial_balance", "num_participants"}
    assert not nothing & {"block_reward", "initial_supply", "market_depth", "transaction_fee", "trading_fee"}
    assert effects["risk_tolerance"].score == 0.0
    assert "changes nothing" in effects["risk_tolerance"].text()
    assert effects["market_depth"].score > 0.05
    assert "illiquidity" in effects["market_depth"].metrics
    order = [effect.score for effect in effects.values()]
    assert order == sorted(order, reverse=True)


def test_what_is_not_active_here_is_said() -> None:
    space = space_of("consensus", "any")
    around = {"consensus": "pow", "block_reward": 1.0, "initial_supply": 1e7, "market_depth": 1e6, "initial_price": 1.0,
              "difficulty_adjustment_blocks": 2016, "target_block_time": 600.0}  # fmt: skip
    effects = {effect.parameter: effect for effect in sensitivity(Simulator(8, 40), space, around)}
    assert np.isnan(effects["num_delegates"].here)
    assert "not active there" in effects["num_delegates"].text()
    assert effects["consensus"].here > 0.1


def test_a_stored_search_goes_on_and_is_reported(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/t.db"
    settings = {"consensus": "dpos", "initial_points": 4, "store": address, "seed": 5, **QUICK}
    first = Search(iterations=6, **settings).run()
    more = Search(iterations=10, **settings).run()
    assert [trial.params for trial in more.result.trials[:6]] == [trial.params for trial in first.result.trials]
    assert more.result.evaluations == 10
    whole = Search(iterations=10, **{**settings, "store": None}).run()
    assert more.best.params == whole.best.params
    store = open_store(address)
    try:
        search, name = stored(store)
        assert name == more.search.study_name
        assert search.iterations == 10
        again = judge(search, load(store, name).result)
    finally:
        store.close()
    assert again.looks == more.looks
    assert again.text().split("performance")[0] == more.text().split("performance")[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"iterations": 3}, "part of iterations"),
        ({"iterations": 0}, "iterations"),
        ({"risk": "var"}, "risk"),
        ({"weights": {"profit": 1.0}}, "weights"),
        ({"pareto": True, "weights": {"liquidity": 1.0}}, "two scores"),
        ({"consensus": "pox"}, "consensus"),
        ({"preset": "huge"}, "preset"),
        ({"paths": 0}, "paths"),
        ({"paths": 1}, "two or more"),
    ],
)
def test_mistakes_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        Search(**settings)  # type: ignore[arg-type]
    with pytest.raises(StrategyError):
        Search(strategy="psychic")
    with pytest.raises(ProblemError, match="unknown settings"):
        Search.of({"iterations": 5, "colour": "blue"})
