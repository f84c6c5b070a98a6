"""Ordered mode after a kill: whenever it comes, the history is that of a run that nobody killed.

A listener copies the store's files while a run goes on: each copy is what a process killed at that instant would have
left behind. Coroutines land out of order, in an order of their own in every run.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from pathlib import Path

import pytest

import thalweg as tw

PLAIN = {"x": tw.Float(-5, 5), "y": tw.Float(-5, 5), "z": tw.Float(-5, 5)}
MIXED = {"x": tw.Float(1e-3, 5, log=True), "n": tw.Integer(1, 10), "c": tw.Choice(list("abz"))}
SMALL = {"n": tw.Integer(1, 9), "c": tw.Choice(list("abz"))}
INITIAL = [{"x": float(i), "y": 1.0 - i, "z": 0.5 * i} for i in range(-3, 5)]


def merit(params):
    numbers = [ord(value) - 96 if isinstance(value, str) else float(value) for value in params.values()]
    return sum((place + 1) * (number - place) ** 2 for place, number in enumerate(numbers)) + numbers[0] * numbers[1]


class Kills:
    """Copies of a store's files, one for every `every` events of a run: what kills would have left."""

    def __init__(self, store, every):
        self.store, self.every, self.events, self.copies = store, every, 0, []

    def __call__(self, event):
        if event.kind not in ("asked", "opened", "finished"):
            return
        self.events += 1
        if self.events % self.every:
            return
        copy = self.store.with_name(f"cut{self.events}.db")
        for tail in ("", "-wal"):
            if Path(f"{self.store}{tail}").exists():
                shutil.copy(f"{self.store}{tail}", f"{copy}{tail}")
        self.copies.append(copy)


def history(store, space, strategy, timing, workers=4, listener=None, max_evals=48, initial=None, **how):
    """What a run on `store` comes to. timing: seed of the order in which evaluations end."""
    turns = random.Random(timing)

    async def objective(params):
        for _ in range(turns.randrange(40)):
            await asyncio.sleep(0)
        return merit(params)

    listeners = [] if listener is None else [listener]
    study = tw.Study(space, strategy=strategy, seed=7, ordered=6, store=store, listeners=listeners, **how)
    with study:
        study.run(objective, max_evals=max_evals, workers=workers, initial=initial)
        return [(trial.number, trial.params, trial.values, trial.replicate) for trial in study.trials]


def check(tmp_path, space, strategy, every, **how):
    kills = Kills(tmp_path / "whole.db", every)
    whole = history(kills.store, space, strategy, 0, listener=kills, **how)
    assert len(kills.copies) > 5
    assert history(None, space, strategy, 1, workers=1, **how) == whole
    for timing, copy in enumerate(kills.copies):
        assert history(copy, space, strategy, 2 + timing, **how) == whole, copy.name


@pytest.mark.parametrize("strategy", ["cmaes", "de", "genetic", "nelder_mead", "pso", "quadratic", "quasi_newton"])
def test_whenever_it_was_killed(tmp_path, strategy):
    check(tmp_path, PLAIN, strategy, 11)


@pytest.mark.parametrize("strategy", ["annealing", "direct", "relay"])
def test_from_snapshots(tmp_path, monkeypatch, strategy):
    monkeypatch.setattr("thalweg.engine.session.SNAPSHOT_S", 0.0)
    check(tmp_path, PLAIN, strategy, 11)


def test_killed_twice(tmp_path):
    whole = history(tmp_path / "whole.db", PLAIN, "de", 0)
    first = Kills(tmp_path / "a" / "run.db", 35)
    first.store.parent.mkdir()
    history(first.store, PLAIN, "de", 1, listener=first)
    second = Kills(first.copies[0], 20)
    history(second.store, PLAIN, "de", 2, listener=second)
    assert history(second.copies[0], PLAIN, "de", 3) == whole


@pytest.mark.parametrize("repeats", [3, (1, 4), (2, 4)])
def test_replicates(tmp_path, repeats):
    check(tmp_path, MIXED, "de", 7, noisy=True, repeats=repeats)


@pytest.mark.parametrize("strategy", ["cmaes", "de", "nelder_mead", "pso"])
def test_interrupted(tmp_path, strategy):
    """Ctrl-C lets what runs come in, and asks for nothing more; what came in is told when the study goes on."""
    whole = history(None, PLAIN, strategy, 0)
    for timing in range(1, 4):
        store, hit = tmp_path / f"{timing}.db", []

        def listen(event, hit=hit, last=10 * timing + 1):
            if event.kind == "finished" and last in event.data["numbers"]:
                hit.append(last)
                signal.raise_signal(signal.SIGINT)

        assert len(history(store, PLAIN, strategy, timing, listener=listen)) < len(whole)
        assert hit
        assert history(store, PLAIN, strategy, -timing) == whole


def test_replicates_where_the_budget_ends_within_a_point(tmp_path):
    check(tmp_path, MIXED, "de", 5, repeats=3, max_evals=49)


@pytest.mark.parametrize("repeats", [1, 3])
def test_initial_points(tmp_path, repeats):
    check(tmp_path, PLAIN, "de", 7, max_evals=40, initial=INITIAL[:6], repeats=repeats)


@pytest.mark.parametrize("strategy", ["de", "annealing"])
def test_repeated_points(tmp_path, strategy):
    check(tmp_path, SMALL, strategy, 5, max_evals=27)


def test_results_of_other_studies_take_no_place(tmp_path):
    """What another study has evaluated is never told in turn: the run goes on without it."""
    store = tmp_path / "shared.db"
    first = history(store, MIXED, "de", 0, name="first", version="1", max_evals=20)
    second = history(store, MIXED, "de", 1, name="second", version="1", max_evals=20)
    known = [row[1] for row in first]
    assert sum(row[1] not in known for row in second) == 20
    assert len(second) > 26  # more than the width were known
