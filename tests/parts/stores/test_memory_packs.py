"""Batches that were joined say the same as batches that were not."""

import random

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.parts.stores import _memory_study
from thalweg.parts.stores.memory import MemoryStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACES = [make_space(), make_space()]


def drive(seed):
    """A store after random batches of random kinds, and what it said meanwhile."""
    dice, store = random.Random(seed), MemoryStore()
    study = store.create("study", {}, "f").id
    members = [None, store.join(study)]
    member, waiting, said = members[0], [], []
    for step in range(120):
        what = dice.random()
        if what < 0.05:
            member = dice.choice(members)
        if what < 0.45 or not waiting:
            count = dice.choice([1, 1, 2, 7])
            more = {}
            if dice.random() < 0.3:
                more = {"replicates": np.arange(count), "source": dice.choice(["initial", "user"]), "by": step % 2}
            if dice.random() < 0.2:
                more["fidelities"] = np.linspace(0.1, 1.0, count)
            opening = opening_of(count, step, dice.choice(SPACES), **more)
            first, opened, _ = store.open_trials(study, opening, dice.choice([None, 10**6]), (), member)
            waiting += range(first, first + opened)
        elif what < 0.9:
            dice.shuffle(waiting)
            numbers, waiting = sorted(waiting[:3]), waiting[3:]
            result = finishing_of(numbers, status=dice.choice([Status.DONE, Status.FAILED, Status.TIMEOUT]))
            if dice.random() < 0.5:
                result.components = [{"a": 0.5 * n, "b": n} if n % 3 else None for n in numbers]
            if dice.random() < 0.3:
                result.errors, result.worker = {len(numbers) - 1: f"error {step}"}, f"pid {step % 3}"
            if dice.random() < 0.3:
                result.violations, result.attempts = np.arange(len(numbers)) / 2, np.full(len(numbers), 2)
            if dice.random() < 0.3:
                result.started = np.full(len(numbers), 1000.0 + step)
            store.append(study, result, (), member)
        elif what < 0.97:
            store.release(study, [*waiting[:2], 10**6], member)
            waiting = waiting[2:]
        else:
            said.append(repr(store.since(study, dice.choice([0, step]), dice.choice(members))))
    said += [repr(store.since(study, version, beside)) for version in range(0, 120, 7) for beside in members]
    return said, store.standing(study)


@pytest.mark.parametrize("seed", range(12))
def test_joined_batches_say_the_same(monkeypatch, seed):
    told = []
    for batches, named in ((10**9, 10**9), (1, 1), (5, 9)):
        monkeypatch.setattr(_memory_study, "_MOST_BATCHES", batches)
        monkeypatch.setattr(_memory_study, "_MOST_NAMED", named)
        told.append(drive(seed))
    assert told[0] == told[1] == told[2]
    assert all(any(word in line for line in told[0][0]) for word in ("pid ", "error", "fidelity=0.1"))
