"""The public face is a promise: these names, these signatures."""

from __future__ import annotations

import inspect

import thalweg as tw

NAMES = [
    "Answers",
    "Boolean",
    "Chain",
    "Choice",
    "Command",
    "Context",
    "Evaluator",
    "EvaluatorError",
    "Event",
    "Fixed",
    "Float",
    "InfeasibleSpace",
    "Integer",
    "Limits",
    "ObjectiveError",
    "Patience",
    "Permutation",
    "Plateau",
    "Portfolio",
    "Problem",
    "ProblemError",
    "Process",
    "Proposals",
    "Relay",
    "Restart",
    "Result",
    "Space",
    "SpaceError",
    "Status",
    "StopRule",
    "Store",
    "StoreError",
    "Strategy",
    "StrategyError",
    "Study",
    "Subset",
    "Target",
    "ThalwegError",
    "Trial",
    "Wall",
    "amaximize",
    "aminimize",
    "load",
    "maximize",
    "minimize",
    "minimize_many",
]

STUDY = [
    "space",
    "store",
    "name",
    "strategy",
    "seed",
    "objectives",
    "goal",
    "constraints",
    "noisy",
    "fidelity",
    "repeats",
    "aggregate",
    "confirm",
    "ordered",
    "cache",
    "version",
    "listeners",
]

RUN = [
    "objective",
    "max_evals",
    "timeout",
    "eval_timeout",
    "workers",
    "evaluator",
    "vectorised",
    "initial",
    "stop",
    "retries",
    "progress",
]


def test_the_names_are_these_sorted_and_there():
    assert tw.__all__ == sorted(NAMES)
    for name in tw.__all__:
        assert getattr(tw, name) is not None
        assert name in dir(tw)


def test_the_signatures_are_these():
    assert list(inspect.signature(tw.Study.__init__).parameters)[1:] == STUDY
    assert list(inspect.signature(tw.Study.run).parameters)[1:] == RUN
    for call in (tw.minimize, tw.maximize, tw.aminimize, tw.amaximize):
        assert list(inspect.signature(call).parameters) == ["objective", "space", "keywords"]


def test_every_name_says_what_it_is():
    for name in tw.__all__:
        assert inspect.getdoc(getattr(tw, name)), name
