"""The classical functions are what they are said to be, moved or not; and the page says what was run."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.quality import classical
from benchmarks.quality.classical_problems import CLASSICAL, names_of, offset_of, open_classical

KNOWN = {
    "branin": 0.39788735772973816, "goldstein_price": 3.0, "six_hump_camel": -1.0316284534898774, "easom": -1.0,
    "hartmann_3": -3.86278214782076, "hartmann_6": -3.32236801141551, "shekel": -10.536409816692046,
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSICAL)
def test_the_optimum_is_where_and_what_it_is_said_to_be(name):
    item = CLASSICAL[name]
    d = item.dimension or 4
    rng = np.random.default_rng(1)
    for instance in range(3):
        problem = open_classical(name, d, instance, 10**6)
        points = problem.lower + rng.random((3000, d)) * (problem.upper - problem.lower)
        assert min(problem.evaluate(x) for x in points) >= problem.optimum
        best = item.best(d) + offset_of(name, d, instance)
        assert problem(best) == pytest.approx(problem.optimum, abs=1e-12)
        near = best + 1e-3 * (problem.upper - problem.lower) * rng.standard_normal((300, d))
        assert min(problem.evaluate(x) for x in near) >= problem.optimum - 1e-8 * abs(problem.optimum)
        if instance:
            place = (best - problem.lower) / (problem.upper - problem.lower)
            assert place.min() >= 0.1 and place.max() <= 0.9
    assert problem.optimum == pytest.approx(KNOWN.get(name, problem.optimum), abs=1e-5)


def test_functions_by_their_columns():
    assert "branin" in names_of(2) and "powell" not in names_of(2)
    assert "powell" in names_of(20) and "branin" not in names_of(20)


def test_the_page_says_what_was_run_and_what_was_left_out(monkeypatch):
    monkeypatch.setitem(classical.SOLVERS, "absent", "a_package_that_nobody_has")
    monkeypatch.setattr(classical, "BUDGET", 10)
    monkeypatch.setattr(classical, "AT", (5, 10))
    problems = {"5 columns": [("rastrigin", 5, 1), ("levy", 5, 1)]}
    said: list[str] = []
    text = classical.page(problems, [classical.OURS, "scipy_slsqp", "absent"], said.append)
    assert "| **tw:auto?overhead=None** |" in text and "| scipy_slsqp |" in text
    assert "Left out, as their packages were not installed: absent." in text
    assert "## Function by function, 5 columns" in text and "| rastrigin | " in text
    assert len(said) == 1


def test_gaps_are_in_shares_of_what_random_search_leaves(monkeypatch):
    monkeypatch.setattr(classical, "scale_of", lambda problem: 50.0)
    trace = classical.trace_of("random", ("rastrigin", 2, 1), 20)
    assert (np.diff(trace[:, 1]) < 0).all() and 0.01 < trace[-1, 1] < 1.0
