import pytest

from thalweg.core.errors import EvaluatorError
from thalweg.core.evaluator import Evaluator
from thalweg.core.registry import resolve
from thalweg.parts.evaluators import EVALUATORS, make_evaluator
from thalweg.parts.evaluators.inline import Inline
from thalweg.parts.evaluators.thread import Thread


@pytest.mark.parametrize("name", EVALUATORS)
def test_every_name_resolves_and_is_final(name):
    kind = resolve(EVALUATORS, name, "evaluator", EvaluatorError)
    ours = [other for other in kind.__subclasses__() if other.__module__.startswith("thalweg.")]  # not the tests' own
    assert issubclass(kind, Evaluator) and not ours
    made = make_evaluator(name)
    assert type(made) is kind and made.slots >= 1 and made.rows >= 1


def test_by_name_class_or_itself():
    assert make_evaluator("thread", workers=3).slots == 3
    assert make_evaluator(Thread, workers=2).slots == 2
    made = Inline()
    assert make_evaluator(made) is made and make_evaluator(made, workers=1) is made
    assert make_evaluator("inline", workers=1).slots == 1


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("proces", {}, "did you mean 'process'"),
        ("inline", {"workers": 4}, "one evaluation at a time"),
        ("process", {"threads": 4}, "no option threads; it has: workers, max_rows"),
        ("thread", {"workers": 0}, "at least 1, got 0"),
        ("async", {"workers": 2.5}, "at least 1, got 2.5"),
        (Inline(), {"rows": 3}, "made already"),
        (Inline(), {"workers": 3}, "made already"),
        (print, {}, "an evaluator is a name"),
        (int, {}, "an evaluator is a name"),
    ],
)
def test_errors_say_why(given, options, message):
    with pytest.raises(EvaluatorError, match=message):
        make_evaluator(given, **options)
