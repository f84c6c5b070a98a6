"""A setting of a live service that may be turned: how, how far at once, and at what price."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

from ...core.errors import EvaluatorError, ProblemError
from ...core.parameter import UNORDERED, Float, Integer, Parameter

Cost = Literal["instant", "reload", "restart"]
COSTS = get_args(Cost)
FARTHEST = 0.25
"""The largest change at once, as a share of a knob's range (of the logarithm's, where it is a log one)."""
DENIED = frozenset({
    "autocommit", "data_sync_retry", "fsync", "full_page_writes", "innodb_doublewrite",
    "innodb_flush_log_at_trx_commit", "journal_mode",
    "sync_binlog", "synchronous", "synchronous_commit", "synchronous_standby_names", "wal_level",
    "wal_sync_method", "zero_damaged_pages",
})  # fmt: skip
"""Names that are never turned: faster settings of these lose what was acknowledged."""


@dataclass(frozen=True, slots=True)
class Knob:
    """parameter: its values (Integer, Float, Choice, Boolean; log=True where factors count).
    apply: sets a value, plain or async.  read: gives what is set now, plain or async; it is asked after every change.
    cost: "instant"; "reload" (changed rarely); "restart" (rarer still, and only where somebody approves).
    max_step: the largest change at once, as a share of the range; at least one value further is always possible.
    """

    name: str
    parameter: Parameter
    apply: Callable[[Any], Any]
    read: Callable[[], Any]
    cost: Cost = "instant"
    max_step: float = FARTHEST

    def __post_init__(self) -> None:
        if not isinstance(self.parameter, Parameter) or self.parameter.width != 1 or not self.parameter.scalar:
            raise ProblemError(f"knob {self.name!r}: a parameter with one value is expected, got {self.parameter!r}")
        if self.cost not in COSTS:
            raise ProblemError(f"knob {self.name!r}: cost is one of {', '.join(COSTS)}, got {self.cost!r}")
        if not 0 < self.max_step <= FARTHEST:
            raise ProblemError(f"knob {self.name!r}: max_step is in (0, {FARTHEST}], got {self.max_step!r}")
        if not callable(self.apply) or not callable(self.read):
            raise ProblemError(f"knob {self.name!r}: apply(value) and read() are functions")

    async def get(self) -> Any:
        """What is set now."""
        given = self.read()
        return await given if inspect.isawaitable(given) else given

    async def set(self, value: Any) -> None:
        """Set `value` and read it back.

        Raises:
            EvaluatorError: something else is set afterwards.  What `apply` and `read` raise.
        """
        given = self.apply(value)
        if inspect.isawaitable(given):
            await given
        if not same(value, now := await self.get()):
            raise EvaluatorError(f"knob {self.name!r}: {value!r} was set, but {now!r} is read back")

    def share(self, one: Any, other: Any) -> float:
        """How far apart two values are, as a share of the range (of its logarithm); 0.0 for neighbours, which are
        always in reach, and where there is no order."""
        parameter = self.parameter
        if isinstance(parameter, (Float, Integer)):
            if isinstance(parameter, Integer) and abs(one - other) <= (parameter.step or 1):
                return 0.0
            scale = math.log if parameter.log else float
            return abs(scale(one) - scale(other)) / ((scale(parameter.high) - scale(parameter.low)) or 1.0)
        if parameter.kind == UNORDERED:
            return 0.0
        steps = abs(parameter.code(one)[0] - parameter.code(other)[0])
        return 0.0 if steps <= 1 else steps / (parameter.levels - 1)


def same(one: Any, other: Any) -> bool:
    """Whether two values of a knob are one: numbers may differ by rounding on their way there and back."""
    if isinstance(one, Real) and isinstance(other, Real):
        return bool(one == other) or math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-12)
    return bool(one == other)


def checked(knobs: Iterable[Knob], deny: Iterable[str]) -> dict[str, Knob]:
    """Knobs by name. Raises ProblemError: none, one twice, or one that is never to be turned."""
    given = list(knobs)
    forbidden = {name.lower() for name in DENIED | set(deny)}
    found: dict[str, Knob] = {}
    for knob in given:
        if knob.name.lower().rpartition(".")[2] in forbidden:
            raise ProblemError(f"knob {knob.name!r} is on the deny-list: it is never turned; leave it out")
        if knob.name in found:
            raise ProblemError(f"knob {knob.name!r} is there twice")
        found[knob.name] = knob
    if not found:
        raise ProblemError("knobs: at least one Knob is expected, got none")
    return found
