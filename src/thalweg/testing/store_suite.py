"""The contract of `thalweg.core.store.Store`, as checks to run on any store.

    @pytest.mark.parametrize("check", CHECKS)
    def test_my_store(check, tmp_path):
        CHECKS[check](lambda **options: MyStore(tmp_path / "x", **options))

Each check gets a function that gives a store at the same place every time it is called: what is durable is there again
after `close`. options: lease_s and clock, where silence is what is tested.
Failures are AssertionErrors. `thalweg.testing.store_machine` drives a store at random against a model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.batch import Status
from ..core.choices import Choice
from ..core.errors import StoreError
from ..core.parameter import Float, Integer
from ..core.space import Space
from ..core.store import Entry, Finishing, digest
from ..core.stored_columns import Wanted
from .store_base import INF, NAN, Make, finishing_of, make_space, opening_of, refused, same_columns
from .store_members import MEMBER_CHECKS

__all__ = ["CHECKS", "Make", "finishing_of", "make_space", "opening_of"]


def create_is_idempotent(make: Make) -> None:
    """Creating again gives the first record back, whatever was asked for."""
    store = make()
    spec = {"space": {"rate": [1e-4, 0.1]}, "big": 2**100, "nan": NAN, "array": np.arange(3.0), "pair": (1, "x")}
    first = store.create("demo", spec, "f1")
    again = store.create("demo", {"other": 1}, "f2")
    assert (again.id, again.fingerprint, again.created_unixtime) == (first.id, "f1", first.created_unixtime)
    opened = store.open("demo")
    assert opened.id == first.id and opened.name == "demo" and opened.spec["big"] == 2**100
    assert opened.spec["nan"] != opened.spec["nan"] and opened.spec["pair"] == (1, "x")
    assert np.array_equal(opened.spec["array"], np.arange(3.0))
    assert store.create("second", {}, "f1").id != first.id
    assert store.names() == ["demo", "second"]
    store.close()
    store.close()


def open_names_near_ones(make: Make) -> None:
    """A study that is not there raises, and near names are listed."""
    store = make()
    refused(lambda: store.open("x"), "none yet")
    store.create("compress", {}, "f")
    refused(lambda: store.open("compres"), "'compres'", "did you mean 'compress'")
    refused(lambda: store.delete("zzz"), "'compress'")
    store.close()


def delete_removes_everything(make: Make) -> None:
    """A deleted study leaves nothing; one made later under its name is a new one."""
    store = make()
    old = store.create("demo", {}, "f").id
    keep = store.create("keep", {}, "f").id
    for study in (old, keep):
        first, _, _ = store.open_trials(study, opening_of(3), None, [Entry("asked", {"n": 3})])
        store.append(study, finishing_of(range(first, first + 3)))
        store.snapshot(study, {"a": 1}, 1)
    store.delete("demo")
    assert store.names() == ["keep"]
    assert store.since(keep)[0][0].number == 0 and len(store.entries(keep)) == 1 and store.restore(keep) is not None
    for call in (store.since, store.entries, lambda s: store.append(s, finishing_of([0]))):
        _refused_or_empty(call, old)
    new = store.create("demo", {}, "f").id
    assert new not in (old, keep) and store.since(new)[0] == [] and store.restore(new) is None
    store.close()


def _refused_or_empty(call: Callable[[int], Any], study: int) -> None:
    try:
        assert not call(study), "something of a deleted study is left"
    except StoreError:
        pass


def numbers_are_consecutive(make: Make) -> None:
    """Numbers go on from batch to batch and over reopening; rows are WAITING with their labels."""
    store = make()
    study = store.create("demo", {}, "f").id
    opening = opening_of(5)
    assert store.open_trials(study, opening, None) == (0, 5, {})
    assert store.open_trials(study, opening_of(4, 1, source="initial"), None) == (5, 4, {})
    assert store.open_trials(study, opening_of(0), None) == (9, 0, {})
    trials, _ = store.since(study)
    assert [trial.number for trial in trials] == list(range(9))
    assert [trial.ticket for trial in trials] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert {trial.status for trial in trials} == {Status.WAITING}
    assert [trial.params for trial in trials[:5]] == opening.space.to_labels(opening.reals, opening.active)
    assert [trial.source for trial in trials] == ["strategy"] * 5 + ["initial"] * 4
    reals = opening.space.from_labels([trial.params for trial in trials[:5]])
    assert opening.space.keys(reals) == opening.space.keys(opening.reals), "reals come back bit for bit"
    store.close()


def budget_is_kept(make: Make) -> None:
    """No more trials than the budget, over batches; released ones free their place, added ones take none."""
    store = make()
    study = store.create("demo", {}, "f").id
    assert store.open_trials(study, opening_of(6), 10) == (0, 6, {})
    assert store.open_trials(study, opening_of(6), 10, [Entry("asked", {})]) == (6, 4, {})
    assert store.open_trials(study, opening_of(6), 10, [Entry("asked", {})])[1] == 0
    assert len(store.entries(study)) == 2, "the log is written also where there is no room"
    store.append(study, finishing_of([0, 1]))
    store.release(study, [0, 5, 6, 6, 99])  # 0 is final, 99 is not there
    assert [trial.number for trial in store.since(study)[0]] == [0, 1, 2, 3, 4, 7, 8, 9]
    first = store.add(study, opening_of(3), finishing_of([0, 0, 0], [1.0, 2.0, 3.0]))
    assert store.open_trials(study, opening_of(6), 10) == (first + 3, 2, {}), (
        "two places were released, adding took none"
    )
    assert store.open_trials(study, opening_of(1), 3)[1] == 0, "a budget made smaller leaves no room"
    store.close()


def results_come_back(make: Make) -> None:
    """Every column comes back as it was given, NaN and infinities included."""
    store = make()
    study = store.create("demo", {}, "f").id
    opening = opening_of(4, fidelities=np.array([0.1, 0.5, 1.0, 1 / 3]), replicates=np.arange(4))
    store.open_trials(study, opening, None)
    values = [[1e-300, -1.5], [INF, -INF], [NAN, NAN], [1 / 3, 1e300]]
    components = [{"size": 10, "nan": NAN, "inf": -INF}, None, {"name": "é\x00\u2028"}, {}]
    finishing = Finishing(
        np.array([3, 0, 2, 1]),
        np.array(values),
        np.array([Status.DONE, Status.FAILED, Status.TIMEOUT, Status.PRUNED], dtype=np.int8),
        np.array([0.1, NAN, 5.0, 1e-9]),
        violations=np.array([0.0, 2.5, INF, 0.0]),
        components=components,
        errors={1: "Traceback\n bad \udcff byte", 2: ""},
        started=np.array([1.7e9 + 1 / 3, NAN, 0.0, 1.0]),
        attempts=np.array([1, 2, 3, 1]),
        worker="host/1",
    )
    store.append(study, finishing)
    trials, _ = store.since(study)
    by_row = [trials[number] for number in (3, 0, 2, 1)]
    assert [trial.number for trial in by_row] == [3, 0, 2, 1]
    assert np.array_equal([trial.values for trial in by_row], values, equal_nan=True)
    assert [trial.status for trial in by_row] == [2, 3, 4, 5]
    assert np.array_equal([trial.seconds for trial in by_row], finishing.seconds, equal_nan=True)
    assert [trial.violation for trial in by_row] == [0.0, 2.5, INF, 0.0]
    assert by_row[0].components is not None and by_row[0].components["size"] == 10
    assert by_row[0].components["inf"] == -INF and np.isnan(by_row[0].components["nan"])
    assert by_row[1].components is None and by_row[2].components == components[2]
    assert by_row[1].error.startswith("Traceback\n bad ") and by_row[0].error == by_row[2].error == ""
    started = [trial.started_unixtime for trial in by_row]
    assert np.array_equal(started, finishing.started, equal_nan=True)  # type: ignore[arg-type]  # it is an array
    assert [trial.attempt for trial in by_row] == [1, 2, 3, 1]
    assert {trial.worker for trial in by_row} == {"host/1"}
    assert [trial.fidelity for trial in trials] == [0.1, 0.5, 1.0, 1 / 3]
    assert [trial.replicate for trial in trials] == [0, 1, 2, 3]
    store.close()


def first_result_wins(make: Make) -> None:
    """A final trial is left as it is, also within one batch, and the rest of the batch counts."""
    store = make()
    study = store.create("demo", {}, "f").id
    store.open_trials(study, opening_of(3), None)
    store.append(study, finishing_of([0, 1], [1.0, 2.0]))
    _, version = store.since(study)
    assert store.append(study, finishing_of([1, 2, 2], [7.0, 3.0, 8.0])) == [1, 2]
    assert [trial.values for trial in store.since(study)[0]] == [[1.0], [2.0], [3.0]]
    assert [trial.number for trial in store.since(study, version)[0]] == [2]
    _, version = store.since(study)
    assert store.append(study, finishing_of([0], [1.0], status=Status.FAILED), [Entry("told", {"number": 0})]) == [0]
    assert store.since(study, version)[0] == []
    assert store.append(study, finishing_of([0], [1.0])) == [0]
    assert [entry.kind for entry in store.entries(study)] == ["conflict", "told", "conflict", "duplicate"]
    store.close()


def wrong_results_are_refused(make: Make) -> None:
    """Results of unknown trials, or with a status that is not final, raise at the latest when somebody asks."""
    store = make()
    study = store.create("demo", {}, "f").id
    store.open_trials(study, opening_of(4), None)

    def append(finishing: Finishing) -> None:
        store.append(study, finishing)
        store.since(study)

    refused(lambda: append(finishing_of([0, 9])), "9", "never opened")
    refused(lambda: append(finishing_of([0], status=Status.RUNNING)), "trial 0", "final")
    store.release(study, [1])
    refused(lambda: append(finishing_of([0, 1, 2])), "1", "released")
    refused(lambda: store.add(study, opening_of(2), finishing_of([0])), "1 for 2")
    assert {trial.status for trial in store.since(study)[0]} == {0}, "a refused batch leaves no trace"
    store.append(study, finishing_of([0]))
    assert store.since(study)[0][0].status == Status.DONE, "the store goes on"
    store.close()


def since_gives_changes_only(make: Make) -> None:
    """Each change is seen once, by number; WAITING rows that were handed out do not change in the hand."""
    store = make()
    study = store.create("demo", {}, "f").id
    assert store.since(study) == ([], store.since(study)[1])
    store.open_trials(study, opening_of(6), None)
    before, version = store.since(study)
    assert len(before) == 6 and store.since(study, version) == ([], version)
    store.append(study, finishing_of([4, 1]))
    after, newer = store.since(study, version)
    assert [trial.number for trial in after] == [1, 4] and newer > version
    assert before[1].status == Status.WAITING and before[1].values == []
    store.open_trials(study, opening_of(2), None)
    store.add(study, opening_of(1), finishing_of([0]))
    assert [trial.number for trial in store.since(study, newer)[0]] == [6, 7, 8]
    assert [trial.number for trial in store.since(study, version)[0]] == [1, 4, 6, 7, 8]
    assert [trial.number for trial in store.since(study)[0]] == list(range(9))
    store.close()


def lookup_finds_results(make: Make) -> None:
    """Final trials by digest, over studies with the same fingerprint; values before failures, then the oldest."""
    store = make()
    one, two, other = (store.create(name, {}, name[0]).id for name in ("f1", "f2", "g"))
    opening = opening_of(4)
    labels = opening.space.to_labels(opening.reals, opening.active)
    names = [digest(params) for params in labels]
    store.open_trials(one, opening, None)
    store.open_trials(two, opening, None)
    store.open_trials(other, opening, None)
    assert store.lookup("f", names) == {}
    store.append(one, finishing_of([0], [NAN], status=Status.FAILED))
    store.append(one, finishing_of([1], [1.0]))
    store.append(one, finishing_of([2], [NAN], status=Status.ABANDONED))
    store.append(two, finishing_of([0, 1], [5.0, 6.0]))
    store.append(other, finishing_of([3], [9.0]))
    found = store.lookup("f", [*names, b"nothing"])
    assert set(found) == {names[0], names[1]}
    assert found[names[0]].values == [5.0] and found[names[1]].values == [1.0]
    assert found[names[0]].params == labels[0]
    assert list(store.lookup("g", names)) == [names[3]] and store.lookup("h", names) == {}
    first = store.add(one, opening_of(4, replicates=np.full(4, 1)), finishing_of([0, 0, 0, 0]))
    assert names[3] not in store.lookup("f", names), "another replicate is another point"
    assert store.lookup("f", [digest(labels[3], None, 1)])[digest(labels[3], None, 1)].number == first + 3
    store.close()


def columns_are_the_same_trials(make: Make) -> None:
    """Columns say what `since` says: of usual trials, rare things, open, released and retracted ones, other spaces."""
    store = make()
    plain = Space({"x": Float(-1.0, 1.0), "n": Integer(0, 1000), "kind": Choice(["a", 7, None])})
    studies = [store.create(name, {}, "f").id for name in ("conditional", "plain")]
    for study, space in zip(studies, (None, plain), strict=True):
        wanted = Wanted(space or make_space(), 1)
        assert len(same_columns(store, study, wanted)) == 0
        store.open_trials(study, opening_of(30, 1, space), None)
        usual = finishing_of(range(20))
        usual.started = np.arange(20.0)
        store.append(study, usual)
        found = same_columns(store, study, wanted)
        assert len(found) == 30 and found.values[:20, 0].tolist() == [i + 0.5 for i in range(20)]
        assert np.isnan(found.values[20:]).all() and found.statuses.tolist() == [2] * 20 + [0] * 10
        components: list[dict[str, Any] | None] = [{"a": 1.5, "b": 2}, None, {"a": NAN, "c": [1, (2, "x")]}]
        store.append(study, finishing_of([21, 22, 23], [NAN, INF, -INF], Status.FAILED, errors={1: "no"},
                                         components=components, violations=np.array([0.0, INF, 0.5]),
                                         attempts=np.array([1, 300, 2]), worker="here"))  # fmt: skip
        store.release(study, [25, 29])
        store.retract(study, [3, 22])
        extra = opening_of(3, 2, space, source="added", by=2, fidelities=np.array([0.5, 1.0, 0.25]),
                           replicates=np.array([0, 4, 0]))  # fmt: skip
        store.add(study, extra, finishing_of([0, 0, 0], [1.0, 2.0, 3.0]))
        found = same_columns(store, study, wanted)
        assert len(found) == 31 and dict(found.rare.components)[21] == {"a": 1.5, "b": 2}
        assert dict(found.rare.sources) == dict.fromkeys([30, 31, 32], "added") and found.attempts.max() == 127
        narrow = Space({**wanted.space.parameters, "rate" if space is None else "x": Float(0.002, 0.06)})
        found = same_columns(store, study, Wanted(narrow, 1))
        assert 0 < len(found.outside) < 31 and len(found) + len(found.outside) == 31
        wide = Space({**wanted.space.parameters, "new": Float(0.0, 1.0, default=0.25)})
        found = same_columns(store, study, Wanted(wide, 1, {"new": 0.25}))
        assert len(found) == 31 and (found.reals[:, -1] == 0.25).all()
        same_columns(store, study, Wanted(wanted.space, 2))  # values of another width are none
    store.close()


def log_keeps_order(make: Make) -> None:
    """Entries come back in order with sequence numbers from 1, written with trials or alone, filtered by kind."""
    store = make()
    study, other = store.create("demo", {}, "f").id, store.create("other", {}, "f").id
    odd = {"nan": NAN, "inf": [INF], "text": "é\x00", "none": None, "array": np.arange(2)}
    given = [Entry("asked", {"n": 5}), Entry("odd", odd, 123.5)]
    store.log(study, given)
    assert [entry.sequence for entry in given] == [1, 2] and given[0].time_unixtime > 1e9
    store.open_trials(study, opening_of(2), None, [Entry("asked", {"n": 2})])
    store.append(study, finishing_of([0, 1]), [Entry("told", {"numbers": [0, 1]}), Entry("told", {})])
    store.add(study, opening_of(1), finishing_of([0]), [Entry("added", {})])
    store.log(other, [Entry("asked", {})])
    entries = store.entries(study)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry.kind for entry in entries] == ["asked", "odd", "asked", "told", "told", "added"]
    assert entries[1].time_unixtime == 123.5 and entries[3].body == {"numbers": [0, 1]}
    body = entries[1].body
    assert np.isnan(body["nan"]) and body["inf"] == [INF] and body["text"] == "é\x00" and body["none"] is None
    assert [entry.sequence for entry in store.entries(study, 3)] == [4, 5, 6]
    assert [entry.sequence for entry in store.entries(study, 1, ["asked", "added"])] == [3, 6]
    assert store.entries(study, 6) == [] and len(store.entries(other)) == 1
    store.close()


def snapshots_are_replaced(make: Make) -> None:
    """The newest state comes back, plain data unharmed, and an older one never replaces it."""
    store = make()
    study = store.create("demo", {}, "f").id
    assert store.restore(study) is None
    rng = np.random.default_rng(3)
    state = {"rng": rng, "mean": np.array([1.0, NAN, INF]), "big": 2**120, "raw": b"\x00\xff", "pair": (1, [2])}
    store.snapshot(study, state, 7)
    expected = rng.random(3)  # the store must have taken the state before this
    kept = store.restore(study)
    assert kept is not None and kept[1] == 7
    body = kept[0]
    assert np.array_equal(body["rng"].random(3), expected)
    assert np.array_equal(body["mean"], [1.0, NAN, INF], equal_nan=True)
    assert (body["big"], body["raw"], body["pair"]) == (2**120, b"\x00\xff", (1, [2]))
    store.snapshot(study, {"new": 1}, 9)
    store.snapshot(study, {"old": 1}, 8)
    assert store.restore(study) == ({"new": 1}, 9)
    refused(lambda: store.snapshot(study, {"bad": object()}, 10), "object")
    store.close()


def everything_survives_reopening(make: Make) -> None:
    """Durable stores only (others pass): a store opened again has all of it, and goes on counting."""
    store = make()
    if not store.durable:
        return
    study = store.create("demo", {"x": 1}, "f").id
    store.open_trials(study, opening_of(5), 7, [Entry("asked", {})])
    store.append(study, finishing_of([0, 1]))
    store.snapshot(study, {"s": 1}, 1)
    trials, version = store.since(study)
    store.close()
    refused(lambda: store.since(study), "closed")
    store = make()
    assert store.names() == ["demo"] and store.open("demo").spec == {"x": 1}
    again, same = store.since(study)
    assert same == version and [(t.number, t.params, t.status) for t in again] == [
        (t.number, t.params, t.status) for t in trials
    ]
    assert store.open_trials(study, opening_of(5), 7) == (5, 2, {})
    more = [Entry("asked", {})]
    store.log(study, more)
    assert more[0].sequence == 2 and store.restore(study) == ({"s": 1}, 1)
    store.close()


CHECKS: dict[str, Callable[[Make], None]] = {
    check.__name__: check
    for check in (
        create_is_idempotent,
        open_names_near_ones,
        delete_removes_everything,
        numbers_are_consecutive,
        budget_is_kept,
        results_come_back,
        first_result_wins,
        wrong_results_are_refused,
        since_gives_changes_only,
        columns_are_the_same_trials,
        lookup_finds_results,
        log_keeps_order,
        snapshots_are_replaced,
        everything_survives_reopening,
    )
} | MEMBER_CHECKS
"""Every check, by name."""
