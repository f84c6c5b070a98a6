"""Stop rules: exact counts, room, several objectives, constraints, composition."""

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.errors import ProblemError
from thalweg.core.stopping import Progress, StopRule
from thalweg.parts.stopping import STOP_RULES, Patience, Plateau, Target, Wall, as_rule, make_rule
from thalweg.parts.stopping.wall import seconds_of


def progress_of(values, before=0, *, statuses=None, violations=None, signs=None, elapsed=0.0) -> Progress:
    rows = np.asarray(values, dtype=float)
    rows = rows.reshape(len(rows), -1) if rows.size else rows.reshape(0, 1)
    if statuses is None:
        statuses = np.where(np.isfinite(rows).all(axis=1), Status.DONE, Status.FAILED)
    return Progress(
        rows,
        np.asarray(statuses, dtype=np.int8),
        None if violations is None else np.asarray(violations, dtype=float),
        np.ones(rows.shape[1]) if signs is None else np.asarray(signs, dtype=float),
        before + len(rows),
        elapsed,
    )


def drive(rule: StopRule, values, chunk=1, **columns):
    """(evaluations, reason) at the stop, chunks as large as allowed and never beyond the rule's room."""
    done = 0
    while done < len(values):
        room = rule.room
        assert room is None or room >= 1
        k = min(chunk, len(values) - done, room or chunk)
        part = {name: column[done : done + k] for name, column in columns.items() if name != "signs"}
        extra = {"signs": columns["signs"]} if "signs" in columns else {}
        reason = rule.check(progress_of(values[done : done + k], done, **part, **extra))
        done += k
        if reason:
            return done, reason
    return done, None


NAN = float("nan")


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_patience_is_exact(chunk):
    values = [5.0, 4.0, 4.0, 9.0, 3.0] + [3.0, NAN, 7.0, 3.0] * 50
    done, reason = drive(Patience(10), values, chunk)
    assert done == 15, "the last improvement is evaluation 5, ten follow"
    assert reason == "no improvement in 10 evaluations (best 3)"


def test_patience_counts_failures_but_not_abandoned_ones():
    assert drive(Patience(5), [NAN] * 9)[0] == 5
    assert "no value at all" in drive(Patience(5), [NAN] * 9)[1]
    statuses = [Status.DONE] + [Status.ABANDONED] * 4 + [Status.TIMEOUT] * 9
    assert drive(Patience(5), [1.0] + [NAN] * 13, statuses=statuses)[0] == 10


def test_patience_min_delta():
    small = [100.0, 99.9, 99.8, 99.7, 99.6, 99.5, 99.4]
    assert drive(Patience(4, min_delta=1.0), small)[0] == 5
    assert drive(Patience(4, min_delta=0.0), small) == (7, None)
    assert drive(Patience(4, min_delta=0.25), small) == (7, None), "small steps add up against the last improvement"
    shares = [100.0, 94.0, 93.0, 89.0, 88.0, 87.5, 87.0, 86.0, 85.9, 85.8]
    assert drive(Patience(4, min_delta=0.05, relative=True), shares)[0] == 8


def test_patience_maximised_shows_the_users_sign():
    _, reason = drive(Patience(2), [-5.0, -4.0, -3.0], signs=[-1.0])
    assert "best 5" in reason


def test_patience_feasibility_is_an_improvement():
    values = [1.0, 1.0, 1.0, 50.0, 60.0, 60.0, 60.0]
    violations = [3.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert drive(Patience(3), values, violations=violations)[0] == 7
    done, reason = drive(Patience(3), [1.0] * 9, violations=[1.0] * 9)
    assert done == 4 and "no feasible value" in reason


def test_patience_several_objectives():
    front = [(3.0, 3.0), (2.0, 4.0), (4.0, 2.0), (1.0, 1.0)]
    values = [*front, (1.0, 1.0), (2.0, 2.0), (1.0, 5.0), (0.5, 9.0), (2.0, 2.0), (2.0, 2.0), (3.0, 1.5)]
    done, reason = drive(Patience(3), values, chunk=4)
    assert done == 7 and "1 points on the front" in reason
    assert drive(Patience(3), values[:7] + [(0.9, 2.0)] * 9)[0] == 7
    near = [(1.0, 1.0), (0.95, 1.05), (1.05, 0.95), (0.98, 2.0)]
    assert drive(Patience(3, min_delta=0.1), near)[0] == 4, "nearer than the margin is no improvement"
    assert drive(Patience(3), near) == (4, None)
    bad = drive(Patience(2), [(1.0, 1.0), (0.5, 0.5), (0.4, 0.4)], violations=[0.0, 1.0, 1.0])
    assert bad[0] == 3, "infeasible points do not extend a front"


def test_patience_forgets():
    rule = Patience(3)
    drive(rule, [0.0, 1.0, 1.0, 1.0])
    assert rule.room is None, "its word stands"
    rule.reset()
    assert rule.room == 3 and drive(rule, [5.0, 4.0, 3.0, 2.0]) == (4, None)


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, "3"])
@pytest.mark.parametrize("kind", [Patience, Plateau])
def test_counts_are_checked(kind, bad):
    with pytest.raises(ProblemError, match="whole number"):
        kind(bad)


@pytest.mark.parametrize("bad", [-1.0, NAN, float("inf"), "1", True])
def test_margins_are_checked(bad):
    with pytest.raises(ProblemError, match=">= 0"):
        Patience(3, min_delta=bad)
    with pytest.raises(ProblemError, match=">= 0"):
        Plateau(3, tolerance=bad)


def test_target():
    rule = Target(1.0)
    assert rule.goal == 1.0 and rule.room is None
    assert rule.check(progress_of([3.0, 1.1, NAN])) is None
    assert rule.check(progress_of([3.0, 1.0, 0.5])) == "target 1 reached: 1"
    assert rule.check(progress_of([0.0], statuses=[Status.PRUNED])) is None
    assert rule.check(progress_of([0.0], violations=[0.1])) is None
    assert Target(-1.0).check(progress_of([float("-inf")])) is None, "an infinity is no value"


def test_target_in_the_users_sign():
    assert Target(0.9).check(progress_of([-0.85, -0.95], signs=[-1.0])) == "target 0.9 reached: 0.95"
    assert Target(0.9).check(progress_of([-0.85, 0.95], signs=[-1.0])) is None


def test_target_of_several():
    rule = Target((1.0, 90.0))
    assert rule.goal is None, "no single value ends it"
    values, signs = [(0.5, -80.0), (2.0, -95.0)], [1.0, -1.0]
    assert rule.check(progress_of(values, signs=signs)) is None, "one trial must reach both"
    assert rule.check(progress_of([(1.0, -95.0)], signs=signs)) == "target 1, 90 reached: 1, 95"
    assert Target((None, 90.0)).check(progress_of([(7.0, -95.0)], signs=signs))
    with pytest.raises(ProblemError, match="at most 1"):
        rule.check(progress_of([1.0]))


@pytest.mark.parametrize("bad", [NAN, "low", True, None, [], [None], [[1.0]]])
def test_target_is_checked(bad):
    with pytest.raises(ProblemError, match="Target"):
        Target(bad)


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_plateau_is_exact(chunk):
    values = [10.0, 9.0, 8.0, 7.9, 7.8, 7.7, 7.6, 7.5, 7.4]
    # window of 3: from evaluation 6 on (best before: 8.0; after: 7.7) it gains 0.3
    done, reason = drive(Plateau(3, tolerance=0.35), values, chunk)
    assert done == 6 and "gained 0.3, not more than 0.35 (best 7.7)" in reason
    assert drive(Plateau(3, tolerance=0.1), values, chunk) == (9, None), "creeping is seen, and is enough"
    assert drive(Patience(3, min_delta=0.35), values, chunk)[0] == 6


def test_plateau_room_is_never_too_late():
    rng = np.random.default_rng(1)
    for _ in range(200):
        values = np.minimum.accumulate(rng.random(60) * np.linspace(1, 0.2, 60)).tolist()
        values = [NAN if rng.random() < 0.2 else value for value in values]
        n, tolerance = int(rng.integers(1, 12)), float(rng.random() * 0.1)
        assert drive(Plateau(n, tolerance), values, 1) == drive(Plateau(n, tolerance), values, 1000)


def test_plateau_without_values():
    done, reason = drive(Plateau(4), [NAN] * 20)
    assert done == 5 and "no value at all" in reason
    violations = np.linspace(5, 1, 20).tolist()
    assert drive(Plateau(4), [1.0] * 20, violations=violations) == (20, None), "on the way to feasibility"


def test_plateau_of_a_front():
    t = np.linspace(0, np.pi / 2, 12)
    wide = [(10.0, 10.0), *zip(5 - 4 * np.sin(t), 5 - 4 * np.cos(t), strict=True)]
    done, reason = drive(Plateau(6, tolerance=0.01), [*wide, *[(4.0, 4.0)] * 30], chunk=50)
    assert len(wide) + 1 < done <= len(wide) + 7, "six evaluations after the front stopped growing, or near it"
    assert "on the front" in reason
    growing = [(10.0 - 0.3 * i, 10.0 - 0.3 * i) for i in range(30)]
    assert drive(Plateau(6, tolerance=0.01), growing, chunk=50) == (30, None)
    scaled = [(1e6 * a, 1e-6 * b) for a, b in [*wide, *[(4.0, 4.0)] * 30]]
    assert drive(Plateau(6, tolerance=0.01), scaled, chunk=50)[0] == done, "units do not matter"
    assert drive(Plateau(4), [(NAN, NAN)] * 9)[0] == 5
    bad = drive(Plateau(4), [(1.0, 1.0)] * 9, violations=[1.0] * 9)
    assert bad[0] == 5 and "no feasible value" in bad[1]


@pytest.mark.parametrize(
    ("given", "seconds"), [(5, 5.0), (0.5, 0.5), ("90s", 90.0), ("10m", 600.0), ("2h", 7200.0), ("1h30m", 5400.0),
                           ("1.5 d", 129600.0), ("2 min", 120.0), ("250ms", 0.25), ("1h 5s", 3605.0)]
)  # fmt: skip
def test_times(given, seconds):
    assert seconds_of(given) == seconds


@pytest.mark.parametrize("bad", ["", "2", "h", "2x", "2h?", 0, -1, NAN, float("inf"), "0s", None, True])
def test_bad_times(bad):
    with pytest.raises(ProblemError, match="10m"):
        Wall(bad)


def test_wall():
    rule = Wall("10m")
    assert rule.check(progress_of([1.0], elapsed=599.9)) is None
    assert (
        rule.check(progress_of([1.0], before=41, elapsed=600.04)) == "the time of 10m is over (600.0 s, 42 evaluations)"
    )


def test_either():
    rule = Patience(5) | Target(0.0) | Wall(10)
    assert rule.room == 5 and rule.goal == 0.0
    assert "target" in rule.check(progress_of([3.0, 0.0]))
    rule.reset()
    assert drive(rule, [1.0] * 20, chunk=50)[0] == 6
    rule.reset()
    assert "time" in rule.check(progress_of([1.0], elapsed=11.0))


def test_both_waits_for_the_second():
    rule = Patience(5) & Wall(10)
    assert rule.goal is None
    assert rule.check(progress_of([1.0] * 6)) is None
    assert rule.room is None, "patience has had its say: nothing holds the chunks back"
    reason = rule.check(progress_of([1.0], elapsed=11.0))
    assert "no improvement" in reason and " and " in reason and "time" in reason


def test_functions_are_rules():
    seen = []

    def enough(progress):
        seen.append(progress.evaluations)
        return progress.evaluations >= 3

    rule = as_rule(enough)
    assert drive(rule, [1.0] * 9) == (3, "the stop rule enough ended it after 3 evaluations")
    assert seen == [1, 2, 3]
    assert as_rule(lambda p: "because").check(progress_of([1.0])) == "because"
    assert as_rule(lambda p: np.bool_(True)).check(progress_of([1.0]))
    assert as_rule(lambda p: "").check(progress_of([1.0])) is None
    with pytest.raises(ProblemError, match="comparison"):
        as_rule(lambda p: 0.5).check(progress_of([1.0]))
    either = as_rule([Patience(9), enough])
    assert either.room == 9 and either.check(progress_of([1.0], before=5))
    assert as_rule(rule) is rule
    for bad in (Patience, 3, "patience", [], None):
        with pytest.raises(ProblemError):
            as_rule(bad)


def test_table():
    assert {type(make_rule(name, 3)).__name__.lower() for name in STOP_RULES} == set(STOP_RULES)
    with pytest.raises(ProblemError, match="did you mean 'patience'"):
        make_rule("patiense", 3)
    with pytest.raises(ProblemError, match="patience"):
        make_rule("patience", 3, wrong=1)
