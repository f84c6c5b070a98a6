"""Functions that run better (`PerformanceOptimizer`), and searches that maximise (`BayesianOptimizer` and others).

python -m thalweg.compat.token_sim.optimization.optimize_core_params --consensus pos --iterations 50
"""

from __future__ import annotations

from .parameter_space import ParameterBounds, ParameterSpace
from .performance import PerformanceMetrics, PerformanceOptimizer
from .search import BayesianOptimizer, GeneticOptimizer, HybridOptimizer
from .strategy import OptimizationStrategy

__all__ = [
    "BayesianOptimizer",
    "GeneticOptimizer",
    "HybridOptimizer",
    "OptimizationStrategy",
    "ParameterBounds",
    "ParameterSpace",
    "PerformanceMetrics",
    "PerformanceOptimizer",
]
