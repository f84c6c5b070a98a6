import pytest

import thalweg as tw
from thalweg.core.problem import Problem, objectives_of
from thalweg.core.target import Target
from thalweg.engine.choose import choose_evaluator, cores, count_workers
from thalweg.parts.evaluators.thread import Thread

PROBLEM = Problem(tw.Space({"x": tw.Float(0, 1)}), objectives_of(None))


def plain(p):
    return p["x"]


async def waits(p):
    return p["x"]


def chosen(function, given=None, workers=None, deadline=False, **how):
    evaluator, probe = choose_evaluator(Target(function, PROBLEM, **how), given, workers, deadline)
    return type(evaluator).__name__, evaluator.slots, probe is not None


def test_what_is_left_open_is_chosen():
    assert chosen(plain) == ("Inline", 1, False)
    assert chosen(plain, workers=1) == ("Inline", 1, False)
    assert chosen(plain, workers=3) == ("Process", 3, False)
    assert chosen(plain, workers=-1)[:2] == (("Process", cores()) if cores() > 1 else ("Inline", 1))
    assert chosen(plain, workers="auto") == ("Inline", 1, cores() > 1)
    assert chosen(plain, deadline=True) == ("Process", 1, False)
    assert chosen(waits, workers=7) == ("Coroutine", 7, False)
    assert chosen(waits, deadline=True)[0] == "Coroutine"
    assert chosen(plain, vectorised=True)[0] == "Vectorised"


def test_what_is_given_is_taken_or_refused():
    ready = Thread(4)
    assert choose_evaluator(Target(plain, PROBLEM), ready, None, False) == (ready, None)
    assert chosen(plain, "thread", 2) == ("Thread", 2, False)
    with pytest.raises(tw.EvaluatorError, match="evaluator='process'"):
        chosen(plain, "thread", deadline=True)
    with pytest.raises(tw.EvaluatorError, match="evaluator='async'"):
        chosen(waits, "inline", deadline=True)
    with pytest.raises(tw.EvaluatorError, match="vectorised"):
        chosen(plain, vectorised=True, deadline=True)


@pytest.mark.parametrize("bad", [0, -2, 1.0, True, "two"])
def test_counts_of_workers(bad):
    assert count_workers(None) is count_workers("auto") is None and count_workers(3) == 3
    with pytest.raises(tw.EvaluatorError, match="workers"):
        count_workers(bad)
