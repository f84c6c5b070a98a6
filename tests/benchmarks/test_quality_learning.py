"""The table of auto as a product of traces: hand-made ones to the byte, the shipped one from the shipped scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks.quality import learning, replay, running
from benchmarks.quality.courses import COURSES, TAG, Course, jobs, solver_of_plan
from benchmarks.quality.learning import Row, Sample, by_class, decide, read_scores, scores_of, table_text, write_scores
from benchmarks.quality.running import Job

from thalweg.parts.strategies._evidence import TABLE
from thalweg.parts.strategies._plans import PLANS

REAL = ("pendulum", "pharmacokinetics", "epidemic")
"""Of 5, 5 and 6 real columns; they need no further package."""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Traces of two plans on three problems: after d evaluations one is at random search's level, the other better."""
    from benchmarks.quality.references import References

    monkeypatch.setattr(running, "TRACES", tmp_path)
    course = Course("practical", (), 50, ("gradients", "cmaes"), (0, 1), (2,), REAL)
    table = References().table
    for job in [*jobs((course,), held=False), *jobs((course,), held=True)]:
        known = table[f"{job.task.problem}/1"]
        share = 1.0 if "cmaes" in job.solver else 0.1
        value = known["best"] + share * (known["top"] - known["best"])
        trace = np.array([[1, known["top"] + 1, 0.0], [job.task.dimension * (1 + job.seed), value * (1 - 1e-12), 0.1]])
        job.path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(job.path, trace=trace, count=300, seconds=0.1, error="")
    return course


def test_the_table_of_hand_made_traces(course):
    rows = scores_of((course,))
    # 3 problems, 3 seeds, at 10, 20 and 50 evaluations a column
    assert len(rows) == 27 and {row.of.columns for row in rows} == {(3, 7)}
    table = json.loads(table_text(rows))
    assert [row["evaluations"] for row in table["classes"]] == [10, 20, 50]
    first = table["classes"][0]
    assert first["problems"] == 3 and first["runs"] == 6
    assert first["rule"] == first["choice"] == "gradients"
    # 13 of 51 shares are at least .1, reached after d and after 2 d of 10 d evaluations; 1 is at least 1
    seeds = [1.0, 1 - np.log(2) / np.log(10)]
    assert first["scores"] == {
        "gradients": pytest.approx(13 / 51 * np.mean(seeds), abs=1e-4),
        "cmaes": pytest.approx(1 / 51 * np.mean(seeds), abs=1e-4),
    }
    assert first["lead"][0] == pytest.approx(13, rel=0.02)
    assert first["over_rule"] is None and first["held"] is None


def test_the_same_traces_give_the_same_bytes(course, tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    write_scores(scores_of((course,)), one)
    write_scores(scores_of((course,)), two)
    assert one.read_bytes() == two.read_bytes()
    assert read_scores(one) == scores_of((course,))
    assert table_text(read_scores(one)) == table_text(scores_of((course,)))


def test_the_shipped_table_and_page_are_made_of_the_shipped_scores():
    rows = read_scores()
    assert TABLE.read_text(encoding="utf-8") == table_text(rows)
    assert replay.PAGE.read_text(encoding="utf-8") == replay.page_text(rows)


def test_the_shipped_scores_are_of_the_courses():
    suites = {course.suite for course in COURSES}
    rows = read_scores()
    assert {row.suite for row in rows} == suites
    for row in rows:
        own = [course for course in COURSES if course.suite == row.suite and course.budget >= row.evaluations]
        assert any(row.number in (course.held if row.held else course.training) for course in own)
        assert set(row.scores) <= {plan for course in own for plan in course.plans}
    assert {(row.suite, row.number) for row in rows if row.held}.isdisjoint(
        (row.suite, row.number) for row in rows if not row.held
    )


def test_every_plan_of_the_courses_is_known_and_runs(course, tmp_path):
    assert {plan for course in COURSES for plan in course.plans} <= set(PLANS)
    job = next(iter(jobs((course,), held=False)))
    assert job.tag == TAG and job.solver == "tw:plan=gradients" and solver_of_plan("cmaes") == "tw:cmaes"
    short = Job(job.solver, "short", job.task, 4, 0)
    assert running.run_one(short) == ""
    with np.load(short.path) as data:
        assert int(data["count"]) == 4 * job.task.dimension


# --- deciding ---------------------------------------------------------------------------------------------------------


NAMES = tuple(("bbob", f"f{i:02d}", 5) for i in range(24))


def sample(rule=0.2, other=0.3, problems=24, spread=0.0):
    rng = np.random.default_rng(3)
    scores = {"de": other + spread * rng.normal(size=problems), "gradients": np.full(problems, rule)}
    ordered = dict(sorted(scores.items(), key=lambda item: -item[1].mean()))
    return Sample("gradients", ordered, np.arange(problems), NAMES[:problems])


def test_a_plan_is_changed_where_training_is_sure_and_held_out_runs_agree():
    said = decide(sample(), sample())
    assert said["choice"] == "de" and said["over_rule"] == (1.5, 1.5, 1.5) == said["held"]
    assert decide(sample(rule=0.4), sample())["choice"] == "gradients"


@pytest.mark.parametrize(
    ("training", "held"),
    [
        (sample(other=0.21, spread=0.1), sample()),  # no sure lead
        (sample(problems=7), sample()),  # too few problems
        (sample(), sample(rule=0.31)),  # not kept on held-out runs
        (sample(), None),  # nothing held out
        (sample(), Sample("gradients", {"gradients": np.full(24, 0.2)}, np.arange(24), NAMES)),  # not run there
    ],
)
def test_the_rule_stands_without_proof(training, held):
    assert decide(training, held)["choice"] == "gradients"


def test_what_was_not_run_completely_is_not_compared():
    def row(problem, scores):
        return Row(False, "real", False, 5, "bbob", problem, 5, 1, 20, scores)

    rows = [row("f01", {"gradients": 0.2, "de": 0.1, "lq_cmaes": 0.3}), row("f02", {"gradients": 0.2, "de": 0.1})]
    rows.append(row("f03", {"de": 0.9}))
    (found,) = by_class(rows, held=False).values()
    assert list(found.scores) == ["gradients", "de"] and found.problems == 2
    assert found.scores["de"].tolist() == [0.1, 0.1]


def test_replayed_policies_score_what_their_plans_did():
    def rows(held, numbers):
        return [
            Row(held, "real", False, 5, "bbob", f"f{i:02d}", 5, 4 if held else 1, 20, {"gradients": a, "de": b})
            for i, (a, b) in enumerate(numbers)
        ]

    training = [(0.2, 0.3)] * 12
    held = [(0.1, 0.3), (0.5, 0.2)] * 6
    (item,) = replay.replayed(rows(False, training) + rows(True, held))
    assert replay.greedy(item.training, item.held) == replay.careful(item.training, item.held) == "de"
    assert replay.shipped(item.training, item.held) == "gradients"  # .25 after .3: not kept
    assert item.best_by_problem().mean() == pytest.approx(0.4)
    page = replay.page_text(rows(False, training) + rows(True, held))
    assert "| real | **greedy** | 0.2500 | 0.833" in page
    assert "| real | **shipped** | 0.3000 | 1.000" in page
    assert "| real | the best for each problem, with hindsight | 0.4000 | 1.333" in page


def test_without_traces_the_program_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "TRACES", tmp_path)
    monkeypatch.setattr(learning, "COURSES", COURSES[:1])
    with pytest.raises(SystemExit, match="--run"):
        learning.learn(run=False, kept=False)
