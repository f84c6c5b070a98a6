import pytest

from thalweg.core.errors import EvaluatorError
from thalweg.core.evaluator import Evaluator
from thalweg.core.target import Target
from thalweg.parts.evaluators import EVALUATORS, make_evaluator
from thalweg.parts.evaluators.inline import Inline
from thalweg.testing import _behaviours as behaviours
from thalweg.testing.evaluator_suite import CHECKS, Inapplicable, Suite, SuiteFailure, conformance

CALLED = tuple(name for name in behaviours.BAD if name != "interrupt")  # where Ctrl-C is the caller's

SUITES = {
    "inline": Suite(lambda: make_evaluator("inline"), bad=CALLED),
    "thread": Suite(lambda: make_evaluator("thread", workers=3)),
    "async": Suite(lambda: make_evaluator("async", workers=8), form="async", bad=CALLED, hangs=("hang",)),
    "process": Suite(lambda: make_evaluator("process", workers=2), crashes=True, hangs=("hang", "spin", "brood")),
    "vectorised": Suite(
        lambda: make_evaluator("vectorised", rows=16),
        form="vectorised",
        good=("good", "integer"),
        bad=("nan", "inf", "stubborn", "raise", "exit"),
        rowwise=False,
    ),
}
ELSEWHERE = {
    "command": "test_command_evaluator.py: programs, not functions",
    "ray": "test_ray_logic.py, on a pretended cluster, and test_ray_evaluator.py",
}


def test_every_evaluator_of_the_table_is_here():
    assert set(SUITES) | set(ELSEWHERE) == set(EVALUATORS)


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("check", CHECKS)
def test_contract(name, check):
    try:
        CHECKS[check](SUITES[name])
    except Inapplicable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", sorted(EVALUATORS))
def test_a_program_is_refused_by_all_but_command(name):
    from thalweg.core.program import Program

    class Nothing(Program):
        def check(self):
            raise NotImplementedError

        plan = measure = fingerprint = check

    if name == "command":
        pytest.skip("it runs them")
    with pytest.raises(EvaluatorError, match="'command'"):
        make_evaluator(name).open(Target(Nothing(), behaviours.problem()))


class Shuffled(Evaluator):
    """Gives rows in the wrong order: the suite must see it."""

    suspends = False

    def __init__(self):
        self.inner = Inline()

    slots = 1

    @property
    def rows(self):
        return self.inner.rows

    def open(self, target):
        self.inner.open(target)

    def prepare(self, job):
        return self.inner.prepare(job)

    async def evaluate(self, prepared):
        outcomes = await self.inner.evaluate(prepared)
        outcomes.values = outcomes.values[::-1].copy()
        return outcomes


def test_the_suite_fails_a_planted_fault():
    with pytest.raises(SuiteFailure, match="order: row 0"):
        conformance(Suite(Shuffled, bad=CALLED))


def test_conformance_passes_what_is_sound():
    conformance(SUITES["inline"])
