"""A tuning job for a program: what `thalweg tune` does, for Python.

    job = TuningJob.of({"command": "zpaq a {out} corpus.txt -m{level}", "params": ["level:int[1,5]"],
                        "minimize": {"bytes": "size({out})"}, "presets": ["level=5"], "budget": 20})
    outcome = job.run()
    print(outcome.text())

Presets are evaluated first, so a job never ends worse than the best of them, and the gain is reported against what
they measured in the same run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from ...core.errors import CommandError, ProblemError, StoreError
from ...core.event import Event
from ...core.expression import Expression, parse_comparison
from ...core.parameter import Parameter
from ...core.space import Space
from ...parts.strategies import make_strategy
from . import spec
from .command import Command
from .outcome import Outcome, judge
from .params import build_space, read_preset
from .stored import remember

BUDGET = 100
"""Evaluations, where nothing is said."""
STORE = "./thalweg.db"


@dataclass(slots=True)
class TuningJob:
    """A command, its space, and how to search. Made by `TuningJob.of`.

    presets: points tried first.  constraints: of measured results ("rss <= 200e6").  max_evals, timeout_s: the budget.
    eval_timeout: seconds per evaluation, or "auto".  workers: programs that run at once.  output: {out} in the commands
    that are shown.  settings: what it was made of.
    """

    command: Command
    space: Space
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)
    max_evals: int | None = BUDGET
    timeout_s: float | None = None
    eval_timeout: float | str | None = None
    workers: int = 1
    store: str = STORE
    name: str = ""
    strategy: str = "auto"
    seed: int = 0
    output: str = "out"
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> TuningJob:
        """A job from plain settings (see `thalweg.apps.programs.spec`).

        Raises:
            ProblemError, SpaceError, CommandError, ExpressionError: what is wrong with which setting.
        """
        given = spec.check(settings)
        if not given.get("command"):
            raise ProblemError("nothing to run: give a command, for instance -- zpaq a {out} corpus.txt -m{level}")
        texts = spec.params_of(given.get("params"))
        between, measured = _constraints(
            spec.words_of(given.get("constraints")), [item.split(":")[0] for item in texts]
        )
        space = build_space(texts, between)
        command = _command(given)
        command.check(space.names)
        _check_used(command, space)
        presets = {name: read_preset(space, point) for name, point in spec.presets_of(given.get("presets")).items()}
        max_evals, timeout_s = spec.budget_of(given.get("budget", BUDGET))
        job = cls(
            command,
            space,
            presets,
            measured,
            max_evals,
            timeout_s,
            spec.eval_timeout_of(given.get("eval_timeout")),
            given.get("jobs", 1),
            given.get("store", STORE),
            given.get("name", ""),
            given.get("strategy", "auto"),
            given.get("seed", 0),
            given.get("output", "out"),
            given,
        )
        if job.workers < 1:
            raise ProblemError(f"jobs: 1 or more, got {job.workers}")
        job._check_measured()
        make_strategy(job.strategy)  # a name that is wrong is told now, in a dry run as well
        return job

    def _check_measured(self) -> None:
        known = {item.name for item in self.command.metrics} | {"cpu", "user", "system", "wall", "rss", "exit", "size"}
        for text in self.constraints:
            for name in parse_comparison(text).names:
                if name not in known:
                    raise ProblemError(
                        f"constraint {text!r} mentions {name!r}, which is neither a parameter nor measured; "
                        f"parameters: {', '.join(self.space.names)}; measured: {', '.join(sorted(known))}; "
                        "anything else becomes measured by --report name=expression"
                    )

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def objectives(self) -> dict[str, Literal["minimize", "maximize"]]:
        """{name: goal}."""
        return self.command.objectives or {"value": "minimize"}

    @property
    def study_name(self) -> str:
        """The given name, or a hash of everything results depend on: the same job is resumed by itself."""
        if self.name:
            return self.name
        parts = [
            self.space.spec(),
            self.command.fingerprint(),
            self.objectives,
            self.constraints,
            self.strategy,
            self.seed,
        ]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
        program = os.path.basename(self.command.template.elements[0])
        return f"{program}-{digest[:12]}"

    def describe(self, samples: int = 3) -> str:
        """What would be run, in words: the space and its size, exact command lines, the metrics."""
        size = self.space.size
        lines = ["space:"]
        lines += [f"  {name}: {_shown(parameter)}" for name, parameter in self.space.parameters.items()]
        lines.append(
            f"  {size} different points" if size is not None else "  infinitely many points, or too many to count"
        )
        points = self.space.sample(samples, np.random.default_rng(self.seed))
        drawn = self.space.to_params(*self.space.resolve(points)[1:])
        for title, rows in (("presets", self.presets.items()), ("sample", enumerate(drawn))):
            if rows:
                lines.append(f"{title}:")
                lines += [f"  {name}: {self.command.line(point, self.output)}" for name, point in rows]
        lines.append("metrics:")
        for item in self.command.metrics:
            goal = self.objectives.get(item.name, "report")
            lines.append(f"  {goal} {item.name} = {item.text}")
        lines += [f"  constraint {text}" for text in self.constraints]
        budget = [f"{self.max_evals} evaluations"] if self.max_evals else []
        budget += [f"{self.timeout_s:g} s"] if self.timeout_s else []
        lines.append(f"budget: {', '.join(budget)}; strategy {self.strategy}; seed {self.seed}; {self.workers} at once")
        lines.append(f"store: {self.store}, study {self.study_name}")
        return "\n".join(lines)

    # --- running it -----------------------------------------------------------------------------------------------

    def run(
        self,
        listeners: Sequence[Callable[[Event], None]] = (),
        *,
        fresh: bool = False,
        progress: bool | str | None = False,
    ) -> Outcome:
        """Search, or go on where the same job was left; `fresh` forgets what it had.

        Raises:
            ThalwegError: what cannot be, before any work.
        """
        from ...engine.study import Study
        from ...parts.stores import open_store

        store = open_store(address_of(self.store))
        try:
            if fresh and self.study_name in store.names():
                store.delete(self.study_name)
            study = Study(
                self.space,
                objectives=dict(self.objectives),
                constraints=self.constraints or None,
                strategy=self.strategy,
                seed=self.seed,
                store=store,
                name=self.study_name,
                listeners=listeners,
            )
            remember(store, self)
            result = study.run(
                self.command,
                max_evals=self.max_evals,
                timeout=self.timeout_s,
                eval_timeout=cast(Any, self.eval_timeout),
                workers=self.workers,
                evaluator="command",
                initial=list(self.presets.values()) or None,
                progress=progress,
            )
            return judge(self, result)
        finally:
            store.close()


def address_of(store: str) -> str:
    """A store's address from a path or an address."""
    if "://" in store or store == "memory":
        return store
    if os.path.isdir(store):
        raise StoreError(
            f"the store {store!r} is a folder; a file is expected, for instance {store.rstrip('/')}/thalweg.db"
        )
    return f"sqlite:///{store}"


def _check_used(command: Command, space: Space) -> None:
    """Raise ProblemError for a parameter that nothing depends on."""
    used = set(command.mentioned)
    conditions = [parameter.when for parameter in space.parameters.values() if parameter.when is not None]
    for text in (*conditions, *space.spec()["require"]):
        used |= set(Expression(text).names)
    idle = [name for name, parameter in space.parameters.items() if name not in used and parameter.width]
    if idle:
        raise ProblemError(
            f"parameter {idle[0]!r} changes nothing: neither the command nor a metric mentions {{{idle[0]}}}; write it "
            "where its value belongs, or leave the parameter out"
        )


def _command(given: Mapping[str, Any]) -> Command:
    minimize, maximize = spec.named(given.get("minimize"), "minimize"), spec.named(given.get("maximize"), "maximize")
    if not minimize and not maximize:
        raise CommandError("what is to be minimised? for instance --minimize 'bytes=size({out})' --minimize cpu=cpu")
    return Command(
        given["command"],
        minimize=minimize,
        maximize=maximize,
        report=spec.named(given.get("report"), "report"),
        verify=given.get("verify"),
        original=given.get("original"),
        prepare=given.get("prepare"),
        cleanup=given.get("cleanup"),
        instances=spec.instances_of(given.get("instances")),
        over=cast(Literal["sum"], given.get("over", "sum")),
        repeats=given.get("repeats", 1),
        environment={str(name): str(text) for name, text in given.get("environment", {}).items()},
        limits=spec.limits_table(given.get("limits")) or None,
        empty=given.get("empty", False),
    )


def _constraints(texts: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(between parameters: known beforehand, of measured results)."""
    import re

    between: list[str] = []
    measured: list[str] = []
    for text in texts:
        words = re.findall(r"(?<!['\"\w])[A-Za-z_]\w*", text)
        (between if any(word in names for word in words) else measured).append(text)
    return between, measured


def _shown(parameter: Parameter) -> str:
    parts = [f"{key}={value}" for key, value in parameter.spec().items() if key not in ("kind", "type", "when")]
    when = f" if {parameter.when}" if parameter.when else ""
    return f"{type(parameter).__name__}({', '.join(parts)}){when}"
