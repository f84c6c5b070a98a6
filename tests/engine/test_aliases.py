"""A strategy that comes back to a point it was told of means that point, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.strategy import Abilities

SPACE = {"x": (-5.0, 5.0), "rate": tw.Float(1e-4, 1.0, log=True)}
GIVEN = [{"x": 0.1 + 0.2, "rate": 0.013}, {"x": -1 / 3, "rate": 0.3}, {"x": 2 / 3, "rate": 0.0007}]


def loss(p):
    return p["x"] ** 2 + (math.log10(p["rate"]) + 2) ** 2


class Returning(tw.Strategy):
    """Random points, and in every third place one that it was told of."""

    abilities = Abilities(learns_foreign=True)

    def begin(self):
        self.told = np.empty((0, self.dimension))
        self.turn = 0

    def propose(self, n):
        self.turn += 1
        if self.turn % 3 == 0 and len(self.told):
            return self.told[(self.turn // 3) % len(self.told)][None]
        return self.rng.random((1, self.dimension))

    def learn(self, answers):
        pass

    def absorb(self, answers):
        self.told = np.concatenate([self.told, answers.points])


def test_the_given_points_decode_to_others():
    space = tw.Space(SPACE)
    reals = space.from_params(GIVEN)
    assert (space.decode(space.encode(reals)) != reals).any(axis=1).sum() >= 2


@pytest.mark.parametrize("name", ["auto", "quadratic", "handover", "nelder_mead", "annealing", "de"])
@pytest.mark.parametrize("how", ["initial", "add"])
def test_no_strategy_evaluates_what_it_was_given_again(name, how):
    study = tw.Study(SPACE, strategy=name, seed=1)
    if how == "add":
        study.add(GIVEN, [loss(point) for point in GIVEN])
    study.run(loss, max_evals=25, initial=GIVEN if how == "initial" else None)
    points = study.space.encode(study.space.from_params([trial.params for trial in study.trials]))
    gaps = np.abs(points[:, None] - points[None, :3]).max(axis=2)  # to those that were given
    assert np.count_nonzero(gaps < 1e-14) == 3


@pytest.mark.parametrize("cuts", [(), (5,), (4, 9, 13)])
def test_it_is_known_after_a_resumption_too(tmp_path, cuts):
    rows = []
    for store, ends in ((None, (20,)), (f"sqlite:///{tmp_path}/study.db", (*cuts, 20))):
        for end in ends:
            with tw.Study(SPACE, strategy=Returning, seed=3, ordered=True, store=store, name="back") as study:
                study.run(loss, max_evals=end, initial=GIVEN)
                trials = [trial.params for trial in study.trials]
        rows.append(trials)
    assert rows[0] == rows[1]
    assert len({(round(p["x"], 9), round(math.log10(p["rate"]), 9)) for p in rows[0]}) == 20
