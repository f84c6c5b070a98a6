"""Problems a user would recognise: models to tune, programs, designs, simulations, fits. See `registry`.

Importing this package fills the table of problems.
"""

from . import combining, control, fitting, learning, machines, market, mechanics, operations, pipelines
from .registry import PROBLEMS, Made, names_of, open_problem

__all__ = [
    "PROBLEMS",
    "Made",
    "combining",
    "control",
    "fitting",
    "learning",
    "machines",
    "market",
    "mechanics",
    "names_of",
    "open_problem",
    "operations",
    "pipelines",
]
