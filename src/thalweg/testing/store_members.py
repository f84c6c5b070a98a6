"""The contract of `thalweg.core.store.Store` for many members of a study: part of `store_suite.CHECKS`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.batch import Status
from ..core.errors import Displaced, StoreError, StoreMismatch, StudyBusy
from ..core.store import Entry, Member, Standing, Store
from .store_base import INF, NAN, Make, finishing_of, opening_of, refused


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _raises(kind: type[Exception], call: Callable[[], object], *words: str) -> None:
    message = None
    try:
        call()
    except kind as error:
        message = str(error)
    assert message is not None, f"{kind.__name__} expected, none came"
    assert all(word in message for word in words), f"the message lacks one of {words}: {message}"


def _kinds(store: Store, study: int) -> list[str]:
    return [entry.kind for entry in store.entries(study)]


def places_are_taken_and_taken_again(make: Make) -> None:
    """The lowest free place; tokens that only grow, over studies and deletions; leaving twice is fine."""
    store = make()
    study = store.create("demo", {}, "f").id
    a, b, c = (store.join(study, f"worker {i}") for i in range(3))
    assert [(m.study, m.ordinal, m.former) for m in (a, b, c)] == [(study, i, 0) for i in range(3)]
    assert 0 < a.token < b.token < c.token
    assert [(v.ordinal, v.token, v.note, v.alone, v.alive, v.late, v.open_trials) for v in store.members(study)] == [
        (i, m.token, f"worker {i}", False, True, False, 0) for i, m in enumerate((a, b, c))
    ]
    store.leave(b)
    store.leave(b)
    assert [view.ordinal for view in store.members(study)] == [0, 2] and store.standing(study).members == 2
    _raises(Displaced, lambda: store.beat(b), "join again")
    again = store.join(study, "another")
    assert (again.ordinal, again.former) == (1, b.token) and again.token > c.token
    store.leave(b)  # an old life's leaving is not the new one's
    store.beat(again)
    assert len(store.members(study)) == 3
    other = store.create("other", {}, "f").id
    on_other = store.join(other)
    assert on_other.ordinal == 0 and on_other.token > again.token and not on_other.former
    store.delete("other")
    newest = store.join(study)
    assert newest.token > on_other.token
    store.leave(newest)
    seventh, next_free = store.join(study, place=7), store.join(study, place=7)
    assert (seventh.ordinal, next_free.ordinal) == (7, 3), "7 is taken"
    refused(lambda: store.join(99))
    store.close()


def alone_is_alone(make: Make) -> None:
    """Who wants to be alone gets in only where nobody lives, and keeps others out; the message says who is there."""
    store = make()
    study = store.create("demo", {}, "f").id
    first = store.join(study, "box pid 17")
    _raises(StudyBusy, lambda: store.join(study, "second", alone=True), "box pid 17", "since", "stop it")
    store.leave(first)
    lone = store.join(study, "lone pid 18", alone=True)
    assert lone.ordinal == 0 and lone.former == first.token and store.members(study)[0].alone
    for alone in (False, True):
        _raises(StudyBusy, lambda alone=alone: store.join(study, alone=alone), "lone pid 18")  # type: ignore[misc]
    assert len(store.members(study)) == 1, "who was refused is no member"
    store.leave(lone)
    assert store.join(study).ordinal == 0
    store.close()


def queued_trials_are_claimed_once(make: Make) -> None:
    """Without a member trials are queued, attempt 0; who claims first has them, in order."""
    store = make()
    study = store.create("demo", {}, "f").id
    a, b = store.join(study), store.join(study)
    assert store.claim(a, 5) == []
    store.open_trials(study, opening_of(5), None)
    assert [(t.attempt, t.owner) for t in store.since(study)[0]] == [(0, None)] * 5
    _, version = store.since(study)
    got = store.claim(a, 3)
    assert [(t.number, t.attempt, t.owner, t.status) for t in got] == [(i, 1, a.token, 0) for i in range(3)]
    assert got[0].params == store.since(study)[0][0].params
    assert [(t.number, t.owner) for t in store.since(study, version)[0]] == [(i, a.token) for i in range(3)]
    assert store.claim(b, 0) == [] and [t.number for t in store.claim(b, 9, [4, 0, 77])] == [4]
    assert [t.number for t in store.claim(b, 9)] == [3] and store.claim(a, 9) == store.claim(b, 9) == []
    assert store.append(study, finishing_of([0, 1, 2]), member=a) == []
    assert store.append(study, finishing_of([3, 4]), member=b) == []
    assert {t.attempt for t in store.since(study)[0]} == {1} and _kinds(store, study) == []
    refused(lambda: store.claim(a, -1), "limit")
    refused(lambda: store.claim(a, 1, attempts=0), "attempts")
    store.close()


def urgent_trials_come_first(make: Make) -> None:
    """A unit of priority is worth a minute of waiting; what belongs to nobody is claimed in that order, then number."""
    clock = Clock()
    store = make(lease_s=1e6, clock=clock)
    study = store.create("demo", {}, "f").id
    a, b = store.join(study), store.join(study)
    for i, priority in enumerate((0.0, 2.0, -1.0, 2.0, INF)):
        store.open_trials(study, opening_of(2, i, priority=priority), None)
    clock.now += 61.0
    store.open_trials(study, opening_of(1, 7, priority=1.0), None)  # one second too late for 0 and 1
    store.open_trials(study, opening_of(1, 8, priority=1.1), None)
    store.open_trials(study, opening_of(1, 9), None, member=b)
    assert [t.number for t in store.claim(a, 3)] == [8, 9, 2], "a batch has one priority, and keeps its order"
    assert [t.number for t in store.claim(a, 2, [5, 6, 7, 10])] == [6, 7], "of what is asked for"
    assert [t.number for t in store.claim(a, 4)] == [3, 11, 0, 1]
    store.leave(b)
    clock.now += 3600.0
    store.open_trials(study, opening_of(1, 10, priority=59.0), None)
    store.leave(a)  # what was claimed keeps its rank
    c = store.join(study)
    assert [t.number for t in store.claim(c, 99)] == [8, 9, 2, 3, 6, 7, 11, 0, 1, 10, 4, 5, 12, 13]
    refused(lambda: store.open_trials(study, opening_of(1, priority=NAN), None), "priority")
    store.close()


def left_trials_are_not_lost(make: Make) -> None:
    """What a member had open when it left is claimed like queued trials, with its attempt as it is."""
    store = make()
    study = store.create("demo", {}, "f").id
    a, b = store.join(study), store.join(study)
    store.open_trials(study, opening_of(4), None, member=a)
    assert {(t.attempt, t.owner) for t in store.since(study)[0]} == {(1, a.token)}
    assert store.members(study)[0].open_trials == 4 and store.claim(b, 9) == [], "whoever lives keeps its trials"
    store.append(study, finishing_of([1]), member=a)
    _, version = store.since(study)
    store.leave(a)
    assert [(t.number, t.attempt, t.owner) for t in store.since(study, version)[0]] == [(i, 1, None) for i in (0, 2, 3)]
    store.open_trials(study, opening_of(1, 7), None)
    again = store.join(study)
    assert (again.ordinal, again.former) == (0, a.token)
    assert [(t.number, t.attempt) for t in store.claim(again, 9, [3])] == [(3, 1)]
    assert [(t.number, t.attempt) for t in store.claim(b, 9)] == [(0, 1), (2, 1), (4, 1)]
    assert store.append(study, finishing_of([0]), member=a) == [], "what it did meanwhile counts"
    assert _kinds(store, study) == ["late"]
    store.close()


def lost_trials_come_one_at_a_time(make: Make) -> None:
    """What a lost member had open goes to others, one per call after the queued ones, each with its attempt raised."""
    clock = Clock()
    store = make(lease_s=10.0, clock=clock)
    study = store.create("demo", {}, "f").id
    a = store.join(study)
    store.open_trials(study, opening_of(4), None, member=a)
    store.append(study, finishing_of([1]), member=a)
    clock.now += 11.0
    b = store.join(study)
    store.open_trials(study, opening_of(1, 7), None)
    assert [(t.number, t.attempt) for t in store.claim(b, 9)] == [(4, 1), (0, 2)]
    assert [(t.number, t.attempt, t.owner) for t in store.claim(b, 9)] == [(2, 2, b.token)]
    assert store.claim(b, 9, [0, 1, 2]) == []
    assert [t.number for t in store.claim(b, 9, [3])] == [3] and store.claim(b, 9) == []
    store.append(study, finishing_of([0, 2]), member=b)
    store.append(study, finishing_of([3], attempts=np.array([5])), member=b)
    assert [t.attempt for t in store.since(study)[0]] == [2, 1, 2, 5, 1]
    store.leave(b)
    c = store.join(study)
    assert [(t.number, t.attempt) for t in store.claim(c, 9)] == [(4, 1)]
    store.close()


def poison_is_put_aside(make: Make) -> None:
    """A trial that was lost too often becomes FAILED, says why, and keeps its place in the budget."""
    clock = Clock()
    store = make(lease_s=10.0, clock=clock)
    study = store.create("demo", {}, "f").id
    first = store.join(study, "keeper")
    store.open_trials(study, opening_of(2), 2, member=first)
    lives = []
    for attempt in (2, 3):
        clock.now += 11.0
        lives.append(store.join(study, f"life {attempt}"))
        assert [(t.number, t.attempt) for t in store.claim(lives[-1], 1)] == [(0, attempt)]
        store.beat(first)  # 1 is not lost
        assert store.claim(lives[-1], 1) == []
    clock.now += 11.0
    last = store.join(study, "last")
    _, version = store.since(study)
    assert [(t.number, t.attempt) for t in store.claim(last, 1)] == [(1, 2)], "0 is put aside, 1 takes its turn"
    trial = store.since(study)[0][0]
    assert trial.status == Status.FAILED and trial.attempt == 3 and trial.owner is None
    assert trial.error.startswith("lost 3 times: whoever evaluated it died (the last one was life 3)"), trial.error
    assert [t.number for t in store.since(study, version)[0]] == [0, 1]
    assert [t.number for t in store.since(study, version, beside=last)[0]] == [0], "news to who claimed, too"
    (line,) = store.entries(study, kinds=["poisoned"])
    assert line.body == {"numbers": [0]} and line.by == last.ordinal
    assert store.standing(study).used == 2 and store.claim(last, 5) == []
    assert store.append(study, finishing_of([0], [1.0]), member=lives[1]) == [0], "too late now"
    clock.now += 11.0
    other = store.join(study)
    assert store.claim(other, 5, attempts=2) == [] and store.since(study)[0][1].status == Status.FAILED
    store.close()


def silent_members_lose_trials(make: Make) -> None:
    """After its lease a silent member's trials may be claimed, its place not; what it says still counts."""
    clock = Clock()
    store = make(lease_s=10.0, clock=clock)
    study = store.create("demo", {}, "f").id
    a, b = store.join(study, "a"), store.join(study, "b")
    store.open_trials(study, opening_of(3), None, member=a)
    clock.now += 9.0
    store.beat(b)
    assert [(v.late, v.silent_s) for v in store.members(study)] == [(False, 9.0), (False, 0.0)]
    assert store.claim(b, 9) == []
    clock.now += 2.0
    assert [(v.alive, v.late) for v in store.members(study)] == [(True, True), (True, False)]
    assert [(t.number, t.attempt) for t in store.claim(b, 9)] == [(0, 2)]
    assert store.join(study).ordinal == 2, "a place belongs to whoever lives, late or not"
    store.beat(a)
    assert store.claim(b, 9) == [], "it is heard of again: what it still has, it keeps"
    assert store.append(study, finishing_of([0, 1]), [Entry("told", {})], member=a) == []
    assert _kinds(store, study) == ["told", "late"] and store.entries(study)[1].body == {"numbers": [0]}
    assert store.append(study, finishing_of([0]), member=b) == [0]
    assert _kinds(store, study)[2:] == ["duplicate"] and store.entries(study)[2].by == b.ordinal
    clock.now += 9.0
    store.open_trials(study, opening_of(1, 5), None, member=a)
    clock.now += 9.0
    assert store.claim(b, 9) == [], "whoever works is heard of"
    store.close()


def answers_of_others_are_noted(make: Make) -> None:
    """The first answer counts, whoever gives it; what comes later is a line, NaN equals NaN, and never an error."""
    store = make()
    study = store.create("demo", {}, "f").id
    a, b = store.join(study), store.join(study)
    store.open_trials(study, opening_of(4), None, member=a)
    store.open_trials(study, opening_of(1, 3), None)
    assert store.append(study, finishing_of([0, 4], [1.0, 4.0]), member=b) == []
    assert [(e.kind, e.body, e.by) for e in store.entries(study)] == [("late", {"numbers": [0]}, 1)]
    bad = finishing_of([1, 2], [NAN, INF], status=Status.FAILED, errors={0: "boom"})
    assert store.append(study, bad, member=a) == []
    assert store.append(study, bad, member=a) == [1, 2]
    assert store.append(study, finishing_of([1, 3, 3], [1.0, 3.0, 3.5]), member=b) == [1, 3]
    lines = store.entries(study, 1)
    assert [(e.kind, e.by) for e in lines] == [("duplicate", 0), ("late", 1), ("conflict", 1)]
    assert lines[0].body == {"numbers": [1, 2]} and lines[1].body == {"numbers": [3]}
    assert [(one["number"], one["status"], one["values"]) for one in lines[2].body["answers"]] == [
        (1, 2, [1.0]), (3, 2, [3.5])
    ]  # fmt: skip
    assert [t.values for t in store.since(study)[0] if t.number in (0, 3, 4)] == [[1.0], [3.0], [4.0]]
    assert store.append(study, finishing_of([0]), member=None) == [0] and store.entries(study)[-1].by == 0
    store.close()


def released_trials_are_told_of(make: Make) -> None:
    """A member gives back its own only; full reads leave them out, others hear of them, and no answer is taken."""
    store = make()
    study = store.create("demo", {}, "f").id
    a, b = store.join(study), store.join(study)
    store.open_trials(study, opening_of(3), 4, member=a)
    store.open_trials(study, opening_of(1, 9), 4, member=b)
    _, version = store.since(study)
    store.release(study, [0, 1, 3, 3], a)
    assert [(t.number, t.owner) for t in store.since(study)[0]] == [(2, a.token), (3, b.token)]
    changed, version = store.since(study, version)
    assert [(t.number, t.status, t.values, t.owner) for t in changed] == [
        (0, Status.ABANDONED, [], None), (1, Status.ABANDONED, [], None)
    ]  # fmt: skip
    assert store.standing(study).used == 2 and store.members(study)[0].open_trials == 1
    refused(lambda: store.append(study, finishing_of([2, 1]), member=a), "1", "released")
    assert store.since(study)[0][0].status == 0, "nothing of it was written"
    store.release(study, [0, 1], b)
    assert store.since(study, version) == ([], version) and store.claim(b, 9) == []
    assert store.open_trials(study, opening_of(9), 4, member=b) == (4, 2, {}), "numbers are not given twice"
    store.release(study, [2])
    assert [t.number for t in store.since(study)[0]] == [3, 4, 5]
    assert store.retract(study, [0]) == []
    store.close()


def retracted_trials_keep_their_results(make: Make) -> None:
    """They count no more: no lookup, no place in the budget, another trial may have their point."""
    store = make()
    study = store.create("demo", {}, "f").id
    opening = opening_of(3)
    store.open_trials(study, opening, 3)
    store.append(study, finishing_of([0, 1], [5.0, 6.0]))
    first = store.add(study, opening_of(1, 4), finishing_of([0], [9.0]))
    held, version = store.since(study)
    assert store.retract(study, [0, 0, 2, first, 99], "wrong units") == [0, first]
    assert held[0].status == Status.DONE, "what was handed out does not change in the hand"
    changed, version = store.since(study, version)
    assert [(t.number, t.status, t.values) for t in changed] == [(0, 6, [5.0]), (first, 6, [9.0])]
    assert [t.number for t in store.since(study)[0]] == [0, 1, 2, 3], "it is on record"
    (line,) = store.entries(study)
    assert line.kind == "retracted" and line.body == {"numbers": [0, first], "reason": "wrong units"}
    assert store.standing(study).used == 2, "one place is free; what was added had none"
    assert store.retract(study, [0]) == [] and len(store.entries(study)) == 1
    assert store.append(study, finishing_of([0], [5.0])) == [0], "it is final"
    assert store.open_trials(study, opening, 9, unique=True).taken == {1: 1, 2: 2}
    store.close()


def points_may_be_unique(make: Make) -> None:
    """A point that is a trial, of whatever status, is not opened again, neither twice in one batch."""
    store = make()
    study = store.create("demo", {}, "f").id
    twice = opening_of(4)
    twice.reals[3] = twice.reals[1]
    if twice.active is not None:
        twice.active[3] = twice.active[1]
    a = store.join(study)
    assert store.open_trials(study, twice, None, member=a, unique=True) == (0, 3, {3: 1})
    store.append(study, finishing_of([1]), member=a)
    assert store.open_trials(study, twice, None, member=a, unique=True) == (3, 0, {0: 0, 1: 1, 2: 2, 3: 1})
    store.release(study, [0], a)
    assert store.open_trials(study, opening_of(4), 3, member=a, unique=True) == (3, 1, {1: 1, 2: 2}), (
        "no room for row 3"
    )
    more = opening_of(4, replicates=np.full(4, 1))
    assert store.open_trials(study, more, None, member=a, unique=True) == (4, 4, {}), "replicates are other points"
    assert store.open_trials(study, opening_of(2), None, member=a) == (8, 2, {}), "unless asked for, points may repeat"
    other = store.create("other", {}, "f").id
    assert store.open_trials(other, opening_of(2), None, unique=True) == (0, 2, {})
    assert store.open_trials(study, opening_of(2), 0, unique=True) == (10, 0, {0: 3, 1: 1})
    numbers = [t.ticket for t in store.since(study)[0]]
    assert numbers == [1, 2, 0, 0, 1, 2, 3, 0, 1]
    store.close()


def changes_of_others(make: Make) -> None:
    """`beside` leaves out what a member changed last itself."""
    store = make()
    study = store.create("demo", {}, "f").id
    a, b = store.join(study), store.join(study)
    store.open_trials(study, opening_of(2), None, member=a)
    store.open_trials(study, opening_of(2, 1), None, member=b)
    store.open_trials(study, opening_of(1, 2), None)

    def others(member: Member, version: int = 0) -> list[int]:
        return [trial.number for trial in store.since(study, version, beside=member)[0]]

    assert others(a) == [2, 3, 4] and others(b) == [0, 1, 4]
    version = store.standing(study).version
    assert store.since(study)[1] == version
    store.append(study, finishing_of([0, 2]), member=a)
    assert others(a, version) == [] and others(b, version) == [0, 2] and others(a) == [3, 4]
    store.claim(b, 1, [4])
    assert others(a, version) == [4] and others(b) == [0, 1, 2]
    store.add(study, opening_of(1, 8), finishing_of([0]), member=b)
    assert others(a, version) == [4, 5] and others(b, version) == [0, 2]
    store.retract(study, [0])
    assert others(a, version) == [0, 4, 5], "nobody's change is everybody's news"
    store.close()


def specs_have_revisions(make: Make) -> None:
    """One of two who change a spec wins; the old one is in the log; budgets are kept beside."""
    store = make()
    study = store.create("demo", {"x": (1, NAN)}, "f").id
    assert store.standing(study) == Standing(store.since(study)[1], 0, None, 0, 0)
    before = store.standing(study).version
    record = store.respec(study, {"x": 2}, "g", 0)
    assert (record.spec, record.fingerprint, record.revision, record.id) == ({"x": 2}, "g", 1, study)
    assert store.open("demo") == record == store.create("demo", {}, "h")
    assert store.standing(study).version > before and store.standing(study).revision == 1
    _raises(StoreMismatch, lambda: store.respec(study, {"x": 3}, "h", 0), "revision 1", "not 0")
    (line,) = store.entries(study)
    assert line.kind == "respec" and line.body["spec"]["x"][0] == 1 and line.body["fingerprint"] == "f"
    assert line.body["now"] == {"spec": {"x": 2}, "fingerprint": "g"}
    store.set_budget(study, 3)
    assert store.standing(study).budget == 3
    assert store.open_trials(study, opening_of(5), 3)[1] == 3
    assert store.open_trials(study, opening_of(5), None)[1] == 5, "it is kept for members; they say what they go by"
    store.set_budget(study, None)
    assert store.standing(study).used == 8 and store.standing(study).budget is None
    refused(lambda: store.standing(99))
    refused(lambda: store.respec(99, {}, "f", 0))
    store.close()


def places_have_logs_and_snapshots(make: Make) -> None:
    """Lines and trials say whose they are; each place has a snapshot."""
    store = make()
    study = store.create("demo", {}, "f").id
    a, b = store.join(study), store.join(study)
    store.open_trials(study, opening_of(2, by=1), None, [Entry("ask", {"n": 2}, by=1)], member=b)
    store.log(study, [Entry("start", {}), Entry("tell", {}, by=1)])
    assert [entry.by for entry in store.entries(study)] == [1, 0, 1]
    assert [entry.kind for entry in store.entries(study, by=1)] == ["ask", "tell"]
    assert [entry.kind for entry in store.entries(study, 1, ["ask", "tell", "start"], by=0)] == ["start"]
    store.open_trials(study, opening_of(1, 3), None, member=a)
    assert [trial.by for trial in store.since(study)[0]] == [1, 1, 0]
    store.snapshot(study, {"of": 1}, 5, by=1)
    assert store.restore(study) is None and store.restore(study, by=1) == ({"of": 1}, 5)
    store.snapshot(study, {"of": 0}, 2)
    store.snapshot(study, {"of": "older"}, 4, by=1)
    assert store.restore(study, 0) == ({"of": 0}, 2) and store.restore(study, by=1) == ({"of": 1}, 5)
    store.close()


def displaced_members_take_nothing(make: Make) -> None:
    """Who is not there any more opens and claims nothing; its answers count, its log lines are not written."""
    store = make()
    study = store.create("demo", {}, "f").id
    old = store.join(study)
    store.open_trials(study, opening_of(2), None, member=old)
    store.leave(old)
    _raises(Displaced, lambda: store.open_trials(study, opening_of(1), None, member=old))
    assert store.append(study, finishing_of([0]), [Entry("told", {})], member=old) == []
    assert _kinds(store, study) == ["told"], "it left, and nobody has its place"
    assert store.log(study, [Entry("note", {})], old) == 2
    store.snapshot(study, {"of": "old"}, 2, member=old)
    new = store.join(study)
    assert new.ordinal == old.ordinal
    for call in (
        lambda: store.claim(old, 9),
        lambda: store.beat(old),
        lambda: store.log(study, [Entry("note", {})], old),
        lambda: store.log(study, [], old),
        lambda: store.snapshot(study, {"of": "old"}, 9, member=old),
    ):
        _raises(Displaced, call)
    assert store.restore(study) == ({"of": "old"}, 2), "what it kept in time stays"
    store.snapshot(study, {"of": "new"}, 3, member=new)
    assert store.log(study, [], new) == 2 and store.restore(study) == ({"of": "new"}, 3)
    assert store.append(study, finishing_of([1]), [Entry("told", {})], member=old) == []
    assert _kinds(store, study) == ["told", "note"] and {t.status for t in store.since(study)[0]} == {2}
    store.close()


def members_leave_when_their_store_closes(make: Make) -> None:
    """Durable stores only: closing frees places and trials, and they are there after reopening."""
    store = make()
    if not store.durable:
        return
    study = store.create("demo", {}, "f").id
    old = store.join(study, "before")
    store.open_trials(study, opening_of(2), None, member=old)
    store.set_budget(study, 5)
    store.respec(study, {"n": 2}, "g", 0)
    store.close()
    store.leave(old)
    store = make()
    assert store.members(study) == [] and store.standing(study).budget == 5 and store.open("demo").revision == 1
    new = store.join(study)
    assert (new.ordinal, new.former) == (0, old.token) and new.token > old.token
    assert [(t.number, t.attempt) for t in store.claim(new, 9)] == [(0, 1), (1, 1)]
    second = make()
    one, two = second.join(study), second.join(study)
    assert (one.ordinal, two.ordinal) == (1, 2) and second.claim(two, 9) == []
    store.close()
    assert [t.number for t in second.claim(two, 1)] == [0] and [t.number for t in second.claim(one, 9)] == [1]
    second.close()
    try:
        second.join(study)
    except StoreError:
        return
    raise AssertionError("a closed store let somebody join")


MEMBER_CHECKS: dict[str, Callable[[Make], None]] = {
    check.__name__: check
    for check in (
        places_are_taken_and_taken_again,
        alone_is_alone,
        queued_trials_are_claimed_once,
        urgent_trials_come_first,
        left_trials_are_not_lost,
        lost_trials_come_one_at_a_time,
        poison_is_put_aside,
        silent_members_lose_trials,
        answers_of_others_are_noted,
        released_trials_are_told_of,
        retracted_trials_keep_their_results,
        points_may_be_unique,
        changes_of_others,
        specs_have_revisions,
        places_have_logs_and_snapshots,
        displaced_members_take_nothing,
        members_leave_when_their_store_closes,
    )
}
