"""The simulator's promises: seeds, batches, fidelity, plug-ins, messages."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from thalweg.apps.token_economy.consensus import CONSENSUS, Consensus
from thalweg.apps.token_economy.consensus.authority import Authority
from thalweg.apps.token_economy.metrics import METRICS
from thalweg.apps.token_economy.noise import standard_noise
from thalweg.apps.token_economy.parameters import PARAMETERS, columns_of, space_of
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.state import Scene
from thalweg.apps.token_economy.world import Shock, World
from thalweg.core.batch import Floats
from thalweg.core.errors import ProblemError

KINDS = list(CONSENSUS)


def test_one_seed_one_result_bit_by_bit() -> None:
    columns = {"consensus": KINDS, "block_reward": [0.5, 1.0, 2.0, 4.0]}
    first, second = (Simulator(paths=40, days=60, seed=5).evaluate(columns) for _ in range(2))
    other = Simulator(paths=40, days=60, seed=6).evaluate(columns)
    for name in METRICS:
        assert (first.paths[name] == second.paths[name]).all()
    assert (first.paths["final_price"] != other.paths["final_price"]).all()


def test_a_row_does_not_depend_on_its_company() -> None:
    space = space_of("full", "any")
    columns = space.to_columns(*space.resolve(space.sample(300, np.random.default_rng(0)))[1:])
    simulator = Simulator(paths=70, days=20)
    whole = simulator.evaluate(columns)
    for row in (0, 17, 299):
        alone = simulator.evaluate({name: column[row : row + 1] for name, column in columns.items()})
        for name in METRICS:
            assert (alone.paths[name][0] == whole.paths[name][row]).all(), name


def test_a_cheaper_run_is_a_part_of_a_dearer_one() -> None:
    noise = standard_noise(3, paths=200, days=50)
    assert (standard_noise(3, paths=100, days=20) == noise[:20, :, :100]).all()
    assert (standard_noise(4, paths=100, days=20) != noise[:20, :, :100]).all()
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03
    few, many = Simulator(paths=30, days=40, seed=3), Simulator(paths=90, days=40, seed=3)
    assert (few.evaluate({}).paths["final_price"] == many.evaluate({}).paths["final_price"][:, :30]).all()
    assert many.at(paths=30) == few


def test_common_numbers_make_differences_precise() -> None:
    rows = columns_of([{"block_reward": 1.0}, {"block_reward": 1.2}])
    paths = Simulator(paths=400, days=100).evaluate(rows).paths["final_price"]
    paired = (paths[1] - paths[0]).std()
    assert paired < 0.02 * np.sqrt(2) * paths[0].std()


def test_conditional_children_reach_the_simulator() -> None:
    space = space_of("consensus", "any")
    assert space.conditional
    points = space.sample(400, np.random.default_rng(0))
    _, reals, active = space.resolve(points)
    columns = space.to_columns(reals, active)
    for kind, child in (("pow", "target_block_time"), ("pos", "staking_apy"), ("dpos", "num_delegates"),
                        ("poa", "authority_bond")):  # fmt: skip
        inactive = np.isnan(columns[child].astype(float))
        assert (inactive == ~np.isin(columns["consensus"], [k for k in KINDS if child in CONSENSUS[k].children])).all()
        rows = [{"consensus": kind}, {"consensus": kind, child: 0.6 * PARAMETERS[child].default}]
        found = Simulator(paths=4, days=60).evaluate(columns_of(rows)).paths
        assert any((found[name][0] != found[name][1]).any() for name in METRICS), child


def test_the_full_preset_has_fifteen_parameters_and_each_of_them_counts() -> None:
    space = space_of("full", "any")
    assert len(space.names) == 15
    base = {"consensus": "pos", "liquidity_ratio": 0.2, "initial_supply": 2e6, "num_participants": 50}
    for name in space.names[1:]:
        known = PARAMETERS[name]
        rows = [{**base, name: value} for value in (known.low, known.high)]
        found = Simulator(paths=4, days=90).evaluate(columns_of(rows)).paths
        assert any((found[metric][0] != found[metric][1]).any() for metric in METRICS), name


def test_another_consensus_can_be_plugged_in() -> None:
    class Charity(Authority):
        """Nobody is paid."""

        code: ClassVar[int | None] = None

        def issuance(self, at: Scene) -> Floats:
            return np.zeros_like(at.config.supply0)

    kinds: dict[str, Consensus] = {"charity": Charity()}
    found = Simulator(paths=4, days=30, kinds=kinds).evaluate({"consensus": ["charity", "poa"]}).mean
    assert found["inflation"][0] < 0 < found["security_budget"][0] < found["security_budget"][1]
    with pytest.raises(ProblemError, match="charity"):
        Simulator().evaluate({"consensus": ["charity"]})


def test_a_controller_changes_parameters_on_the_way() -> None:
    class Stop:
        """Ends issuance after ten days."""

        def __call__(self, at: Scene) -> dict[str, Floats]:
            return {"block_reward": np.zeros((1, 1))} if at.day.number == 9 else {}

    quiet = {"consensus": "poa", "block_reward": 2.0, "transaction_fee": 0.0}
    found = Simulator(paths=2, days=50).evaluate(quiet, controller=Stop())
    assert found.mean["inflation"][0] * 1e7 * 50 / 365 == pytest.approx(2.0 * 144 * 10)
    with pytest.raises(ProblemError, match="may change block_reward"):
        Simulator(paths=2, days=2).evaluate(quiet, controller=lambda *_: {"market_depth": np.ones((1, 1))})
    with pytest.raises(ProblemError, match="not finite"):
        Simulator(paths=2, days=2).evaluate(quiet, controller=lambda *_: {"block_reward": np.full((1, 1), -1.0)})


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"block_rewards": [1.0]}, "did you mean block_reward"),
        ({"consensus": ["pox"]}, "one of pow, pos, dpos, poa"),
        ({"initial_supply": [0.0]}, r"initial_supply \(tokens\): finite and above 0"),
        ({"market_depth": [1e6, 2e6], "initial_price": [1.0, 2.0, 3.0]}, "columns must be of one length"),
        ({"burn_share": [1.5]}, "at most 1"),
        ({"initial_price": ["cheap"]}, "numbers are expected"),
        ({"initial_price": [np.inf]}, "finite"),
    ],
)
def test_mistakes_in_columns_are_named(columns: dict[str, object], said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        Simulator(paths=2, days=2).evaluate(columns)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Simulator(paths=0), "paths is a whole number"),
        (lambda: Simulator(days=1.5), "days is a whole number"),
        (lambda: Simulator(seed=-1), "seed"),
        (lambda: Simulator(engine="cuda"), "engine"),
        (lambda: World(electricity=-1.0), "electricity"),
        (lambda: World(pareto_tail=1.0), "pareto_tail > 1"),
        (lambda: World(shocks=(Shock(9), Shock(3))), "order of their days"),
        (lambda: Shock(1, demand=0.0), "positive factor"),
        (lambda: space_of("core", "pox"), "consensus"),
        (lambda: space_of("small"), "preset"),
    ],
)
def test_mistakes_in_settings_are_named(make: object, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        make()  # type: ignore[operator]
