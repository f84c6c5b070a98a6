"""A store with a bit of everything, and what it answers."""

from __future__ import annotations

import warnings

import numpy as np

from thalweg.core.batch import Status
from thalweg.core.errors import StoreError
from thalweg.core.store import Entry
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACE = make_space()


def fill(path, trials=600, batch=20):
    """Two studies: results of all kinds, open, queued, released and retracted trials, a log, snapshots."""
    store = SQLiteStore(path, durability="fast")
    for name in ("first", "second"):
        study = store.create(name, {"space": "x" * 200, "about": name}, f"fingerprint {name}").id
        store.set_budget(study, 5 * trials)
        member = store.join(study, f"{name} of a test")
        for i in range(0, trials, batch):
            asked = [Entry("asked", {"count": batch, "place": i})]
            opened = store.open_trials(study, opening_of(batch, i, SPACE), None, asked, member)
            numbers = list(range(opened.first, opened.first + opened.count))
            status = Status.FAILED if i % 7 == 3 else Status.DONE
            columns = {"components": [{"bytes": 10 * n, "text": "é"} for n in numbers]} if i % 3 else {}
            store.append(study, finishing_of(numbers, status=status, **columns), [Entry("told", {"n": i})], member)
        store.snapshot(study, {"state": np.arange(500.0)}, i, member.ordinal)
        opened = store.open_trials(study, opening_of(7, 5, SPACE), None, (), member)
        store.release(study, [opened.first, opened.first + 1], member)
        store.open_trials(study, opening_of(5, 6, SPACE), None)
        store.retract(study, [3, 8], "a broken disk")
    store.close()


def answers(path):
    """Everything that the file tells: study -> (trials, log, snapshots, spec, standing)."""
    store = SQLiteStore(path, durability="fast")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return {name: _answers(store, name) for name in store.names()}
    finally:
        store.close()


def _answers(store, name):
    record = store.open(name)
    study = record.id
    standing = store.standing(study)
    return {
        "trials": {trial.number: repr(trial) for trial in store.since(study)[0]},
        "log": {e.sequence: (e.kind, repr(e.body), e.time_unixtime, e.by) for e in store.entries(study)},
        "snapshot": repr(store.restore(study)),
        "study": (repr(record.spec), record.fingerprint, record.created_unixtime, record.revision),
        "standing": (standing.used, standing.budget, standing.revision),
    }


def verified(path):
    """What the store's own check finds, or why it cannot even be opened."""
    try:
        store = SQLiteStore(path, durability="fast")
    except StoreError as error:
        return [str(error)]
    try:
        return store.verify()
    except StoreError as error:
        return [str(error)]
    finally:
        store.close()
