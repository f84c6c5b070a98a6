"""Drives a store at random against a model made of plain dicts (needs hypothesis).

class TestMine(machine_of(lambda folder: MyStore(folder / "x"))):
    settings = settings(max_examples=50)
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ..core.batch import Status
from ..core.errors import StoreError
from ..core.store import Entry, Store, digest
from .store_suite import finishing_of, make_space, opening_of

SPACE = make_space()
VALUES = st.sampled_from([0.0, -1.5, 1 / 3, 1e300, float("inf"), float("-inf"), float("nan")])
STATUSES = st.sampled_from([Status.DONE, Status.FAILED, Status.TIMEOUT, Status.PRUNED, Status.ABANDONED])


def _same(first: Any, second: Any) -> bool:
    return bool(np.array_equal(np.asarray(first, dtype=float), np.asarray(second, dtype=float), equal_nan=True))


class StoreMachine(RuleBasedStateMachine):
    """One study; the model is `trials`: number -> params, status, values. Subclasses say how a store is made."""

    make: Callable[[Path], Store]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="thalweg-store-"))
        self.store = type(self).make(self.folder)
        self.trials: dict[int, dict[str, Any]] = {}
        self.next = 0
        self.used = 0
        self.kinds: list[str] = []
        self.kept: tuple[dict[str, Any], int] | None = None
        self.seen: dict[int, tuple[int, list[float]]] = {}
        self.version = 0

    @initialize()
    def begin(self) -> None:
        """Make the study."""
        self.study = self.store.create("demo", {"a": 1}, "f").id

    def _note(self, kinds: list[str]) -> list[Entry]:
        self.kinds += kinds
        return [Entry(kind, {"place": len(self.kinds)}) for kind in kinds]

    def _model_open(self, count: int, seed: int, replicate: int) -> Any:
        opening = opening_of(count, seed, SPACE, replicates=np.full(count, replicate))
        labels = SPACE.to_labels(opening.reals, opening.active)
        return opening, [digest(params, None, replicate) for params in labels], labels

    @rule(
        count=st.integers(0, 6),
        seed=st.integers(0, 3),
        replicate=st.integers(0, 1),
        slack=st.none() | st.integers(-1, 5),
        kinds=st.lists(st.sampled_from("ab"), max_size=2),
    )
    def open_trials(self, count: int, seed: int, replicate: int, slack: int | None, kinds: list[str]) -> None:
        """Numbers follow on, within a budget that is nearly used up, or over."""
        budget = None if slack is None else max(0, self.used + slack)
        opening, names, labels = self._model_open(count, seed, replicate)
        allowed = count if budget is None else max(0, min(count, budget - self.used))
        got = self.store.open_trials(self.study, opening, budget, self._note(kinds))
        assert got == (self.next, allowed, {})
        for i in range(allowed):
            self.trials[self.next + i] = {"params": labels[i], "status": 0, "values": [], "digest": names[i]}
        self.next += allowed
        self.used += allowed

    @precondition(lambda self: self.trials)
    @rule(data=st.data(), status=STATUSES, kinds=st.lists(st.sampled_from("ab"), max_size=2))
    def append(self, data: st.DataObject, status: Status, kinds: list[str]) -> None:
        """Results of any trials, ended ones and repetitions among them: the first one counts."""
        numbers = data.draw(st.lists(st.sampled_from(sorted(self.trials)), min_size=1, max_size=6))
        values = data.draw(st.lists(VALUES, min_size=len(numbers), max_size=len(numbers)))
        self.store.append(self.study, finishing_of(numbers, values, status), self._note(kinds))
        self.kinds = [entry.kind for entry in self.store.entries(self.study)]
        for number, value in zip(numbers, values, strict=True):
            if self.trials[number]["status"] < 2:
                self.trials[number].update(status=int(status), values=[value])

    @rule(data=st.data())
    def append_unknown(self, data: st.DataObject) -> None:
        """A batch with a trial that is not there is refused as a whole."""
        numbers = [*data.draw(st.lists(st.sampled_from([*self.trials, 0]), max_size=2)), self.next + 3]
        try:
            self.store.append(self.study, finishing_of(numbers))
        except StoreError:
            return
        raise AssertionError(f"results of {numbers} were taken")

    @precondition(lambda self: self.trials)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Open ones vanish and free their place; final ones and unknown ones are passed over."""
        numbers = data.draw(st.lists(st.sampled_from([*sorted(self.trials), 999]), max_size=4))
        self.store.release(self.study, numbers)
        for number in numbers:
            if number in self.trials and self.trials[number]["status"] < 2:
                del self.trials[number]
                self.used -= 1

    @rule(count=st.integers(0, 3), seed=st.integers(0, 3), status=STATUSES)
    def add(self, count: int, seed: int, status: Status) -> None:
        """Results from elsewhere get numbers, and take no budget."""
        opening, names, labels = self._model_open(count, seed, 0)
        assert self.store.add(self.study, opening, finishing_of(range(count), status=status)) == self.next
        for i in range(count):
            self.trials[self.next + i] = {
                "params": labels[i],
                "status": int(status),
                "values": [i + 0.5],
                "digest": names[i],
            }
        self.next += count

    @rule()
    def since(self) -> None:
        """What is read in pieces is what is there, but for what vanished."""
        changed, self.version = self.store.since(self.study, self.version)
        numbers = [trial.number for trial in changed]
        assert numbers == sorted(set(numbers))
        for trial in changed:
            now = (trial.status, trial.values)
            before = self.seen.get(trial.number)
            assert before is None or before[0] != now[0], "a row came again though nothing changed"
            self.seen[trial.number] = now
        for number, model in self.trials.items():
            status, values = self.seen[number]
            assert status == model["status"] and _same(values, model["values"])

    @rule(seed=st.integers(0, 3), replicate=st.integers(0, 1))
    def lookup(self, seed: int, replicate: int) -> None:
        """The best result of each point, as a full scan of the model finds it."""
        _, names, _ = self._model_open(3, seed, replicate)
        found = self.store.lookup("f", names)
        for name in names:
            hits = [(t["status"], n) for n, t in self.trials.items() if t["digest"] == name and 2 <= t["status"] < 6]
            assert (name in found) == bool(hits)
            if hits:
                assert (found[name].status, found[name].number) == min(hits)
        assert not self.store.lookup("other", names)

    @rule(kinds=st.lists(st.sampled_from("ab"), min_size=1, max_size=3))
    def log(self, kinds: list[str]) -> None:
        """Lines on their own."""
        self.store.log(self.study, self._note(kinds))

    @rule(after=st.integers(0, 20), kind=st.sampled_from(["", "a", "b"]))
    def entries(self, after: int, kind: str) -> None:
        """The log is what was written, from anywhere, of any kind."""
        got = [(entry.sequence, entry.kind) for entry in self.store.entries(self.study, after, [kind] if kind else [])]
        want = [(i + 1, k) for i, k in enumerate(self.kinds) if i + 1 > after and kind in ("", k)]
        assert got == want

    @rule(number=st.integers(0, 5), sequence=st.integers(0, 10))
    def snapshot(self, number: int, sequence: int) -> None:
        """A newer state replaces an older one."""
        self.store.snapshot(self.study, {"state": number}, sequence)
        if self.kept is None or sequence >= self.kept[1]:
            self.kept = ({"state": number}, sequence)
        assert self.store.restore(self.study) == self.kept

    @precondition(lambda self: self.store.durable)
    @rule()
    def reopen(self) -> None:
        """Durable stores: everything is there again."""
        self.store.close()
        self.store = type(self).make(self.folder)
        assert self.store.create("demo", {"b": 2}, "g").id == self.study
        assert self.store.restore(self.study) == self.kept

    @invariant()
    def rows_are_the_model(self) -> None:
        """A full read gives the model's trials, in order."""
        if not hasattr(self, "study"):
            return
        trials, _ = self.store.since(self.study)
        assert [trial.number for trial in trials] == sorted(self.trials)
        for trial in trials:
            model = self.trials[trial.number]
            assert (trial.params, trial.status) == (model["params"], model["status"])
            assert _same(trial.values, model["values"])

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        shutil.rmtree(self.folder)


def machine_of(make: Callable[[Path], Store]) -> type[StoreMachine]:
    """The machine for the store that `make` gives in a folder (the same one each time, if it is durable)."""
    return type("Machine", (StoreMachine,), {"make": staticmethod(make)})
