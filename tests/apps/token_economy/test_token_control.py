"""A parameter that follows the network beats the best fixed one where the world changes."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from thalweg.apps.token_economy.control import Marginal, Utility, contest
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.state import Scene
from thalweg.apps.token_economy.world import Shock, World
from thalweg.core.batch import Floats
from thalweg.core.errors import ProblemError

CHANGING = World(shocks=(Shock(180, electricity=6.0), Shock(360, electricity=0.5), Shock(540, electricity=6.0)))
REWARDS = np.geomspace(0.1, 10, 31)


@pytest.mark.parametrize("seed", range(5))
def test_it_beats_the_best_fixed_reward_in_hindsight(seed: int) -> None:
    found = contest(Simulator(paths=40, days=720, seed=seed, world=CHANGING), Marginal(), REWARDS)
    assert found.difference > 5 * found.error
    assert found.difference > 0.005
    assert found.controlled == pytest.approx(found.best + found.difference)
    assert 0.1 < found.fixed < 10


def test_it_does_no_harm_where_nothing_changes() -> None:
    found = contest(Simulator(paths=40, days=720, seed=0), Marginal(), REWARDS)
    assert found.difference > -0.002


def test_a_controller_that_does_not_look_loses() -> None:
    """The comparison can be lost: falling rewards whatever happens."""

    def falling(at: Scene) -> dict[str, Floats]:
        return {"block_reward": np.maximum(at.config.reward * 0.99, 0.1)}

    assert contest(Simulator(paths=20, days=720, world=CHANGING), falling, REWARDS).difference < -0.01


def test_it_stays_within_its_bounds_and_steps() -> None:
    judge = Utility()
    row = {"block_reward": [4.0]}
    controller = Marginal(gain=0.1, low=1.0, high=5.0)
    Simulator(paths=10, days=400, world=CHANGING).evaluate(row, watch=judge, controller=controller)
    rewards = np.array(judge.rewards)
    assert rewards.min() == pytest.approx(1.0)
    assert rewards.max() <= 5.0
    assert np.abs(np.diff(np.log(rewards), axis=0)).max() <= 0.1 + 1e-9
    with pytest.raises(ProblemError, match="controller"):
        Marginal(gain=0.0)


def test_the_example_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["token_controller.py", "1"])
    runpy.run_path(str(Path(__file__).parents[3] / "examples" / "token_controller.py"), run_name="__main__")
    assert "better on 1 of 1 seeds" in capsys.readouterr().out
