"""The table of measurements: what it holds, how auto reads it, and what is done without it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from _doubles import answer

from thalweg.core import plain
from thalweg.core.batch import Answers
from thalweg.core.choices import Choice, Permutation
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Integer
from thalweg.core.problem import Objective, Problem
from thalweg.core.space import Space
from thalweg.parts.strategies import _evidence
from thalweg.parts.strategies import auto as module
from thalweg.parts.strategies._evidence import COLUMNS, EVALUATIONS, TABLE, Class, read_table
from thalweg.parts.strategies._plans import PLANS, make_plan
from thalweg.parts.strategies.auto import RULES, Auto, Facts

ROW = {
    "kind": "real",
    "noisy": False,
    "columns": [3, 7],
    "evaluations": 20,
    "problems": 24,
    "runs": 72,
    "scores": {"lq_cmaes": 0.1472, "gradients": 0.139, "de": 0.05},
    "rule": "gradients",
    "choice": "lq_cmaes",
    "lead": [1.06, 1.02, 1.1],
    "over_rule": [1.06, 1.02, 1.1],
    "held": [1.04, 0.99, 1.08],
}


def real(columns=5, budget=100, **options):
    return Facts.of(Problem(Space([(0.0, 1.0)] * columns), **options), budget)


def facts_of(of, columns=None):
    """Facts of a problem in the middle of a class."""
    columns = columns or sum(of.columns) // 2
    space = {f"x{i}": (0.0, 1.0) for i in range(columns - 1)}
    space |= {
        "real": {"y": (0.0, 1.0)},
        "integers": {"y": Integer(1, 9)},
        "choices": {"y": Choice(["a", "b", "c"])},
    }.get(of.kind, {})
    space = Space({"order": Permutation([str(i) for i in range(columns)])} if of.kind == "orders" else space)
    return Facts.of(Problem(space, noisy=of.noisy), of.evaluations * columns)


def written(tmp_path, *rows, **head):
    path = tmp_path / "auto_table.json"
    path.write_text(json.dumps({"format": 1, **head, "classes": list(rows)}))
    return path


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Auto, started with a table of the given rows."""

    def start(*rows, problem=None, budget=100):
        path = written(tmp_path, *rows)
        _evidence.known.cache_clear()
        monkeypatch.setattr(module.Auto, "choose", staticmethod(lambda facts: choose(facts, path)))
        auto = Auto()
        auto.start(problem or Problem(Space([(0.0, 1.0)] * 5)), 0, budget)
        return auto

    choose = Auto.choose
    return start


# --- classes ----------------------------------------------------------------------------------------------------------


def test_a_problem_has_the_class_of_its_columns_and_evaluations():
    assert Class.of(real()) == Class("real", False, (3, 7), 20)
    assert Class.of(real(2, 199)) == Class("real", False, (1, 2), 100)
    assert Class.of(real(noisy=True)).noisy
    assert Class.of(real(40, 400)) == Class("real", False, (21, 40), 10)
    space = Space({"x": (0.0, 1.0), "n": Integer(1, 9), "kind": Choice(["a", "b", "c"])})
    assert Class.of(Facts.of(Problem(space), 30)).kind == "choices"
    assert Class.of(Facts.of(Problem(Space({"x": (0.0, 1.0), "n": Integer(1, 9)})), 30)).kind == "integers"
    assert (
        Class.of(Facts.of(Problem(Space({"o": Permutation(["a", "b", "c"]), "n": Integer(1, 9)})), 30)).kind == "orders"
    )


def test_what_is_like_nothing_measured_has_no_class():
    assert Class.of(real(41, 4100)) is None
    assert Class.of(real(5, 24)) is None and Class.of(real(5, 25)) is not None
    assert Class.of(real(5, 2001)) is None and Class.of(real(5, 2000)) is not None
    assert Class.of(Facts.of(Problem(Space([(0.0, 1.0)] * 3), (Objective("a"), Objective("b"))), 60)) is None


def test_every_class_is_that_of_its_own_middle():
    for kind in ("real", "integers", "choices", "orders"):
        for columns in COLUMNS:
            for evaluations in EVALUATIONS:
                of = Class(kind, False, columns, evaluations)
                assert Class.of(facts_of(of)) == of


# --- the shipped table ------------------------------------------------------------------------------------------------


def test_the_shipped_table_can_be_read_and_every_plan_in_it_made():
    table = read_table()
    assert len(table) > 10
    for row in table.values():
        scores = list(row.scores.values())
        assert scores == sorted(scores, reverse=True)
        assert 0 <= scores[-1] <= scores[0] <= 1
        assert row.problems >= 2 and row.runs >= row.problems
        for plan in row.scores:
            assert make_plan(PLANS[plan].priced(facts_of(row.of))) is not None


def test_rules_and_shipped_table_agree():
    for of, row in read_table().items():
        for columns in of.columns:
            facts = facts_of(of, columns)
            if facts.size is not None:
                continue  # a small space is enumerated, whatever was measured
            rule = next(rule for rule in RULES if rule.fits(facts))
            assert rule.plan == row.rule
            assert Auto.choose(facts).plan == PLANS[row.choice].priced(facts)


def test_another_plan_than_the_rule_is_taken_only_with_evidence():
    for row in read_table().values():
        if row.choice != row.rule:
            assert row.choice == next(iter(row.scores))
            assert row.over_rule[1] > 1
            assert row.held[0] >= 1
            assert row.problems >= 8


def test_every_choice_cites_what_was_measured():
    for of, row in read_table().items():
        facts = facts_of(of)
        if facts.size is None:
            said = Auto.choose(facts).evidence
            assert f"on {row.problems} " in said
            assert f"at about {of.evaluations} evaluations a column" in said
            assert next(iter(row.scores)) in said


def test_the_table_is_small_and_is_read_only_when_something_is_chosen():
    assert TABLE.stat().st_size < 32_000
    code = (
        "import sys, thalweg.parts.strategies.auto as auto; from thalweg.parts.strategies import _evidence;"
        "assert not _evidence.known.cache_info().currsize;"
        "from thalweg.core.problem import Problem; from thalweg.core.space import Space;"
        "facts = auto.Facts.of(Problem(Space([(0.0, 1.0)] * 5)), 100);"
        "auto.Auto.choose(facts); auto.Auto.choose(facts);"
        "assert _evidence.known.cache_info().misses == 1; assert 'scipy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- how it decides ---------------------------------------------------------------------------------------------------


def test_the_measured_winner_is_taken_and_cited(shown):
    auto = shown(ROW)
    assert auto.plan[1][0] == ["lq_cmaes", [], {}]
    assert auto.plan[1][1] == ["cmaes", [], {}]  # who plays where the winner cannot be afforded
    assert auto.plan[2]["costs"][0] > 0 == auto.plan[2]["costs"][1]
    said = auto.explain()
    assert auto.evidence in said and auto.evidence in auto.why  # what a result's own `explain` shows
    assert "lq_cmaes was better than gradients" in said
    assert (
        "on 24 problems with 3 to 7 real columns at about 20 evaluations a column, lq_cmaes had .147 of the targets"
        in said
    )
    words = PLANS["gradients"].words
    assert f"the next best, gradients ({words}), .139 (1.06 times as much" in said


def test_without_a_sure_lead_the_rule_stands_and_says_so(shown):
    auto = shown({**ROW, "choice": "gradients", "lead": [1.06, 0.97, 1.1]})
    assert auto.plan[1][0][0] == "handover"
    said = auto.explain()
    assert "not enough to leave gradients, which the rules name" in said and said.count("a few points anywhere") == 1


def test_other_classes_and_rules_that_have_changed_have_no_evidence(shown):
    auto = shown(ROW, budget=500)
    assert "no problems of this class were measured" in auto.explain()
    assert "measured" not in auto.why
    auto = shown({**ROW, "rule": "de"})
    assert "no problems of this class" in auto.explain() and auto.plan[1][0][0] == "handover"


def test_a_plan_that_cannot_be_afforded_gives_way(shown):
    row = {**ROW, "scores": {"bayesian": 0.2, "gradients": 0.1}, "choice": "bayesian", "evaluations": 100}
    auto = shown(row, budget=400)
    for _ in range(400):
        asked = auto.ask(1)
        points, done = np.array(asked.points), np.full(len(asked), 2, np.int8)
        values = ((points - 0.3) ** 2).sum(axis=1)[:, None]
        auto.tell(Answers(asked.tickets, points, values, done, seconds=np.full(len(asked), 1e-5)))
    models, others = auto.child.played
    assert models == int(0.5 / 1.2e-2) and others == 400 - models


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 2, "classes": []}', "null"])
def test_a_damaged_table_says_what_to_do_and_the_rules_decide(tmp_path, text):
    path = tmp_path / "auto_table.json"
    path.write_text(text)
    with pytest.raises(StrategyError, match=r"auto_table\.json.*install thalweg again"):
        read_table(path)
    choice = Auto.choose(real(), path)
    assert choice.plan[1][0][0] == "handover"
    assert "install thalweg again" in choice.evidence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choice": "nobody"}, "has no score of nobody"),
        ({"scores": {"gradients": 0.1, "lq_cmaes": 0.2, "simplex": 0.1}}, "simplex: no plans of this version"),
        ({"lead": [1.0]}, "damaged"),
        ({"problems": "many"}, "damaged"),
        ({"columns": 3}, "damaged"),
    ],
)
def test_rows_that_make_no_sense_are_refused(tmp_path, change, said):
    with pytest.raises(StrategyError, match=said):
        read_table(written(tmp_path, {**ROW, **change}))


def test_a_missing_table_is_said_and_the_rules_decide(tmp_path):
    path = tmp_path / "nothing.json"
    with pytest.raises(StrategyError, match="cannot be read"):
        read_table(path)
    choice = Auto.choose(real(), path)
    assert choice.plan[1][0][0] == "handover"
    assert "cannot be read" in choice.evidence


def test_a_resumed_study_keeps_its_plan_and_its_reason_without_the_table(shown, tmp_path, monkeypatch):
    problem = Problem(Space([(0.0, 1.0)] * 5))
    old = shown(ROW)
    for _ in range(6):
        old.tell(answer(old.ask(4)))
    state = plain.decode(json.loads(json.dumps(plain.encode(old.state()))))
    (tmp_path / "auto_table.json").unlink()
    _evidence.known.cache_clear()
    new = Auto()
    new.start(problem, 0, 100)
    assert new.plan != old.plan
    new.restore(state)
    assert new.plan == old.plan and new.explain() == old.explain()
    for _ in range(6):
        a, b = old.ask(3), new.ask(3)
        assert np.array_equal(a.points, b.points)
        old.tell(answer(a))
        new.tell(answer(b))
