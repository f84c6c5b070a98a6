"""Many processes on one store, in one thread and under one seed: whatever can go wrong, at every step.

    from thalweg.testing.protocol_simulator import simulate
    for seed in range(1000):
        simulate(seed, MyHost)

A seed makes a plan (how many workers, what they evaluate, which faults how often) and a run of it. Workers are small
programs that join, claim, open, evaluate, append, beat and leave; each call travels to the store and back, and between
any two steps a worker may die, stall for longer than its lease, lose its lock, send twice, or have its clock stand
still. Besides: mass restarts, the death of who holds place 0, queues, changing budgets, trials that kill whoever runs
them. After each step and at the end, what the store says is compared with what happened (`_ledger.Ledger`); the first
difference raises ProtocolViolation with the seed, the time and the last steps. The same seed gives the same run.

The method is FoundationDB's (Zhou et al. 2021, doi:10.1145/3448016.3457559, section 4): simulated time, real code.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.errors import StoreError
from ._ledger import ProtocolViolation
from ._simulated_plan import FakeClock, Host, Outcome, Plan
from ._simulated_run import Run

__all__ = ["FakeClock", "Host", "Outcome", "Plan", "ProtocolViolation", "simulate"]


def simulate(seed: int, host: Callable[[], Host], plan: Plan | None = None) -> Outcome:
    """One run; `host` is called for a fresh one. Without a plan it is the seed's own.

    Raises:
        ProtocolViolation: the store broke a promise.
    """
    made = host()
    try:
        run = Run(seed, made, plan or Plan.of(seed))
        try:
            return run.go()
        except (AssertionError, StoreError, LookupError) as error:
            last = "\n".join(f"  {moment:9.2f}  {what}" for moment, what in run.trace)
            raise ProtocolViolation(
                f"seed {seed}, at {made.clock.now:.2f}: {type(error).__name__}: {error}\n{run.plan}\n"
                f"last steps:\n{last}"
            ) from error
    finally:
        made.close()
