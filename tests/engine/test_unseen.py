"""A strategy that stays where there is nothing new is shown other places."""

from __future__ import annotations

import pytest

import thalweg as tw

SPACE = {
    "kind": tw.Choice(["line", "point"]),
    "x": tw.Float(0, 1, when="kind == 'line'"),
    "y": tw.Float(0, 1, when="kind == 'line'"),
}


def decoy(p):
    """The branch with a single point is better than nearly all of the other one."""
    return 0.2 if p["kind"] == "point" else abs(p["x"] - 0.73) + abs(p["y"] - 0.2)


@pytest.mark.parametrize("name", ["tpe", "quasi_newton", "quadratic", "lq_cmaes", "nelder_mead", "annealing", "cmaes"])
def test_a_finite_branch_does_not_end_a_search(name):
    for seed in range(2):
        result = tw.minimize(decoy, SPACE, max_evals=150, strategy=name, seed=seed)
        assert result.evaluations == 150
        assert result.value < 0.2
        assert len({str(trial.params) for trial in result.trials}) == 150
