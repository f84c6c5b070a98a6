"""One call: its keywords, and mistakes in them, each named before anything is evaluated or made."""

from __future__ import annotations

import asyncio
import json
import os
import stat

import pytest

import thalweg as tw
from thalweg.core.errors import ExpressionError

SPACE = {"x": tw.Float(0, 1)}


def never(p):
    raise AssertionError("evaluated")


MISTAKES = [
    ({"repeats": 0}, tw.ProblemError, "repeats.*>= 1.*got 0"),
    ({"repeats": "2"}, tw.ProblemError, "repeats.*got '2'"),
    ({"aggregate": "max"}, tw.ProblemError, "mean, median, min.*got 'max'"),
    ({"aggregate": ["mean"]}, tw.ProblemError, "aggregate"),
    ({"seed": -1}, tw.ProblemError, "seed.*got -1"),
    ({"seed": 1.5}, tw.ProblemError, "seed.*got 1.5"),
    ({"seed": "a"}, tw.ProblemError, "seed"),
    ({"objectives": 0}, tw.ProblemError, "objectives.*got 0"),
    ({"objectives": {"a": "max"}}, tw.ProblemError, "'minimize' or 'maximize', got 'max'"),
    ({"goal": "max"}, tw.ProblemError, "'minimize' or 'maximize'"),
    ({"constraints": 5}, tw.ProblemError, "latency <= 100"),
    ({"constraints": "latency"}, ExpressionError, "comparison"),
    ({"constraints": "latency <"}, ExpressionError, "latency <"),
    ({"workers": 0}, tw.EvaluatorError, "workers.*got 0"),
    ({"workers": "many"}, tw.EvaluatorError, "auto.*got 'many'"),
    ({"workers": 2.0}, tw.EvaluatorError, "workers.*got 2.0"),
    ({"evaluator": "proces"}, tw.EvaluatorError, "did you mean 'process'"),
    ({"evaluator": 5}, tw.EvaluatorError, "inline.*got 5"),
    ({"evaluator": "inline", "workers": 3}, tw.EvaluatorError, "workers=3.*'process'"),
    ({"evaluator": "thread", "eval_timeout": 1}, tw.EvaluatorError, "evaluator='process'"),
    ({"vectorised": True, "eval_timeout": 1}, tw.EvaluatorError, "vectorised"),
    ({"name": 5}, tw.ProblemError, "name.*got 5"),
    ({"name": ""}, tw.ProblemError, "name"),
    ({"version": 5}, tw.ProblemError, "version.*got 5"),
    ({"max_evals": "ten"}, tw.ProblemError, "max_evals.*got 'ten'"),
    ({"max_evals": float("nan")}, tw.ProblemError, "max_evals"),
    ({"max_evals": float("inf")}, tw.ProblemError, "max_evals"),
    ({"max_evals": [1]}, tw.ProblemError, "max_evals"),
    ({"max_evals": None}, tw.ProblemError, "no limit"),
    ({"timeout": "5"}, tw.ProblemError, "timeout.*got '5'"),
    ({"timeout": -1}, tw.ProblemError, "timeout"),
    ({"timeout": float("nan")}, tw.ProblemError, "timeout"),
    ({"eval_timeout": [1]}, tw.ProblemError, "eval_timeout"),
    ({"eval_timeout": 0}, tw.ProblemError, "eval_timeout.*got 0"),
    ({"eval_timeout": "soon"}, tw.ProblemError, "auto"),
    ({"ordered": -3}, tw.ProblemError, "ordered.*got -3"),
    ({"ordered": 2.5}, tw.ProblemError, "ordered"),
    ({"ordered": "yes"}, tw.ProblemError, "ordered"),
    ({"noisy": "yes"}, tw.ProblemError, "noisy: True or False"),
    ({"cache": "no"}, tw.ProblemError, "cache: True or False"),
    ({"listeners": 5}, tw.ProblemError, "listeners"),
    ({"listeners": print}, tw.ProblemError, r"listeners=\[\.\.\.\]"),
    ({"listeners": [5]}, tw.ProblemError, "listeners.*got 5"),
    ({"retries": 1.5}, tw.ProblemError, "retries.*got 1.5"),
    ({"stop": 5}, tw.ProblemError, "stop.*got 5"),
    ({"initial": 5}, tw.SpaceError, "dict.*got 5"),
    ({"initial": "x"}, tw.ProblemError, "defaults"),
    ({"initial": "defaults"}, tw.ProblemError, "default"),
    ({"initial": [{"y": 1}]}, tw.SpaceError, "'y'"),
    ({"progress": "bogus"}, ValueError, "plain.*got 'bogus'"),
    ({"strategy": "dee"}, tw.StrategyError, "did you mean 'de'"),
    ({"strategy": 5}, tw.StrategyError, "5"),
    ({"strategy": "de", "objectives": 2}, tw.StrategyError, "nsga2"),
    ({"fidelity": 1}, tw.ProblemError, "fidelity"),
    ({"max_eval": 4}, TypeError, "did you mean max_evals"),
    ({"vectorized": True}, TypeError, "did you mean vectorised"),
]


@pytest.mark.parametrize(("wrong", "error", "text"), MISTAKES, ids=[str(item[0]) for item in MISTAKES])
def test_mistakes_are_named_and_leave_nothing_behind(tmp_path, wrong, error, text):
    with pytest.raises(error, match=f"(?s){text}"):
        tw.minimize(never, SPACE, **{"max_evals": 5, "store": tmp_path / "a.db", "progress": False, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_mistakes_leave_no_study_in_a_store_that_is_there(tmp_path):
    tw.minimize(lambda p: p["x"], SPACE, max_evals=3, store=tmp_path / "a.db", name="first")
    with pytest.raises(tw.EvaluatorError):
        tw.minimize(never, SPACE, max_evals=3, store=tmp_path / "a.db", name="second", evaluator="no")
    with pytest.raises(tw.StoreError, match="first"):
        tw.load(tmp_path / "a.db", "second")


@pytest.mark.parametrize("space", [None, 5, {}, [(0, 1, 2)], [(1, 0)], {"x": (1, 0)}], ids=str)
def test_spaces_that_cannot_be(tmp_path, space):
    with pytest.raises(tw.SpaceError):
        tw.minimize(never, space, max_evals=5, store=tmp_path / "a.db")
    with pytest.raises(tw.ObjectiveError, match="function"):
        tw.minimize(5, SPACE, max_evals=5, store=tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


def test_objects_without_labels_are_named_before_a_file_is_made(tmp_path):
    with pytest.raises(tw.SpaceError, match="label"):
        tw.minimize(never, {"c": tw.Choice([object(), object()])}, max_evals=2, store=tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("store", "text"),
    [
        ("sqlit:///x", "did you mean 'sqlite'"),
        (5, "got 5"),
        ("x", "ends in .db"),
        ("sqlite:///{folder}", "is a directory"),
        ("sqlite:///{folder}/none/a.db", "mkdir -p"),
        ("sqlite://a.db", "three slashes"),
        ("/proc/a.db", "cannot be made"),
        ("postgresql://u:secret@host.invalid/db", "check the host"),
    ],
)
def test_stores_that_cannot_be(tmp_path, store, text):
    if isinstance(store, str):
        store = store.format(folder=tmp_path)
    with pytest.raises(tw.StoreError, match=text) as caught:
        tw.minimize(never, SPACE, max_evals=5, store=store)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_and_files_that_cannot_be_written(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(tw.StoreError, match="writable"):
            tw.minimize(never, SPACE, max_evals=5, store=tmp_path / "a.db")
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"these are notes, not a database\n" * 100)
    with pytest.raises(tw.StoreError, match=r"a\.db"):
        tw.minimize(never, SPACE, max_evals=5, store=path)
    assert path.read_bytes().startswith(b"these are notes")


def test_maximize_says_what_it_is_for():
    assert tw.maximize(lambda p: p["x"], SPACE, max_evals=50, strategy="sobol", goal="maximize").value > 0.9
    with pytest.raises(TypeError, match="minimize"):
        tw.maximize(never, SPACE, max_evals=5, goal="minimize")


def test_the_async_forms():
    async def objective(p):
        await asyncio.sleep(0)
        return p["x"]

    async def main():
        small = await tw.aminimize(objective, SPACE, max_evals=30, workers=4, strategy="sobol", seed=0)
        large = await tw.amaximize(objective, SPACE, max_evals=30, workers=4, strategy="sobol", seed=0)
        return small, large

    small, large = asyncio.run(main())
    assert small.value < 0.1 and large.value > 0.9 and small.evaluations == large.evaluations == 30
    with pytest.raises(TypeError, match="did you mean workers"):
        asyncio.run(tw.aminimize(objective, SPACE, max_evals=3, worker=3))


def test_progress_in_lines(capsys):
    tw.minimize(lambda p: p["x"], SPACE, max_evals=5, seed=0, strategy="random", progress="json")
    out, err = capsys.readouterr()
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert kinds[0] == "started" and kinds[-1] == "stopped" and "finished" in kinds and err == ""
    tw.minimize(lambda p: p["x"], SPACE, max_evals=5, seed=0, strategy="random", progress="plain")
    out, err = capsys.readouterr()
    assert out == "" and "5/5" in err
    tw.minimize(lambda p: p["x"], SPACE, max_evals=5, seed=0, strategy="random", progress=False)
    assert capsys.readouterr() == ("", "")
