"""Batched differential evolution: bookkeeping of members and archives, problem by problem."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.numerics.batched_de import DifferentialEvolutions, default_size, last_size

CENTRES = np.random.default_rng(3).random((7, 3))


def values_of(points, which):
    return ((points - CENTRES[which][:, None]) ** 2).sum(axis=2)


def advanced(search, generations, which=None):
    which = np.arange(len(search)) if which is None else which
    for _ in range(generations):
        points = search.ask()
        assert points.shape == (len(search), search.size, 3) and points.min() >= 0 and points.max() <= 1
        search.tell(points, values_of(points, which))
    return search


def make(sizes=(12, 12), **how):
    return DifferentialEvolutions(7, 3, sizes, np.random.default_rng(0), **how)


def test_members_and_their_values_stay_together():
    search = make((16, 6))
    for step in range(30):
        search.progress = step / 30
        advanced(search, 1)
        members = search.pool[:, : search.size]
        assert (search.merit == values_of(members, np.arange(7))).all()
        assert search.pool.shape[1] == 2 * search.size and (search.archived <= search.size).all()
    assert search.size == 6 and search.merit.min(axis=1).max() < 1e-3


def test_members_never_get_worse():
    search = advanced(make(), 1)
    for _ in range(20):
        before = search.merit.copy()
        advanced(search, 1)
        assert (search.merit <= before).all()


def test_archives_hold_replaced_members():
    search = advanced(make(), 1)
    before = search.pool[:, :12].copy()
    advanced(search, 1)
    for problem in range(7):
        left = search.archived[problem]
        kept = {tuple(row) for row in search.pool[problem, :12]}
        gone = {tuple(row) for row in before[problem]} - kept
        assert {tuple(row) for row in search.pool[problem, 12 : 12 + left]} == gone


def test_dropping_problems_changes_nothing_of_the_others():
    search = advanced(make(), 5)
    which = np.array([True, False, True, True, False, False, True])
    members, cells = search.pool[which].copy(), search.F[which].copy()
    search.keep(which)
    assert len(search) == 4 and (search.pool == members).all() and np.array_equal(search.F, cells)
    advanced(search, 40, np.flatnonzero(which))
    assert search.merit.min(axis=1).max() < 1e-6


def test_a_restart_touches_its_own_problem_alone():
    search = advanced(make(), 30)
    which = np.arange(7) == 2
    others = search.pool[~which, :12].copy(), search.merit[~which].copy()
    search.restart(which)
    points = search.ask()
    assert np.ptp(points[2], axis=0).min() > 0.5  # all over the cube again
    search.tell(points, values_of(points, np.arange(7)))
    assert (search.merit[~which] <= others[1]).all() and search.merit[2].max() > others[1].max()


def test_collapse_is_seen():
    search = advanced(make(), 2)
    assert not search.collapsed().any()
    advanced(search, 250)
    assert search.collapsed().all() and search.spread().max() < 1e-20
    flat = make()
    for _ in range(3):
        points = flat.ask()
        flat.tell(points, np.ones(points.shape[:2]))
    assert not flat.collapsed().any() and (flat.spread() == 0).all()  # a plateau, still wide


def test_success_teaches_the_scales():
    def ridge(points):  # only tiny steps succeed
        return np.abs(points[:, :, 0] - 0.5) + 50 * np.abs(points[:, :, 1:] - points[:, :, :1]).sum(axis=2)

    search = make((20, 20))
    for _ in range(60):
        points = search.ask()
        search.tell(points, ridge(points))
    assert (search.F != 0.5).any(axis=1).all() and (search.F > 0).all()
    assert ((search.CR == -1) | ((search.CR >= 0) & (search.CR <= 1))).all()


@pytest.mark.parametrize(("d", "budget"), [(1, 10), (2, 200), (2, 20_000), (20, 5000)])
def test_sizes_shrink(d, budget):
    first = default_size(d, budget)
    assert 8 <= first <= max(30 * d, 8) and 4 <= last_size(first, d, budget) <= first
