"""What is simulated: the machine that processes run on, and the plan of a run."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..core.store import Member, Store


@dataclass(slots=True)
class FakeClock:
    """Seconds that pass only when told to; call it."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


class Host(ABC):
    """Where simulated processes run: how they reach the store, and how they die.

    clock: what every store of this host must go by.  lease: seconds of silence after which a member is late.
    """

    lease: float = 30.0

    def __init__(self) -> None:
        self.clock = FakeClock()

    @abstractmethod
    def connect(self) -> Store:
        """The store, as a process finds it that has just started."""

    @abstractmethod
    def kill(self, store: Store, member: Member | None) -> None:
        """The process with this store and membership is dead: its locks are free, and nothing else has happened."""

    def close(self) -> None:
        """Clean up."""


@dataclass(slots=True)
class Plan:
    """What is simulated. Rates are chances per step of a worker; times are in leases, from the start.

    slots: trials that a worker takes at once.  evaluation: mean seconds of one.  poison: share of points that kill.
    crash, stall, cut, still: it dies, it sleeps, its lock is lost though it lives, its clock stands still.
    stopping: it gives back what it has not begun, or leaves.  again: share of appends that arrive twice.
    calm: when faults end.
    """

    workers: int = 4
    budget: int = 12
    slots: int = 2
    evaluation: float = 4.0
    poison: float = 0.0
    crash: float = 0.0
    stall: float = 0.0
    cut: float = 0.0
    still: float = 0.0
    again: float = 0.0
    failing: float = 0.0
    stopping: float = 0.0
    distinct: int = 10**8
    one_by_one: bool = True
    coordinator: bool = False
    alone: bool = False
    calm: float = 4.0
    restarts: tuple[float, ...] = ()
    beheadings: tuple[float, ...] = ()
    budgets: tuple[tuple[float, int], ...] = ()
    queues: tuple[tuple[float, int], ...] = ()
    retractions: tuple[float, ...] = ()

    @staticmethod
    def of(seed: int) -> Plan:
        """The plan of a seed."""
        chance = random.Random(seed * 2 + 1)
        rate = chance.choice
        faults = chance.random() < 0.9

        def times(most: int) -> tuple[float, ...]:
            return tuple(chance.uniform(0.2, 3.8) for _ in range(chance.randint(0, most)))

        return Plan(
            workers=chance.randint(3, 8),
            budget=chance.randint(4, 16),
            slots=chance.randint(1, 4),
            evaluation=rate([0.5, 4.0, 12.0]),
            poison=rate([0.0, 0.0, 0.1, 0.25]),
            crash=rate([0.0, 0.005, 0.02, 0.05]) * faults,
            stall=rate([0.0, 0.01, 0.04]) * faults,
            cut=rate([0.0, 0.0, 0.01]) * faults,
            still=rate([0.0, 0.005]) * faults,
            again=rate([0.0, 0.1, 0.5]),
            failing=rate([0.0, 0.1]),
            stopping=rate([0.0, 0.02, 0.1]),
            distinct=rate([10**8, 10**8, 30]),
            one_by_one=chance.random() < 0.7,
            coordinator=chance.random() < 0.3,
            alone=chance.random() < 0.1,
            restarts=times(1),
            beheadings=times(1) if faults else (),
            budgets=tuple((moment, chance.randint(0, 24)) for moment in times(2)),
            queues=tuple((moment, chance.randint(1, 5)) for moment in times(2)),
            retractions=times(1),
        )


@dataclass(slots=True)
class Outcome:
    """What a run was. steps: of all workers.  deaths: of processes.  trials: recorded.  poisoned: counted out."""

    seed: int
    steps: int
    deaths: int
    trials: int
    poisoned: int
    seconds: float
