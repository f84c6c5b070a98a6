"""What a tuning job found: against each preset, exactly, from trials measured in the same run."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.batch import Status
from ...core.trial import Trial

if TYPE_CHECKING:
    from .job import TuningJob


_FEW = 3
"""With more presets than this only those that no other preset beats get lines of their own."""


@dataclass(frozen=True, slots=True)
class Gain:
    """The best value of one objective among trials that are no worse than a preset in every other objective.

    before, after: the preset's value and the found one.  change: (after - before) / |before|; 0: nothing is better.
    """

    preset: str
    objective: str
    before: float
    after: float
    trial: int
    change: float


@dataclass(slots=True)
class Outcome:
    """The result of a job. presets: name -> its trial, or None where it did not run.

    best: the winner (of several objectives: the best in the first).  front: Pareto-optimal trials, best first.
    improved: with one objective, the best is better than every preset; with several, some trial is better than a
    preset of the presets' own front in one objective and no worse in the others.
    """

    job: TuningJob
    trials: list[Trial]
    presets: dict[str, Trial | None]
    best: Trial | None
    front: list[Trial]
    gains: list[Gain]
    improved: bool
    stop_reason: str
    result: Any = field(default=None, repr=False)

    @property
    def names(self) -> list[str]:
        """The objectives."""
        return list(self.job.objectives)

    def command(self, trial: Trial) -> str:
        """A trial's command line, ready to paste into a shell."""
        return self.job.command.line(trial.params, self.job.output)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""

        def row(trial: Trial) -> dict[str, Any]:
            values = dict(zip(self.names, trial.values, strict=True)) if trial.values else {}
            return {"number": trial.number, "params": trial.params, "values": values, "components": trial.components,
                    "command": self.command(trial)}  # fmt: skip

        return {
            "kind": "outcome",
            "study": self.job.study_name,
            "store": self.job.store,
            "objectives": dict(self.job.objectives),
            "evaluations": len(self.trials),
            "failed": sum(trial.status is Status.FAILED for trial in self.trials),
            "timed_out": sum(trial.status is Status.TIMEOUT for trial in self.trials),
            "presets": {name: None if trial is None else row(trial) for name, trial in self.presets.items()},
            "best": None if self.best is None else row(self.best),
            "front": [row(trial) for trial in self.front],
            "gains": [
                {"preset": g.preset, "objective": g.objective, "before": g.before, "after": g.after, "trial": g.trial,
                 "change": g.change} for g in self.gains
            ],
            "improved": self.improved,
            "stop_reason": self.stop_reason,
        }  # fmt: skip

    def text(self) -> str:
        """For people: the table against the presets, the gain, the command to paste."""
        from ...watch.text import align

        if self.best is None:
            return self._nothing()
        parts = [align(self._rows(), ["", "trial", *self.names], limit=28, right=list(range(1, 2 + len(self.names))))]
        if self.gains:
            parts.append("\n".join(self._gain_lines()))
        elif self.presets:
            parts.append("no preset gave a result, so there is nothing to compare with")
        shown = [("best", self.best)] if len(self.names) == 1 else [(self._label(item), item) for item in self._few()]
        parts.append("\n".join(f"# {label}\n{self.command(trial)}" for label, trial in shown))
        return "\n\n".join([*parts, self._footer()])

    def _rows(self) -> list[list[str]]:
        shown: dict[int, str] = {}
        for name, trial in self.presets.items():
            if trial is not None and trial.number not in shown:
                shown[trial.number] = f"preset {name}"
        rows = [trial for trial in self.trials if trial.number in shown]
        extra = [self.best] if len(self.names) == 1 and self.best else self._few(12)
        rows += [trial for trial in extra if trial.number not in shown]
        front = {trial.number for trial in self.front}
        rows.sort(key=lambda trial: tuple(self._signed(trial)))

        def mark(trial: Trial) -> str:
            label = shown.get(trial.number, "found")
            return label + (" *" if len(self.names) > 1 and trial.number in front else "")

        return [[mark(trial), str(trial.number), *(_number(value) for value in trial.values)] for trial in rows]

    def _few(self, most: int = 5) -> list[Trial]:
        """The front, thinned out evenly; both ends stay."""
        if len(self.front) <= most:
            return self.front
        steps = [round(i * (len(self.front) - 1) / (most - 1)) for i in range(most)]
        return [self.front[i] for i in dict.fromkeys(steps)]

    def _label(self, trial: Trial) -> str:
        return ", ".join(f"{name} {_number(value)}" for name, value in zip(self.names, trial.values, strict=True))

    def _gain_lines(self) -> list[str]:
        """One line per preset that no other one beats (of a few presets: per preset)."""
        usable = {name: trial for name, trial in self.presets.items() if trial is not None and trial.ok}
        signed = {trial.number: self._signed(trial) for trial in usable.values()}
        main = {trial.number for trial in _front(list(usable.values()), signed)}
        shown = [name for name, trial in usable.items() if len(usable) <= _FEW or trial.number in main]
        return [self._gain_line(name) for name in shown]

    def _gain_line(self, preset: str) -> str:
        several = len(self.names) > 1
        parts = []
        for gain in self.gains:
            if gain.preset == preset and gain.change != 0:
                others = " and ".join(name for name in self.names if name != gain.objective)
                at = f" at no worse {others}" if several else ""
                parts.append(
                    f"{gain.objective} {_number(gain.after)} instead of {_number(gain.before)}{at}: "
                    f"{gain.change:+.3%} (trial {gain.trial})"
                )
        return f"against preset {preset}: " + ("; ".join(parts) or "nothing better was found")

    def _nothing(self) -> str:
        from ...watch.explain import kinds

        failed = kinds(trial.error for trial in self.trials if trial.status is Status.FAILED)
        lines = [f"no trial gave a usable value ({len(self.trials)} evaluations); {self.stop_reason}"]
        lines += [f"  {count} x {error}" for count, error in failed[:3]]
        violated = sum(trial.status is Status.DONE and not trial.ok for trial in self.trials)
        if violated:
            lines.append(f"  {violated} violated a constraint")
        return "\n".join([*lines, self._footer()])

    def _footer(self) -> str:
        states = Counter(trial.status for trial in self.trials)
        more = "".join(
            f", {states[kind]} {kind.name.lower()}" for kind in (Status.FAILED, Status.TIMEOUT) if states[kind]
        )
        where = f"study {self.job.study_name} in {self.job.store}"
        return f"{len(self.trials)} evaluations{more}; stopped: {self.stop_reason}; {where}"

    def _signed(self, trial: Trial) -> list[float]:
        return _signed(trial, self.job)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def _signed(trial: Trial, job: TuningJob) -> list[float]:
    """Values, minimised."""
    return [value if goal == "minimize" else -value
            for value, goal in zip(trial.values, job.objectives.values(), strict=True)]  # fmt: skip


def judge(job: TuningJob, result: Any) -> Outcome:
    """Compare what was found with the presets."""
    trials: list[Trial] = [trial for trial in result.trials if trial.status.final]
    good = [trial for trial in trials if trial.ok and all(map(math.isfinite, trial.values))]
    presets = {name: _trial_of(point, trials, job) for name, point in job.presets.items()}
    signed = {trial.number: _signed(trial, job) for trial in good}
    front = sorted(_front(good, signed), key=lambda trial: signed[trial.number])
    usable = {name: trial for name, trial in presets.items() if trial is not None and trial.number in signed}
    gains = [_gain(name, trial, k, job, good) for name, trial in usable.items() for k in range(len(job.objectives))]
    mine = {trial.number for trial in usable.values()}
    own_front = _front(list(usable.values()), signed)
    improved = bool(front) and (
        any(
            _dominates(signed[new.number], signed[old.number])
            for old in own_front
            for new in good
            if new.number not in mine
        )
        if usable
        else True
    )
    return Outcome(
        job, trials, presets, front[0] if front else None, front, gains, improved, str(result.stop_reason), result
    )  # fmt: skip


def _trial_of(point: dict[str, Any], trials: list[Trial], job: TuningJob) -> Trial | None:
    space = job.space
    wanted = space.to_labels(space.from_params([point]))[0]
    for trial in trials:
        if space.to_labels(space.from_params([trial.params]))[0] == wanted:
            return trial
    return None


def _dominates(a: list[float], b: list[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def _front(trials: list[Trial], signed: dict[int, list[float]]) -> list[Trial]:
    """Non-dominated trials; of equal ones the first."""
    kept: list[Trial] = []
    for trial in sorted(trials, key=lambda item: (signed[item.number], item.number)):
        mine = signed[trial.number]
        if not any(_dominates(signed[other.number], mine) or signed[other.number] == mine for other in kept):
            kept.append(trial)
    return kept


def _gain(name: str, preset: Trial, k: int, job: TuningJob, good: list[Trial]) -> Gain:
    """How far objective `k` came down among trials no worse than the preset in the others."""
    base, best = _signed(preset, job), preset
    least = base[k]
    for trial in good:
        mine = _signed(trial, job)
        no_worse = all(x <= y for j, (x, y) in enumerate(zip(mine, base, strict=True)) if j != k)
        if no_worse and mine[k] < least:
            best, least = trial, mine[k]
    before, after = preset.values[k], best.values[k]
    change = 0.0
    if after != before:
        change = (after - before) / abs(before) if before else math.copysign(math.inf, after - before)
    return Gain(name, list(job.objectives)[k], before, after, best.number, change)
