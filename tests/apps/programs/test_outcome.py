"""Judging: exact gains against presets, the winner's command, from plain trials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from thalweg.apps.programs.job import TuningJob
from thalweg.apps.programs.outcome import judge
from thalweg.core.batch import Status
from thalweg.core.trial import Trial


@dataclass
class Result:
    trials: list[Trial]
    stop_reason: str = "budget"


def job(objectives: dict[str, str], presets: dict[str, str], **more: Any) -> TuningJob:
    return TuningJob.of(
        {"command": "true {a}", "params": ["a:int[0,99]"], "minimize": objectives, "presets": presets, **more}
    )


def trial(number: int, a: int, *values: float, status: Status = Status.DONE, **more: Any) -> Trial:
    return Trial(number, {"a": a}, values, status, **more)


def test_one_objective() -> None:
    made = job({"bytes": "cpu"}, {"old": "a=1", "older": "a=2"})
    outcome = judge(made, Result([trial(0, 1, 200.0), trial(1, 2, 400.0), trial(2, 3, 150.0), trial(3, 4, 160.0)]))
    assert outcome.improved
    assert outcome.best is not None
    assert outcome.best.number == 2
    assert [(g.preset, g.before, g.after, g.trial, g.change) for g in outcome.gains] == [
        ("old", 200.0, 150.0, 2, -0.25),
        ("older", 400.0, 150.0, 2, -0.625),
    ]
    text = outcome.text()
    assert "against preset old: bytes 150 instead of 200: -25.000% (trial 2)" in text
    assert "\ntrue 3\n" in text
    assert json.loads(json.dumps(outcome.as_dict()))["best"]["command"] == "true 3"


def test_nothing_better_than_the_preset_is_said_so() -> None:
    made = job({"bytes": "cpu"}, {"old": "a=1"})
    outcome = judge(made, Result([trial(0, 1, 200.0), trial(1, 5, 200.0), trial(2, 6, 201.0)]))
    assert not outcome.improved
    assert outcome.gains[0].change == 0.0
    assert "against preset old: nothing better was found" in outcome.text()


def test_maximised_objectives_gain_upwards() -> None:
    made = TuningJob.of(
        {"command": "true {a}", "params": ["a:int[0,99]"], "maximize": {"score": "cpu"}, "presets": {"old": "a=1"}}
    )
    outcome = judge(made, Result([trial(0, 1, 2.0), trial(1, 3, 3.0)]))
    assert outcome.improved
    assert outcome.gains[0].change == 0.5


def test_several_objectives_compare_at_no_worse_others() -> None:
    made = job({"bytes": "cpu", "cpu2": "cpu"}, {"p": "a=1", "q": "a=2"})
    trials = [
        *(trial(0, 1, 100.0, 1.0), trial(1, 2, 80.0, 2.0)),  # the presets
        *(trial(2, 3, 60.0, 3.0), trial(3, 4, 90.0, 1.0), trial(4, 5, 110.0, 0.5), trial(5, 6, 80.0, 2.5)),
    ]
    outcome = judge(made, Result(trials))
    assert outcome.improved  # trial 3 is better than p
    assert [item.number for item in outcome.front] == [2, 1, 3, 4]
    gains = {(g.preset, g.objective): (g.trial, g.change) for g in outcome.gains}
    assert gains == {
        ("p", "bytes"): (3, pytest.approx(-0.1)),
        ("p", "cpu2"): (0, 0.0),
        ("q", "bytes"): (1, 0.0),
        ("q", "cpu2"): (1, 0.0),
    }
    assert "against preset p: bytes 90 instead of 100 at no worse cpu2: -10.000% (trial 3)\n" in outcome.text()
    assert "against preset q: nothing better was found\n" in outcome.text()
    only_tradeoffs = judge(made, Result([trials[0], trials[1], trials[2], trials[4]]))
    assert not only_tradeoffs.improved


def test_failed_and_infeasible_trials_never_win() -> None:
    made = job({"bytes": "cpu"}, {"old": "a=1"})
    outcome = judge(
        made,
        Result(
            [
                trial(0, 1, 200.0),
                trial(1, 2, float("nan"), status=Status.FAILED, error="CommandError: no"),
                trial(2, 3, 1.0, violation=2.0),
                trial(3, 4, 2.0, status=Status.TIMEOUT),
                trial(4, 5, 3.0, status=Status.RUNNING),
            ]
        ),
    )
    assert outcome.best is not None
    assert outcome.best.number == 0
    assert not outcome.improved
    assert "4 evaluations, 1 failed, 1 timeout" in outcome.text()


def test_nothing_at_all_names_the_errors() -> None:
    made = job({"bytes": "cpu"}, {"old": "a=1"})
    failed = [trial(i, i, float("nan"), status=Status.FAILED, error="CommandError: disk full") for i in range(3)]
    outcome = judge(made, Result(failed))
    assert outcome.best is None
    assert not outcome.improved
    assert "3 x CommandError: disk full" in outcome.text()
    assert outcome.presets["old"] is not None


def test_errors_that_differ_in_a_number_are_one_kind() -> None:
    failed = [
        trial(i, i, float("nan"), status=Status.FAILED, error=f"CommandError: bad '--level{i}'") for i in range(9)
    ]
    assert "  9 x CommandError: bad '--level0'" in judge(job({"bytes": "cpu"}, {}), Result(failed)).text()


def test_without_presets_any_result_counts() -> None:
    assert judge(job({"bytes": "cpu"}, {}), Result([trial(0, 1, 2.0)])).improved
    assert not judge(job({"bytes": "cpu"}, {}), Result([])).improved


def test_the_same_job_has_the_same_name_and_another_one_another() -> None:
    first = job({"bytes": "cpu"}, {"old": "a=1"})
    assert first.study_name == job({"bytes": "cpu"}, {}, budget=7, jobs=2).study_name
    assert first.study_name.startswith("true-")
    for change in ({"seed": 1}, {"strategy": "random"}, {"constraints": ["a<=50"]}, {"repeats": 2}):
        assert job({"bytes": "cpu"}, {}, **change).study_name != first.study_name
    assert job({"bytes": "wall"}, {}).study_name != first.study_name
    assert job({"bytes": "cpu"}, {}, name="mine").study_name == "mine"
