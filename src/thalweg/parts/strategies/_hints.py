"""What people who know other packages type, and what it is called here: for messages, no name stands for another."""

from __future__ import annotations

import re

from . import STRATEGIES

_ELSEWHERE = {
    "annealing": "simulatedannealing sa basinhopping",
    "auto": "default ngopt nevergrad best",
    "axes": "coordinate coordinatedescent linesearch brentstep",
    "bayesian": "gp bo bayes bayesopt bayesianoptimization gaussianprocess gpei botorch ax smac smac3 skopt gpminimize "
    "hebo turbo ei",
    "bayesian_pareto": "mobo ehvi qehvi qnehvi parego motpe",
    "cmaes": "cma cmasampler pycma evolutionstrategy es",
    "de": "differentialevolution shade lshade jade",
    "direct": "dividingrectangles",
    "genetic": "ga geneticalgorithm evolution evolutionary deap",
    "grid": "brute bruteforce exhaustive",
    "lhs": "latinhypercube latin lhc",
    "nelder_mead": "simplex amoeba fmin",
    "nsga2": "nsgaii",
    "nsga3": "nsgaiii",
    "portfolio": "bandit ensemble",
    "pso": "particleswarm swarm",
    "quadratic": "bobyqa newuoa cobyla cobyqa powell trustregion dfo",
    "quasi_newton": "bfgs lbfgs lbfgsb slsqp gradient gradientdescent tnc cg",
    "random": "rand uniform montecarlo",
    "scipy:dual_annealing": "dualannealing",
    "scipy:shgo": "shgo",
    "sobol": "qmc halton quasirandom scrambledsobol",
    "tpe": "hyperopt parzen hyperopttpe",
}
_ENDINGS = ("sampler", "optimizer", "optimiser", "algorithm", "search", "strategy", "method")


def _plain(name: str) -> str:
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    ending = next((item for item in _ENDINGS if bare.endswith(item) and bare != item), "")
    return bare.removesuffix(ending)


def called_here(name: str) -> str | None:
    """The name in the table of what somebody calls `name`, if it is known."""
    plain = _plain(name)
    for here in STRATEGIES:
        if _plain(here) == plain:
            return here
    return next((here for here, others in _ELSEWHERE.items() if plain and plain in others.split()), None)
