"""A command line as an objective: what to run for given parameters, how to verify it, what to measure."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...core.errors import CommandError, ExpressionError
from ...core.limits import Limits, limits_of
from ...core.program import Finished, Plan, Program, Step
from .metrics import NAMES, Metric, Run, existing, size
from .template import Template
from .verify import compare

Given = str | Sequence[str]
"""A command: a string (split as a shell would) or a list of argv elements."""
PLACEHOLDERS = ("out", "folder", "instance", "number")
"""What templates may mention beside parameters; {back} too in `verify`."""
_RAW = {"rss": "max", "exit": "max"}
"""How unasked measurements of several instances combine; the others add up."""
OVER = ("sum", "mean", "max", "geomean")


@dataclass(frozen=True, slots=True)
class _Round:
    """The steps of one run of the program on one instance."""

    instance: int
    repeat: int
    run: Step
    values: Mapping[str, Any]
    verify: Step | None = None


class Command(Program):
    """A command line whose placeholders are parameters; `thalweg.apps.programs.template` says all that may be written.

        Command("zpaq a {out} corpus.txt -m{method}", value="size({out})")
        Command(["7zz", "a", "{out}", "{instance}", "-mx={level}"], minimize={"bytes": "size({out})", "cpu": "cpu"},
                verify="7zz x {out}.7z -o{back}", instances=["a.txt", "b.txt"])

    value: the single objective, a metric expression (see `thalweg.apps.programs.metrics`).
    minimize, maximize: several, by name.  report: metrics that are only recorded.
    verify: run after the (first) run on each instance; it must succeed, and if it mentions {back} it writes a file (or
    a folder with one file) there, which must equal the input byte for byte.
    original: that input, where there is no {instance} and not exactly one file in the template.
    prepare: run before each run;  cleanup: after everything, also after a failure. Neither is measured.
    instances: files; the program runs on each, metrics are combined by `over` ("sum", "mean", "max", "geomean").
    repeats: runs per instance; times count by their smallest value, everything else by its median.
    environment: further variables (only a list of harmless ones is inherited, see the command evaluator).
    limits: what each run may use (`Limits`, or a table such as {"memory": "2GB", "cpu_s": 60}).
    empty: whether a missing or empty {out} is all right.

    Each trial has a folder of its own for {out}, {folder} and {back}, removed when it has ended. The program runs in
    the current directory.
    """

    def __init__(
        self,
        template: Given,
        value: str | None = None,
        *,
        minimize: Mapping[str, str] | str | None = None,
        maximize: Mapping[str, str] | str | None = None,
        report: Mapping[str, str] | None = None,
        verify: Given | None = None,
        original: str | Path | None = None,
        prepare: Given | None = None,
        cleanup: Given | None = None,
        instances: Sequence[str | Path] = (),
        over: Literal["sum", "mean", "max", "geomean"] = "sum",
        repeats: int = 1,
        environment: Mapping[str, str] | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        empty: bool = False,
    ) -> None:
        self.template = Template(template)
        self._goals, self.metrics = _metrics(value, minimize, maximize, report)
        self._extra = {
            role: Template(given, role)
            for role, given in (("prepare", prepare), ("verify", verify), ("cleanup", cleanup))
            if given is not None
        }
        self.instances = [str(item) for item in ([instances] if isinstance(instances, (str, Path)) else instances)]
        self.original = None if original is None else Path(original)
        if over not in OVER:
            raise CommandError(f"over: expected one of {', '.join(OVER)}, got {over!r}")
        if repeats < 1:
            raise CommandError(f"repeats must be 1 or more, got {repeats}")
        self.over, self.repeats, self.empty = over, repeats, empty
        self.environment = _environment(environment or {})
        self.limits = limits_of(limits)
        self._exit_measured = any("exit" in metric.names for metric in self.metrics)

    @property
    def objectives(self) -> dict[str, Literal["minimize", "maximize"]]:
        """{name: goal} of the declared objectives; empty for a single one given as `value`, which is minimised."""
        return {} if self._goals == {"value": "minimize"} else dict(self._goals)

    @property
    def mentioned(self) -> frozenset[str]:
        """Every name that a command line or a metric uses."""
        templates = (self.template, *self._extra.values())
        used = [name for template in templates for name in template.names]
        used += [name for metric in self.metrics for name in (*metric.names, *metric.placeholders)]
        return frozenset(used)

    # --- before any work ------------------------------------------------------------------------------------------

    def check(self, names: Sequence[str] | None = None) -> None:
        """Raise CommandError where a program, an instance or a placeholder does not exist, or a metric cannot be."""
        for name in names or ():
            if name in (*PLACEHOLDERS, "back", *NAMES):
                raise CommandError(f"parameter {name!r} has the name of a placeholder or a measurement; choose another")
        uses_instance = False
        for template in (self.template, *self._extra.values()):
            if names is not None:
                known = [*names, *(PLACEHOLDERS if template.role != "verify" else (*PLACEHOLDERS, "back"))]
                template.check(known)
            _check_program(template)
            uses_instance = uses_instance or "instance" in template.names
        if uses_instance and not self.instances:
            raise CommandError("the command mentions {instance}, but no instances were given")
        if self.instances and "instance" not in self.template.names:
            raise CommandError("instances were given, but the command does not mention {instance}")
        for item in self.instances:
            _readable(Path(item), "instance")
        if self._compares and not self.instances:
            _readable(self._input(""), "original")
        self._check_metrics(names)

    def _check_metrics(self, names: Sequence[str] | None) -> None:
        before: list[str] = []
        for metric in self.metrics:
            if names is not None:
                try:
                    metric.expression.require_names([*NAMES, *names, *before], f"metric {metric.name!r} =")
                except ExpressionError as error:
                    raise CommandError(str(error)) from None
            wrong = [item for item in metric.placeholders if item not in PLACEHOLDERS]
            if wrong:
                raise CommandError(
                    f"metric {metric.name!r} = {metric.text!r}: {{{wrong[0]}}} is not known; "
                    f"known: {', '.join('{' + item + '}' for item in PLACEHOLDERS)}"
                )
            if "out" in metric.placeholders and "out" not in self.template.names:
                raise CommandError(f"metric {metric.name!r} = {metric.text!r}: the command does not mention {{out}}")
            before.append(metric.name)

    def fingerprint(self) -> dict[str, Any]:
        """The templates and metrics, and SHA-256 of the program and of every file the command names."""
        files = [item for template in (self.template, *self._extra.values()) for item in template.literals[1:]]
        paths = [Path(item) for item in [*files, *self.instances, *([str(self.original)] if self.original else [])]]
        program = shutil.which(self.template.elements[0])
        return {
            "argv": self.template.given,
            "extra": {role: template.given for role, template in self._extra.items()},
            "metrics": [[item.name, item.text, self._goals.get(item.name, "")] for item in self.metrics],
            "over": self.over,
            "repeats": self.repeats,
            "instances": self.instances,
            "environment": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self.environment.items()},
            "limits": self.limits.given() if self.limits else {},
            "program": _hash(Path(program)) if program else "",
            "files": {str(path): _hash(path) for path in sorted(set(paths)) if path.is_file()},
        }

    # --- one trial ------------------------------------------------------------------------------------------------

    def argv(self, params: Mapping[str, Any], out: str = "out", instance: str | None = None) -> tuple[str, ...]:
        """The command line for `params`, as one would type it."""
        first = instance or (self.instances[0] if self.instances else "")
        return self.template.argv({"out": out, "folder": ".", "number": 0, "instance": first, **params})

    def line(self, params: Mapping[str, Any], out: str = "out", instance: str | None = None) -> str:
        """The same as text for a shell: quoted where needed, redirections included."""
        first = instance or (self.instances[0] if self.instances else "")
        stdin, stdout = self.template.files({"out": out, "folder": ".", "number": 0, "instance": first, **params})
        more = [f"{sign} {shlex.quote(str(path))}" for sign, path in (("<", stdin), (">", stdout)) if path is not None]
        return " ".join([shlex.join(self.argv(params, out, instance)), *more])

    def plan(self, params: Mapping[str, Any], folder: Path, number: int) -> Plan:
        """Every instance: `repeats` times prepare and run, then verify; cleanup at the end."""
        rounds: list[_Round] = []
        steps: list[Step] = []
        last: list[Step] = []
        for i, instance in enumerate(self.instances or [""]):
            for repeat in range(self.repeats):
                values = self._values(params, folder, number, (i, repeat), instance)
                if "prepare" in self._extra:
                    steps.append(_step(self._extra["prepare"], values, measured=False))
                run = _step(self.template, values, required=not self._exit_measured)
                verify = None
                if repeat == 0 and "verify" in self._extra:
                    # its exit code is judged in `measure`, after the output itself
                    back = values | {"back": str(folder / f"back-{i}")}
                    verify = _step(self._extra["verify"], back, measured=False, required=False)
                steps += [run, verify] if verify else [run]
                rounds.append(_Round(i, repeat, run, values, verify))
            if "cleanup" in self._extra:
                last.append(_step(self._extra["cleanup"], values, measured=False, required=False))
        return Plan(steps + last, folder, self.environment, {"rounds": rounds}, self.limits)

    def _values(
        self, params: Mapping[str, Any], folder: Path, number: int, where: tuple[int, int], instance: str
    ) -> dict[str, Any]:
        values: dict[str, Any] = dict(params)
        values.update(out=str(folder / f"out-{where[0]}-{where[1]}"), folder=str(folder), number=number)
        if instance:
            values["instance"] = f"./{instance}" if instance.startswith("-") else instance
        return values

    def measure(self, plan: Plan, finished: list[Finished]) -> dict[str, Any]:
        """The metrics, and beside them what they are made of, so that others can be computed without running again."""
        by_step = {id(item.step): item for item in finished}
        rows: list[list[dict[str, float]]] = [[] for _ in (self.instances or [""])]
        for item in plan.context["rounds"]:
            done = by_step[id(item.run)]
            self._check_output(item.values)
            if item.verify is not None:
                self._check_verified(item, by_step[id(item.verify)], plan.folder)
            rows[item.instance].append(self._run_values(Run(done, item.values)))
        per_instance = [self._over_repeats(row) for row in rows]
        asked = {metric.name for metric in self.metrics}
        result = {
            name: _combine([row[name] for row in per_instance], self.over if name in asked else _RAW.get(name, "sum"))
            for name in per_instance[0]
        }
        if len(per_instance) > 1:
            for instance, row in zip(self.instances, per_instance, strict=True):
                result.update({f"{metric.name}[{instance}]": row[metric.name] for metric in self.metrics})
        return result

    def _run_values(self, run: Run) -> dict[str, float]:
        done = run.finished
        found: dict[str, float] = {
            "cpu": done.cpu_s,
            "user": done.user_s,
            "system": done.system_s,
            "wall": done.seconds,
            "rss": float(done.peak_rss),
            "exit": float(done.exit_code),
        }
        out = existing(Path(run.values["out"]))
        if out.exists():
            found["size"] = float(size(out))
        known: dict[str, float] = {}
        for metric in self.metrics:
            known[metric.name] = metric.value(run, known)
        return found | known

    def _over_repeats(self, rows: list[dict[str, float]]) -> dict[str, float]:
        timed = {"cpu", "user", "system", "wall"} | {item.name for item in self.metrics if item.timed}
        timed -= {item.name for item in self.metrics if not item.timed}
        return {
            name: min(row[name] for row in rows) if name in timed else statistics.median(row[name] for row in rows)
            for name in rows[0]
        }

    def _check_output(self, values: Mapping[str, Any]) -> None:
        if self.empty or "out" not in self.template.names:
            return
        out = existing(Path(values["out"]))
        if not out.exists():
            raise CommandError("the program ended well but wrote no {out}; does the template name the right file?")
        if size(out) == 0:
            raise CommandError("the program ended well but its {out} is empty (empty=True allows that)")

    # --- verification ---------------------------------------------------------------------------------------------

    @property
    def _compares(self) -> bool:
        return "verify" in self._extra and "back" in self._extra["verify"].names

    def _check_verified(self, item: _Round, done: Finished, folder: Path) -> None:
        if done.exit_code != 0:
            said = (done.stderr.strip() or done.stdout.strip())[-400:]
            raise CommandError(f"verify: {done.step.argv[0]} ended with exit code {done.exit_code}; it said: {said}")
        if self._compares:
            original = self._input(self.instances[item.instance] if self.instances else "")
            compare(original, folder / f"back-{item.instance}")

    def _input(self, instance: str) -> Path:
        """The file that what comes {back} must equal."""
        if self.original is not None:
            return self.original
        if instance:
            return Path(instance)
        files = [item for item in self.template.literals[1:] if Path(item).is_file()]
        if self.template.elements[0] not in self.template.literals:
            files = []
        if len(set(files)) != 1:
            raise CommandError(
                "verify: {back} must equal the program's input, but the command names "
                f"{len(set(files)) or 'no'} files; say which one it is with original="
            )
        return Path(files[0])


def _metrics(
    value: str | None,
    minimize: Mapping[str, str] | str | None,
    maximize: Mapping[str, str] | str | None,
    report: Mapping[str, str] | None,
) -> tuple[dict[str, Literal["minimize", "maximize"]], list[Metric]]:
    """Goals by name, and all metrics: reported ones first, so that objectives may mention them."""
    if value is not None and (minimize or maximize):
        raise CommandError("give one objective as value=, or several by minimize= and maximize=, not both")
    goals: dict[str, Literal["minimize", "maximize"]] = {}
    metrics = [Metric(name, text) for name, text in (report or {}).items()]
    if value is not None:
        minimize = {"value": value}
    sides: list[tuple[Literal["minimize", "maximize"], Any]] = [("minimize", minimize), ("maximize", maximize)]
    for goal, given in sides:
        for name, text in ({"value": given} if isinstance(given, str) else given or {}).items():
            if name in goals:
                raise CommandError(f"objective {name!r} comes twice")
            goals[name] = goal
            metrics.append(Metric(name, text))
    if not goals:
        raise CommandError("what is to be measured? give value='size({out})', minimize={...} or maximize={...}")
    names = [item.name for item in metrics]
    if len(set(names)) < len(names):
        raise CommandError(f"metrics need distinct names, got {', '.join(names)}")
    return goals, metrics


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    for name, text in given.items():
        if not isinstance(name, str) or not isinstance(text, str) or not name or "=" in name or "\0" in name + text:
            raise CommandError(
                f"environment: a name without '=' and a text are expected, none with a NUL character; got {name!r:.60}"
            )
    return dict(given)


def _step(template: Template, values: Mapping[str, Any], *, measured: bool = True, required: bool = True) -> Step:
    stdin, stdout = template.files(values)
    role = "run" if template.role == "command" else template.role
    return Step(template.argv(values), measured, required, stdin, stdout, role)


def _combine(values: list[float], over: str) -> float:
    if len(values) == 1:
        return values[0]
    if over == "geomean":
        if min(values) <= 0:
            raise CommandError(f"a geometric mean needs positive values, got {min(values)}")
        return math.exp(statistics.fmean(math.log(value) for value in values))
    if over == "mean":
        return statistics.fmean(values)
    return max(values) if over == "max" else math.fsum(values)


def _check_program(template: Template) -> None:
    name = template.elements[0]
    if name not in template.literals and not re.search(r"\s", re.sub(r"\{[^{}]*\}", "", name)):
        return  # a placeholder decides; a program that is missing then fails its trial
    if len(name.split()) > 1 and shutil.which(name) is None:
        raise CommandError(
            f"{template.role}: {name!r} is taken as the name of a program; give its words one by one (there is no "
            "shell in between, so no pipes either)"
        )
    if shutil.which(name) is None:
        there = Path(name).exists()
        hint = "it is not executable (chmod +x?)" if there else "is it installed, and is its folder in PATH?"
        if not there and os.sep in name:
            hint = f"there is no such file (the current directory is {Path.cwd()})"
        raise CommandError(f"{template.role}: the program {name!r} cannot be run: {hint}")


def _readable(path: Path, what: str) -> None:
    if not path.exists():
        raise CommandError(f"{what} {str(path)!r} does not exist (the current directory is {Path.cwd()})")
    if not os.access(path, os.R_OK):
        raise CommandError(f"{what} {str(path)!r} cannot be read")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
