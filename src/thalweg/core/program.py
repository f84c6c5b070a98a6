"""The seam for programs outside Python: what to run for given parameters, and how to measure what it did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from .limits import Limits


@dataclass(frozen=True, slots=True)
class Step:
    """One process to run: argv without a shell.

    measured: its time, memory and output are the trial's (others prepare, verify or clean up).
    required: a non-zero exit code fails the trial.
    """

    argv: tuple[str, ...]
    measured: bool = True
    required: bool = True
    stdin: Path | None = None
    stdout: Path | None = None
    role: str = "run"


@dataclass(frozen=True, slots=True)
class Finished:
    """What a step did. seconds: wall; cpu_s: user + system of the whole process tree, also apart; peak_rss: bytes.

    stdout, stderr: head and tail, bounded; the middle of a long output is dropped.
    """

    step: Step
    exit_code: int
    seconds: float
    cpu_s: float
    peak_rss: int
    stdout: str = ""
    stderr: str = ""
    user_s: float = 0.0
    system_s: float = 0.0


@dataclass(slots=True)
class Plan:
    """Everything one evaluation runs, in order, in `folder` (a temporary directory of its own)."""

    steps: list[Step]
    folder: Path
    environment: dict[str, str] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits | None = None
    """What all steps may use; time and CPU count for each step by itself."""


class Program(ABC):
    """A program as an objective: the command evaluator runs what `plan` says and hands the outcome to `measure`."""

    @property
    def objectives(self) -> Mapping[str, Literal["minimize", "maximize"]]:
        """{name: goal} that it declares itself; empty for a single value, which is minimised."""
        return {}

    @abstractmethod
    def check(self, names: Sequence[str] | None = None) -> None:
        """Raise CommandError before any work when it cannot run (a missing program, file or placeholder).

        names: the parameters of the space; placeholders are checked against them where they are given.
        """

    @abstractmethod
    def plan(self, params: Mapping[str, Any], folder: Path, number: int) -> Plan:
        """What to run for `params`."""

    @abstractmethod
    def measure(self, plan: Plan, finished: list[Finished]) -> dict[str, Any]:
        """Named results of one evaluation.

        Raises:
            CommandError: a result cannot be read, or a verification failed: the trial fails with this message.
        """

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Plain data that changes when results could: the template, hashes of the program and its inputs."""
