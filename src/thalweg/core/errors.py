"""Every error thalweg raises on purpose.

    ThalwegError
    ├── SpaceError (ValueError)            a parameter or a space that cannot be
    │   └── InfeasibleSpace                no point satisfies the space's requirements
    ├── ExpressionError (ValueError)       a condition, requirement or metric that does not parse
    ├── ProblemError (ValueError)          objectives, constraints, budgets or options that cannot be
    ├── ObjectiveError (TypeError)         an objective gave something that is not a value
    ├── StrategyError (ValueError)         a strategy that does not exist or does not suit the problem
    ├── OutOfOrder (RuntimeError)          a call that is not allowed at this point
    ├── EvaluatorError (RuntimeError)      an evaluator that cannot run this objective
    │   └── CommandError                   a command template or program that cannot run
    ├── StoreError (RuntimeError)          a store that cannot be opened, read or written
    │   └── StoreMismatch                  the stored study is not the one described
    └── MissingExtra (ImportError)         an optional library is not installed

A message says what was expected, what came, the likely cause and what to do.
"""

from __future__ import annotations


class ThalwegError(Exception):
    """The root of thalweg's own errors."""


class SpaceError(ThalwegError, ValueError):
    """A parameter or a space that cannot be."""


class InfeasibleSpace(SpaceError):
    """No point satisfies the space's requirements."""


class ExpressionError(ThalwegError, ValueError):
    """A condition, requirement or metric that does not parse, or names what does not exist."""


class ProblemError(ThalwegError, ValueError):
    """Objectives, constraints, budgets or options that cannot be."""


class ObjectiveError(ThalwegError, TypeError):
    """An objective gave something that is not a value."""


class StrategyError(ThalwegError, ValueError):
    """A strategy that does not exist, or does not suit the problem."""


class OutOfOrder(ThalwegError, RuntimeError):
    """A call that is not allowed at this point."""


class EvaluatorError(ThalwegError, RuntimeError):
    """An evaluator that cannot run this objective."""


class CommandError(EvaluatorError):
    """A command template or program that cannot run."""


class StoreError(ThalwegError, RuntimeError):
    """A store that cannot be opened, read or written."""


class StoreMismatch(StoreError):
    """The stored study is not the one described."""


class StudyBusy(StoreError):
    """A study that must be worked on alone, and is not."""


class Displaced(StoreError):
    """This process was thought dead (it was out of reach for too long), and another one took its place in the study."""


class MissingExtra(ThalwegError, ImportError):
    """An optional library is not installed; the message names the extra."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {library}, which is not installed; install it with: pip install 'thalweg[{extra}]'"
        )
