import pytest

import thalweg as tw
from thalweg.engine.amend import rows_of
from thalweg.engine.timing import Deadline


@pytest.mark.parametrize("bad", [0, -1, float("nan"), "soon", True, None, [1]])
def test_what_a_deadline_may_be(bad):
    with pytest.raises(tw.ProblemError, match="eval_timeout"):
        Deadline(bad)


def test_a_fixed_limit_stays():
    deadline = Deadline(2)
    deadline.observe(0.1, False)
    assert deadline.limit() == 2 and deadline.again_s == float("inf")


def test_a_learnt_limit_follows_what_is_seen():
    deadline = Deadline("auto")
    first = deadline.limit()
    for _ in range(20):
        deadline.observe(0.1, False)
    assert first == 60 and deadline.limit() == pytest.approx(0.3) and deadline.again_s < 1


def test_only_promising_timeouts_are_tried_again_and_few():
    study = tw.Study({"x": tw.Float(0, 1)}, strategy="sobol", seed=0)
    study.run(lambda p: p["x"], max_evals=100)
    session, deadline = study.session, Deadline("auto")

    def again(x):
        return deadline.retries(session.history, rows_of(session, [{"x": x}], "initial"))

    assert not again(0.901) and not again(0.702)
    assert [again(0.011), again(0.0123), again(0.0132)] == [True, True, False]  # 2 % of 100
    assert not Deadline(1).retries(session.history, rows_of(session, [{"x": 0.013}], "initial"))
