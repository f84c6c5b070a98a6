"""The public face is a promise: these names, these signatures."""

from __future__ import annotations

import inspect

import thalweg as tw
from thalweg.parts.strategies import STRATEGIES, make_strategy

NAMES = [
    "Annealing",
    "Answers",
    "Auto",
    "Axes",
    "Bayesian",
    "Boolean",
    "CMAES",
    "Chain",
    "Choice",
    "Command",
    "Context",
    "DE",
    "Direct",
    "DirectL",
    "Evaluator",
    "EvaluatorError",
    "Event",
    "Fixed",
    "Float",
    "Genetic",
    "Grid",
    "Handover",
    "Hybrid",
    "InfeasibleSpace",
    "Integer",
    "LatinHypercube",
    "Limits",
    "LqCMAES",
    "MOEAD",
    "NSGA2",
    "NSGA3",
    "NelderMead",
    "ObjectiveError",
    "PSO",
    "ParetoBayesian",
    "Patience",
    "Permutation",
    "Plateau",
    "Portfolio",
    "Problem",
    "ProblemError",
    "Process",
    "Proposals",
    "Quadratic",
    "QuasiNewton",
    "Random",
    "Relay",
    "Restart",
    "Result",
    "SciPyDE",
    "SciPyDirect",
    "SciPyDualAnnealing",
    "SciPySHGO",
    "Sobol",
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
    "TPE",
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


def test_every_strategy_in_the_table_is_there_by_its_class():
    classes = [place.partition(":")[2] for place in STRATEGIES.values()]
    assert [name for name in classes if name not in tw.__all__] == []
    assert all(type(make_strategy(name)) is getattr(tw, place.partition(":")[2]) for name, place in STRATEGIES.items())


def test_the_signatures_are_these():
    assert list(inspect.signature(tw.Study.__init__).parameters)[1:] == STUDY
    assert list(inspect.signature(tw.Study.run).parameters)[1:] == RUN
    for call in (tw.minimize, tw.maximize, tw.aminimize, tw.amaximize):
        assert list(inspect.signature(call).parameters) == ["objective", "space", "keywords"]


def test_every_name_says_what_it_is():
    for name in tw.__all__:
        assert inspect.getdoc(getattr(tw, name)), name
