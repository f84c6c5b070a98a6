"""What newcomers do first, and the sentence that puts them right."""

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import OutOfOrder
from thalweg.parts.strategies import STRATEGIES

SPACE = {"x": (-5.0, 5.0), "y": (-5.0, 5.0)}


def square(params):
    return params["x"] ** 2


# --- words of other packages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("n_trials", "here it is max_evals"),
        ("maxiter", "here it is max_evals"),
        ("direction", r"here it is goal='maximize', or maximize\(...\)"),
        ("n_jobs", "here it is workers"),
        ("sampler", "here it is strategy"),
        ("x0", "here it is initial"),
        ("callback", "here it is listeners"),
        ("bounds", "here it is the second argument, the space"),
        ("args", "here it is functools.partial around the objective"),
        ("max_eval", "did you mean max_evals"),
        ("nonsense", "known: aggregate, cache"),
    ],
)
def test_keywords_of_other_packages(word, told):
    with pytest.raises(TypeError, match=told):
        tw.minimize(square, SPACE, max_evals=2, **{word: 3})


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("sampler", "here it is strategy$"),
        ("bounds", "here it is the first argument, the space$"),
        ("direction", r"here it is goal='maximize', or maximize\(...\)$"),
        ("n_trials", r"here it is max_evals; that is a keyword of run\(\)$"),
        ("x0", r"here it is initial \(points to try first\); that is a keyword of run\(\)$"),
        ("max_evals", r"it is a keyword of run\(\)$"),
        ("max_eval", r"did you mean max_evals of run\(\)\?"),
        ("stor", r"did you mean store\?"),
        ("nonsense", "known: aggregate, cache"),
    ],
)
def test_keywords_of_a_study(word, told):
    with pytest.raises(TypeError, match=rf"^Study\(\) has no keyword '{word}'; .*{told}"):
        tw.Study(SPACE, **{word: 3})


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("n_trials", "here it is max_evals$"),
        ("bounds", r"here it is the first argument of Study\(...\), the space$"),
        ("random_state", r"here it is seed; that is a keyword of Study\(...\)$"),
        ("noise", r"here it is noisy=True; that is a keyword of Study\(...\)$"),
        ("strategy", r"it is a keyword of Study\(...\)$"),
        ("worker", r"did you mean workers\?"),
    ],
)
def test_keywords_of_a_run(word, told):
    study = tw.Study(SPACE)
    with pytest.raises(TypeError, match=rf"^run\(\) has no keyword '{word}'; .*{told}"):
        study.run(square, **{word: 3})
    with pytest.raises(TypeError, match=rf"^arun\(\) has no keyword '{word}'; .*{told}"):
        asyncio.run(study.arun(square, **{word: 3}))
    assert study.trials == []


def test_keywords_of_many_problems():
    with pytest.raises(TypeError, match=r"minimize_many\(\) has no keyword 'x0'; here it is initial"):
        tw.minimize_many(lambda points, problem: problem, SPACE, problems=2, max_evals=9, x0=[1, 2])


def test_what_a_study_takes_can_be_seen():
    assert {"space", "store", "seed"} <= inspect.signature(tw.Study).parameters.keys()
    assert {"objective", "max_evals"} <= inspect.signature(tw.Study.run).parameters.keys()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("create_study", "here it is Study"),
        ("Categorical", r"here it is Choice\(options\)"),
        ("LogUniform", r"here it is Float\(low, high, log=True\)"),
        ("fmin", "here it is minimize"),
        ("nonsense", "has no attribute 'nonsense'$"),
    ],
)
def test_names_of_other_packages(word, told):
    with pytest.raises(AttributeError, match=told):
        getattr(tw, word)
    assert not hasattr(tw, "__wrapped__")


# --- objectives that cannot be called ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        (lambda: 1.0, r"<lambda>\(\) is called with one argument, a dict of all parameters"),
        (lambda a, b, c: 1.0, "but missing a required argument: 'c'"),
        (lambda x, y: x + y, r"it wants the parameters one by one.*lambda params: f\(\*\*params\)"),
        (lambda *, x, y: x + y, r"lambda params: f\(\*\*params\)"),
        (lambda **params: params["x"], r"lambda params: f\(\*\*params\)"),
    ],
)
def test_an_objective_that_cannot_be_called_is_refused_before_anything_runs(objective, told, tmp_path):
    with pytest.raises(tw.ObjectiveError, match=told):
        tw.minimize(objective, SPACE, max_evals=5, store=str(tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "objective",
    [lambda x: x["x"], lambda x, context: x["x"], lambda x, y=1: x["x"], lambda *all: all[0]["x"], dict.__len__],
)
def test_whatever_can_be_called_is_called(objective):
    assert tw.minimize(objective, SPACE, max_evals=3, strategy="random", seed=0).success


def test_a_coroutine_that_is_not_awaited():
    async def later(params):
        return params["x"]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(tw.ObjectiveError, match="something to await; write it as `async def`"):
            tw.minimize(lambda params: later(params), SPACE, max_evals=3, seed=0)


def test_a_question_ends_as_a_question():
    with pytest.raises(tw.ObjectiveError, match=r"is a return missing\? The first evaluation is kept"):
        tw.minimize(lambda params: None, SPACE, max_evals=3, seed=0)


# --- spaces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    ["kind == 'laso'", "'laso' != kind", "kind in ['ridge', 'laso']", {"kind": "laso"}, "flag and kind == 'laso'"],
)
def test_an_option_that_does_not_exist_is_warned_of(when):
    with pytest.warns(UserWarning, match=r"compares 'kind' with 'laso', which is none of its options \(ridge, lasso\)"):
        tw.Space({"kind": ["ridge", "lasso"], "flag": tw.Boolean(), "x": tw.Float(0, 1, when=when)})
    with pytest.warns(UserWarning, match="require: "):
        tw.Space({"kind": ["ridge", "lasso"]}, require="kind != 'laso'")


def test_options_that_exist_are_not():
    made = {"kind": ["ridge", "lasso"], "level": [1, 2], "x": tw.Float(0, 1, when="kind == 'lasso' or level == 3")}
    assert tw.Space(made, require="kind in ['ridge', 'lasso'] or x < 0.5").conditional


def test_a_space_without_a_point_is_an_error_also_where_it_is_finite():
    with pytest.raises(tw.InfeasibleSpace, match="no point satisfies n > 5: all 4 combinations"):
        tw.minimize(lambda params: 1.0, tw.Space({"n": (0, 3)}, require="n > 5"), max_evals=5)


@pytest.mark.parametrize("given", [5, None])
def test_a_requirement_that_is_none(given):
    with pytest.raises(tw.SpaceError, match="require: expected an expression or a function"):
        tw.Space({"n": (0, 3)}, require=given)


@pytest.mark.parametrize("space", [{"x": tw.Fixed(5)}, {"n": tw.Integer(4, 4), "kind": tw.Choice(["a"])}])
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_nothing_that_varies_is_evaluated_once(name, space):
    calls = []
    result = tw.minimize(lambda params: calls.append(params) or 1.0, space, strategy=name, max_evals=9, seed=0)
    assert calls == [{"x": 5}] or calls == [{"n": 4, "kind": "a"}]
    assert result.stop_reason == "space exhausted: all 1 points are evaluated"
    assert result.value == 1.0
    again = tw.minimize(lambda params: 1.0, space, strategy=name, max_evals=9, seed=0, noisy=True)
    assert (again.evaluations, again.stop_reason) == (9, "max_evals: 9 evaluations")


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_two_points_are_both_evaluated(name):
    calls = []
    space = {"x": tw.Fixed(5), "on": tw.Boolean()}
    result = tw.minimize(lambda params: calls.append(params["on"]) or 1.0 - params["on"], space, strategy=name,
                         max_evals=9, seed=0)  # fmt: skip
    assert sorted(calls) == [False, True]
    assert result.stop_reason == "space exhausted: all 2 points are evaluated"
    assert result.params == {"x": 5, "on": True}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([0.5, 0.5, 1], r"is one point or one pair of bounds, not a space.*a first point is given as initial=\[...\]"),
        (np.zeros(3), r"\[0.0, 0.0, 0.0\] is one point"),
        ((-5, 5), r"\(-5, 5\) is one point"),
        (square, "the objective comes first, the space second"),
    ],
)
def test_what_is_mistaken_for_a_space(given, told):
    with pytest.raises(tw.SpaceError, match=told):
        tw.minimize(square, given, max_evals=3)


@dataclass
class Config:
    """With a field that is neither a parameter nor a constant."""

    rate: Annotated[float, tw.Float(0, 1)]
    layers: list[int] = field(default_factory=lambda: [8, 4])


def test_fields_with_a_factory_are_left_to_the_dataclass():
    seen = []

    def objective(config):
        seen.append(config.layers)
        config.layers.append(1)
        return config.rate

    result = tw.minimize(objective, Config, max_evals=4, seed=0)
    assert result.params.layers == [8, 4] and all(item == [8, 4, 1] for item in seen)
    assert "layers" not in tw.Space(Config).parameters


# --- studies ----------------------------------------------------------------------------------------------------------


def test_what_differs_from_the_stored_study_is_named(tmp_path):
    address = str(tmp_path / "kept.db")
    with tw.Study({"x": (-5.0, 5.0), "n": (1, 5), "k": ["a", "b"]}, store=address, name="s"):
        pass
    told = (
        r"differs in its space: 'x': stored Float\(low=-5.0, high=5.0\), given Float\(low=0.0, high=1.0\); "
        r"'n': stored Integer\(low=1, high=5\), given nothing; 'z': stored nothing, given .*"
        r"load\(store, 's'\).change_space\(space\)$"
    )
    with pytest.raises(tw.StoreError, match=told):
        tw.Study({"x": (0.0, 1.0), "k": ["a", "b"], "z": (1.0, 2.0)}, store=address, name="s")
    with pytest.raises(tw.StoreError, match=r"differs in its objectives: .*or another store$"):
        tw.Study({"x": (-5.0, 5.0), "n": (1, 5), "k": ["a", "b"]}, store=address, name="s", goal="maximize")
    with tw.load(address, "s") as study:
        assert "not by this process" in str(study.result)


def test_one_strategy_object_in_two_studies_at_once():
    strategy = tw.DE()
    first, second = (tw.Study(SPACE, strategy=strategy, seed=seed) for seed in (0, 1))
    trials = first.ask(4)
    others = second.ask(4)
    for call in (lambda: first.tell(trials, [1.0] * 4) or first.ask(1), lambda: first.ask(1)):
        with pytest.raises(OutOfOrder, match="make one for each"):
            call()
    second.tell(others, [1.0] * 4)
    assert len(second.trials) == 4
    runs = [tw.minimize(square, SPACE, strategy=strategy, max_evals=20, seed=0).value for _ in range(2)]
    assert runs[0] == runs[1]  # one after the other is as good as two objects


@pytest.mark.chaos
def test_a_killed_parent_leaves_no_words_and_no_workers(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\nimport thalweg as tw\n\n\ndef slow(params):\n    time.sleep(0.2)\n    return params['x']\n\n\n"
        "if __name__ == '__main__':\n    print('begun', flush=True)\n"
        "    tw.minimize(slow, {'x': (0.0, 1.0)}, max_evals=1000, workers=2, progress='plain')\n"
    )
    run = subprocess.Popen(
        [sys.executable, "slow.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "begun\n"
    time.sleep(1.5)
    run.send_signal(signal.SIGKILL)
    _, told = run.communicate(timeout=30)  # the pipes are closed when the last worker has ended
    assert "Traceback" not in told and "BrokenPipe" not in told


@dataclass
class Picky:
    """Not every point is one."""

    rate: Annotated[float, tw.Float(0, 1)]
    count: Annotated[int, tw.Integer(1, 9)] = 3

    def __post_init__(self):
        if self.rate > 0.5:
            raise ValueError("rate is too large")


@pytest.mark.parametrize("evaluator", ["inline", "process"])
def test_what_a_dataclass_refuses_is_a_failed_trial(evaluator, tmp_path):
    options = {"max_evals": 20, "strategy": "random", "seed": 0, "store": str(tmp_path / "picky.db")}
    result = tw.minimize(picky, Picky, evaluator=evaluator, **options)
    failed = [trial for trial in result.trials if not trial.ok]
    assert 0 < len(failed) < 20 and isinstance(result.params, Picky)
    assert all(trial.params["rate"] > 0.5 and "rate is too large" in trial.error for trial in failed)
    assert len(result.rows()) == 20


def picky(config):
    return config.rate * config.count


def test_people_hear_once_that_nothing_works():
    heard = []

    def mistaken(params):
        return params["X"]

    result = tw.minimize(mistaken, SPACE, max_evals=40, strategy="random", seed=0, listeners=[heard.append])
    told = [event.data["text"] for event in heard if event.kind == "warning"]
    assert result.failures == 40 and len(told) == 1
    assert "evaluations so far have failed, one of the last with: KeyError: 'X'" in told[0]


def test_failures_among_values_are_no_news():
    heard = []

    def fragile(params):
        return 1 / max(params["n"] - 3, 0)

    tw.minimize(
        fragile, {"n": (0, 9)}, initial=[{"n": 9}], max_evals=10, strategy="grid", seed=0, listeners=[heard.append]
    )
    assert [event for event in heard if event.kind == "warning"] == []
