"""Several processes, or several studies of one process, work on one stored study."""

import threading
import time

import pytest

import thalweg as tw
from thalweg.core.errors import ProblemError, SpaceError, StoreMismatch, StudyBusy
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.parts.strategies.de import DE

SPACE = {"x": (-5.0, 5.0), "y": (-5.0, 5.0)}


def bowl(p):
    return (p["x"] - 1) ** 2 + (p["y"] + 2) ** 2


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres_address")
    return f"sqlite:///{tmp_path / 'study.db'}"


def study(store, **keywords):
    return tw.Study(SPACE, store=store, **{"strategy": "random", "seed": 3, **keywords})


def together(*runs):
    """Run these in threads; what they gave."""
    given, failures = [None] * len(runs), []

    def body(i, run):
        try:
            given[i] = run()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=body, args=item) for item in enumerate(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
    return given


# --- one budget, one history ------------------------------------------------------------------------------------------


def test_coordinators_share_a_budget_exactly(store):
    results = together(*[lambda: study(store).run(bowl, max_evals=60) for _ in range(4)])
    with study(store) as reader:
        trials = reader.trials
    assert len(trials) == 60
    assert len({(t.params["x"], t.params["y"]) for t in trials}) == 60
    best = min(t.value for t in trials)
    assert all(result.value == best for result in results)  # each has heard of every result
    assert all(result.evaluations == 60 for result in results)


def test_each_coordinator_has_a_stream_of_its_own(store):
    first, second = study(store), study(store)
    a, b = first.ask(3), second.ask(3)
    assert {t.number for t in a}.isdisjoint(t.number for t in b)
    assert {t.params["x"] for t in a}.isdisjoint(t.params["x"] for t in b)
    first.close()
    second.close()


def test_the_first_coordinator_has_the_studys_own_stream(store):
    alone = tw.Study(SPACE, strategy="random", seed=3).ask(3)
    with study(store) as first:
        assert [t.params for t in first.ask(3)] == [t.params for t in alone]


def test_answers_of_others_are_told_as_foreign(store, monkeypatch):
    first, second = study(store, strategy="de"), study(store, strategy="de")
    mine, theirs = first.ask(2), second.ask(2)
    second.tell(theirs, [bowl(t.params) for t in theirs])
    heard = []
    tell = type(first.strategy).tell
    monkeypatch.setattr(type(first.strategy), "tell", lambda self, given: (heard.append(given), tell(self, given)))
    first.refresh()
    assert [answers.tickets.tolist() for answers in heard] == [[-1, -1]]
    assert heard[0].values[:, 0].tolist() == [bowl(t.params) for t in theirs]
    assert first.best.number in {t.number for t in theirs}
    first.tell(mine, [bowl(t.params) for t in mine])
    assert len(first.trials) == 4
    first.close()
    second.close()


def test_a_reader_takes_no_part(store):
    with study(store) as writer, tw.load(store, "study") as reader:
        writer.run(bowl, max_evals=10)
        assert len(reader.trials) == 0
        reader.refresh()
        assert len(reader.trials) == 10
        assert reader.best.value == writer.best.value
        assert [item.ordinal for item in reader.store.members(reader.session.study)] == []


def test_points_that_another_has_under_way_are_not_run_twice(store):
    space = {"k": tw.Integer(0, 19)}
    runs = []

    def slow(p):
        runs.append(p["k"])
        time.sleep(0.002)
        return float(p["k"])

    def run():
        return tw.Study(space, store=store, strategy="grid", seed=0).run(slow, max_evals=100)

    results = together(run, run, run)
    assert sorted(runs) == list(range(20))
    assert all("exhausted" in result.stop_reason or "done" in result.stop_reason for result in results)


def test_the_budget_belongs_to_the_study(store):
    with study(store) as first:
        assert first.budget is None
        first.budget = 12
        assert first.run(bowl).evaluations == 12
        first.budget = 15
    with tw.load(store, "study") as second:
        assert second.run(bowl).evaluations == 15
        with pytest.raises(ProblemError, match="whole number"):
            second.budget = 0


def test_a_run_takes_up_a_new_budget(store):
    other = study(store)

    def objective(p):
        if other.budget == 40:
            other.budget = 8
        time.sleep(0.01)
        return bowl(p)

    with study(store) as first:
        assert 8 <= first.run(objective, max_evals=40).evaluations < 30
    other.close()


def test_no_budget_and_no_limit_is_refused(store):
    with study(store) as one, pytest.raises(ProblemError, match="no limit"):
        one.run(bowl)


# --- places -----------------------------------------------------------------------------------------------------------


def test_a_crew_that_starts_again_resumes_its_streams(store):
    def draw(name, stop):
        crew = [study(store, strategy="de", name=name) for _ in range(2)]
        asked = []
        for _ in range(stop):
            for member in crew:
                asked.append(member.ask(1)[0])
                member.tell(asked[-1], bowl(asked[-1].params))
        return crew, asked

    asked = []
    for name, stops in (("whole", (12,)), ("cut", (5, 7))):
        for stop in stops:
            crew, got = draw(name, stop)
            asked.append([t.params for t in got])
            for member in crew:
                member.close()
    assert asked[1] == asked[0][:10]
    assert asked[2] == asked[0][10:]


def test_ordered_studies_are_worked_on_alone(store):
    with study(store, ordered=2) as first:
        first.ask(1)
        with study(store, ordered=2) as second, pytest.raises(StudyBusy, match="pid"):
            second.run(bowl, max_evals=5)


def test_a_run_leaves_when_it_ends(store):
    with study(store) as first:
        first.run(bowl, max_evals=5)
        assert first.store.members(first.session.study) == []
        again = study(store)
        assert again.run(bowl, max_evals=8).evaluations == 8
        assert [entry.by for entry in first.store.entries(first.session.study, 0, ("ask",))] == [0] * len(
            first.store.entries(first.session.study, 0, ("ask",))
        )
        assert first.run(bowl, max_evals=12).evaluations == 12  # the place was taken in between
        again.close()


# --- trials that nobody works on --------------------------------------------------------------------------------------


def test_what_a_dead_process_left_is_evaluated_by_the_living(store):
    dead = study(store)
    lost = dead.ask(3)
    with study(store) as alive:
        alive.ask(1)  # it lives beside the first one
        dead.close()  # as its death: the locks are free
        del dead
        result = alive.run(bowl, max_evals=12)
    assert result.evaluations == 12 - 1  # the one asked for by hand is still out
    numbers = {t.number: t for t in result.trials}
    assert {t.number for t in lost} <= set(numbers)
    assert all(numbers[t.number].params == t.params for t in lost)


def test_queued_points_run_first_and_once(store):
    points = [{"x": 0.25, "y": 0.5}, {"x": 1.0, "y": -2.0}, {"x": 0.25, "y": 0.5}]
    with study(store) as third:
        assert third.enqueue(points) == 2
        assert third.enqueue({"x": 1.0, "y": -2.0}) == 0  # queued already
        with pytest.raises(SpaceError):
            third.enqueue([{"x": 0.0, "y": 0.0}, {"x": 99.0, "y": 0.0}])
    runs = []

    def objective(p):
        runs.append((p["x"], p["y"]))
        return bowl(p)

    results = together(*[lambda: study(store).run(objective, max_evals=20) for _ in range(3)])
    assert sorted(runs).count((0.25, 0.5)) == sorted(runs).count((1.0, -2.0)) == 1
    assert len(runs) == 20
    assert results[0].value == 0.0
    assert {t.source for t in results[0].trials} == {"enqueued", "strategy"}
    assert {(t.params["x"], t.params["y"]) for t in results[0].trials if t.source == "enqueued"} == {
        (0.25, 0.5), (1.0, -2.0),
    }  # fmt: skip


@pytest.mark.parametrize("durable", [False, True])
def test_queued_points_are_asked_for_first(store, durable):
    with study(store if durable else None) as one:
        assert one.enqueue([{"x": 0.25, "y": 0.5}]) == 1
        first, second = one.ask(2)
        assert first.params == {"x": 0.25, "y": 0.5}
        assert second.source == "strategy"
        one.tell([first, second], [1.0, 2.0])
        assert one.run(bowl, max_evals=6).evaluations == 6


@pytest.mark.parametrize("durable", [False, True])
def test_urgent_points_are_asked_for_first(store, durable):
    with study(store if durable else None) as one:
        for x, priority in ((0.5, 0), (1.5, 2), (2.5, -1), (3.5, 2), (4.5, 0)):
            assert one.enqueue([{"x": x, "y": 0.0}, {"x": x, "y": 1.0}], priority=priority) == 2
        asked = [trial for _ in range(10) for trial in one.ask(1)]
        assert [t.params["x"] for t in asked] == [1.5, 1.5, 3.5, 3.5, 0.5, 0.5, 4.5, 4.5, 2.5, 2.5]
        assert [t.params["y"] for t in asked] == [0.0, 1.0] * 5
        for bad in (float("nan"), "high", None, True):
            with pytest.raises(ProblemError, match="priority"):
                one.enqueue({"x": 0.0, "y": 0.0}, priority=bad)
        one.tell(asked, [float(i) for i in range(10)])
        assert one.ask(1)[0].source == "strategy", "what was refused is not queued"


def test_who_was_displaced_writes_no_log(store):
    """A process whose place was taken keeps its hands off the other one's log and snapshot, also when it ends."""
    one = study(store)
    one.tell(one.ask(1), [1.0])
    old = one.session.crew.member
    two = tw.Study(SPACE, store=one.store, strategy="random", seed=3)
    one.store.leave(old)  # as if it was thought dead
    two.tell(two.ask(1), [2.0])
    assert two.session.crew.ordinal == old.ordinal
    lines = [(entry.sequence, entry.kind) for entry in one.store.entries(one._id)]
    one.session.log("tell", of="nobody")
    one.session.save()
    one.store.close, close = (lambda: None), one.store.close
    one.close()
    del one.store.close
    assert [(entry.sequence, entry.kind) for entry in two.store.entries(two._id)] == lines
    two.close()
    close()


def test_a_running_study_takes_queued_points_up(store):
    other, seen = study(store), []

    def objective(p):
        if len(seen) == 10:
            other.enqueue([{"x": 0.125, "y": 0.0}])
        seen.append(p["x"])
        time.sleep(0.03)
        return bowl(p)

    with study(store) as one:
        # all 30 are opened by then: one of them gives way, unless they have run before that is heard of
        assert one.run(objective, max_evals=30).evaluations in (30, 31)
    other.close()
    assert seen.count(0.125) == 1


# --- answers that come late -------------------------------------------------------------------------------------------


def test_a_late_answer_is_no_error_and_the_first_one_stands(tmp_path):
    now = [0.0]
    make = lambda: SQLiteStore(tmp_path / "s.db", clock=lambda: now[0], lease_s=30.0)  # noqa: E731
    slow, quick = study(make()), study(make())
    (mine,) = slow.ask(1)
    now[0] = 31.0
    (same,) = quick.ask(1)
    assert same.number == mine.number
    quick.tell(same, 7.0)
    slow.tell(mine, 9.0)
    for one in (slow, quick):
        assert [t.value for t in one.trials] == [7.0]
        assert one.best.value == 7.0
    kinds = [
        entry.kind
        for entry in slow.store.entries(slow.session.study)
        if entry.kind in ("late", "duplicate", "conflict")
    ]
    assert kinds == ["conflict"]
    slow.close()
    quick.close()


# --- changes from outside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [False, True])
def test_a_retracted_trial_counts_as_nothing(store, durable):
    with study(store if durable else None, strategy="de") as one:
        one.run(bowl, max_evals=20)
        best = one.best
        assert one.retract(best, "the machine was broken") == [best.number]
        assert one.best.number != best.number
        assert best.number not in {t.number for t in one.trials}
        assert one.retract(best.number) == []
        assert one.run(bowl, max_evals=20).evaluations == 20  # its place is free again
        with pytest.raises(ProblemError, match="no trial 999"):
            one.retract(999)


def test_others_hear_of_a_retracted_trial_and_may_evaluate_it_again(store):
    with study(store, strategy="de") as one, study(store, strategy="de") as other:
        one.run(bowl, max_evals=20)
        other.refresh()
        worst = max(other.trials, key=lambda t: t.value)
        assert other.retract([worst], again=True) == [worst.number]
        result = one.run(bowl, max_evals=22)
        assert worst.number not in {t.number for t in result.trials}
        assert [t.params for t in result.trials if t.source == "enqueued"] == [worst.params]
        assert result.evaluations == 22


def test_a_retracted_trial_stays_so_after_a_restart(store):
    with study(store, strategy="cmaes") as one:
        one.run(bowl, max_evals=30)
        best = one.best
        one.retract(best)
    with study(store, strategy="cmaes") as again:
        assert best.number not in {t.number for t in again.trials}
        assert again.run(bowl, max_evals=40).evaluations == 40


def test_the_point_of_a_retracted_trial_may_be_evaluated_again_after_a_restart(store):
    broken = [True]
    objective = lambda p: 99.0 if broken[0] and p["n"] == 3 else float(p["n"])  # noqa: E731
    with tw.Study({"n": (0, 5)}, store=store, strategy="random", seed=1) as one:
        wrong = [t.number for t in one.run(objective, max_evals=50).trials if t.params["n"] == 3]
        assert one.retract(wrong, "the machine was broken") == wrong
    broken[0] = False
    with tw.load(store, "study") as again:
        result = again.run(objective, max_evals=50)
    assert sorted(t.value for t in result.trials) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "every point has a result"


def test_the_space_may_change_and_the_history_stays(store):
    space = {"x": (-5.0, 5.0), "kind": ["a", "b"]}
    objective = lambda p: p["x"] ** 2 + (p["kind"] == "a") + p.get("z", 1.0)  # noqa: E731
    with tw.Study(space, store=store, strategy="random", seed=0) as one:
        one.run(objective, max_evals=30)
        inside = [t for t in one.trials if t.params["x"] >= 0]
        one.change_space({"x": (0.0, 9.0), "kind": ["a", "b", "c"], "z": tw.Float(0, 2, default=1.0)})
        assert len(one.trials) == len(inside)
        assert all(t.params["z"] == 1.0 for t in one.trials)
        result = one.run(objective, max_evals=60)
        assert {t.params["kind"] for t in result.trials} == {"a", "b", "c"}
        assert max(t.params["x"] for t in result.trials) > 5
        assert one.store.standing(one.session.study).used == 60
    with tw.load(store, "study") as again:
        assert len(again.trials) == len(result.trials)
        with pytest.raises(SpaceError, match="would be gone"):
            again.change_space({"x": (0.0, 9.0)})
        with pytest.raises(SpaceError, match="default"):
            again.change_space({"x": (0.0, 9.0), "kind": ["a"], "z": (0.0, 2.0), "new": (0, 1)})
        with pytest.raises(SpaceError, match="kind has to stay"):
            again.change_space({"x": ["p", "q"], "kind": ["a"], "z": (0.0, 2.0)})


def test_of_two_changes_of_the_space_the_second_is_refused(store):
    with study(store) as one, study(store) as other:
        one.change_space({"x": (-9.0, 9.0), "y": (-5.0, 5.0)})
        with pytest.raises(StoreMismatch):
            other.change_space({"x": (-7.0, 7.0), "y": (-5.0, 5.0)})


def test_a_running_process_stops_when_the_space_changes(store):
    other, seen = study(store), []

    def objective(p):
        seen.append(p)
        if len(seen) == 20:
            other.change_space({"x": (-9.0, 9.0), "y": (-5.0, 5.0)})
        time.sleep(0.005)
        return bowl(p)

    with study(store) as one:
        result = one.run(objective, max_evals=500)
        assert "space" in result.stop_reason
        assert result.evaluations < 500
    other.close()


def test_ordered_runs_take_queued_points_at_their_beginning_and_end(store):
    def run(name, enqueue):
        strategy = DE(quorum=1.0)  # generations are heard whole: who comes between changes nothing
        with tw.Study(SPACE, store=store, name=name, strategy=strategy, seed=2, ordered=3) as one:
            one.enqueue([{"x": 0.5, "y": 0.5}, {"x": 0.25, "y": 0.5}])
            later = lambda p: (enqueue and one.enqueue([{"x": 3.0, "y": 3.0}]), bowl(p))[1]  # noqa: E731
            result = one.run(later, max_evals=30, evaluator="thread", workers=2)
            assert result.evaluations == 30
            return [(t.params, t.value) for t in result.trials if t.params != {"x": 3.0, "y": 3.0}]

    whole = run("whole", False)
    assert run("more", True) == whole[:29]  # the further point has taken a place, and waited


def test_a_process_whose_place_was_taken_goes_on_in_another(store, monkeypatch):
    with study(store, strategy="de") as one:
        asked = one.ask(3)
        crew, dead = one.session.crew, one.session.crew.member
        one.store.leave(dead)  # as if it had been out of reach, and thought dead
        with study(store, strategy="de") as other:
            (same, *_) = other.ask(3)
            assert other.session.crew.ordinal == 0
            assert same.number == asked[0].number
            other.tell(same, 7.0)
            further = one.ask(2)
            assert crew.ordinal == 1
            one.tell(asked, [bowl(t.params) for t in asked])  # the first came too late, the others not
            one.tell(further, [bowl(t.params) for t in further])
            assert {t.number: t.value for t in one.trials}[same.number] == 7.0
            assert len(one.trials) == 5
        assert one.run(bowl, max_evals=30).evaluations == 30
