import numpy as np

from thalweg.core.batch import Status
from thalweg.watch.data import Column, RunData
from thalweg.watch.table import ROWS, table
from thalweg.watch.text import width


def test_one_objective(making):
    data = making()
    data.cached = 5
    text = table(data)
    best = data.best()
    assert f"{data.values[best, 0]:.9g}" in text and f"trial {best}" in text
    assert f"{data.columns[0].values[best]:.9g}" in text and "in [0.0001, 0.1] log" in text
    assert "of 3 choices" in text
    assert "max_evals reached" in text and "60 of 100" in text
    assert f"{data.count(Status.FAILED)} failed" in text and f"{data.count(Status.TIMEOUT)} timed out" in text
    assert "5 more from the cache" in text
    assert "10 s: objective 80 %, strategy 15 %" in text


def test_inactive_parameters_are_not_shown(making):
    data = making()
    row = data.best()
    assert ("slope" in table(data)) == (not np.isnan(data.columns[3].values[row]))


def test_several_objectives(making):
    data = making(400, objectives=2)
    text = table(data)
    front = data.front()
    assert f"{len(front)} trials on the Pareto front" in text
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("-----"))
    shown = [int(line.split()[0]) for line in lines[start + 1 : start + 1 + min(ROWS, len(front))]]
    assert set(shown) <= set(front.tolist())
    assert shown[0] == front[0] and shown[-1] == front[-1]


def test_hostile_names_stay_on_their_line():
    evil = "a\x1b[2J\n\u202e" + "x" * 500
    values = np.array([[1.0]])
    data = RunData(
        values,
        np.array([Status.DONE], dtype=np.int8),
        np.array([0.1]),
        [Column(evil, np.array([0.0]), "choice", options=(evil,)), Column("größe深", np.array([2.0]), low=0, high=9)],
        objectives=(evil,),
        name=evil,
        stop_reason=evil,
    )
    text = table(data)
    assert "\x1b" not in text and "\u202e" not in text
    assert "\\x1b[2J\\n" in text
    assert all(width(line) <= 180 for line in text.split("\n"))
    best = next(line for line in text.split("\n") if line.startswith("  größe深"))
    assert best.split()[1] == "2"


def test_nothing_found():
    empty = RunData(np.empty((0, 1)), np.empty(0, dtype=np.int8), np.empty(0))
    assert "no evaluation was made" in table(empty)
    failed = RunData(
        np.array([[np.nan]]), np.array([Status.FAILED], dtype=np.int8), np.array([0.1]), errors={0: "OSError: \x07gone"}
    )
    assert "the first failure: OSError: \\x07gone" in table(failed)
    failed.values[0] = 1
    failed.statuses[0] = Status.DONE
    failed.violations = np.array([2.0])
    assert "no feasible trial: 1 of 1 violate a constraint" in table(failed)


def test_replicates_show_their_common_value(making):
    data = making()
    data.chosen = (4, 1.25)
    assert table(data).split("\n")[2].split() == ["best", "loss", "1.25", "trial", "4"]


def test_a_long_reason_gives_way_to_the_strategy(making):
    data = making(20)
    data.strategy = "auto"
    data.reason = f"auto chose hybrid(bayesian, cmaes): {'a model first, then others; ' * 9}"
    assert "auto chose hybrid(bayesian, cmaes): a model first, then others\n" in table(data)
    data.reason = f"auto chose hybrid(bayesian, cmaes): {'a model first, then others, ' * 9}"
    assert "auto chose hybrid(bayesian, cmaes)\n" in table(data)
