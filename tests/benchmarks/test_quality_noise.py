"""Noise and random search: the pages' figures, from traces made up here."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.quality import noisy_page, versus_random
from benchmarks.quality.noisy import place
from benchmarks.quality.statistics import geometric_interval
from benchmarks.quality.tasks import Task


def test_geometric_ratios_with_intervals_over_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    logs = np.log(0.5) + rng.normal(size=30)[groups]
    ratio, low, high = geometric_interval(logs, groups)
    assert low < ratio < high and ratio == pytest.approx(np.exp(logs.mean()))
    # four runs of one group say no more than one: twice as wide as for runs of their own
    _, narrow, wide = geometric_interval(logs, np.arange(120))
    assert np.log(high / low) > 1.5 * np.log(wide / narrow)
    assert low < 0.5 < high


def write_trace(folder, name, seed, value):
    folder.mkdir(parents=True, exist_ok=True)
    trace = np.array([[1, value + 1, 0.0], [9, value, 0.0]])
    np.savez(folder / f"{name}_s{seed}.npz", trace=trace, count=10, seconds=0.0, error="")


def test_where_random_search_is_better_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.quality.versus_random.folder", lambda s, tag, b: tmp_path / f"{s}@{tag}" / f"b{b}")
    monkeypatch.setattr(versus_random, "PAGE", tmp_path / "page.md")
    tasks, rng = [Task("practical", name, 3, 1) for name in ("good", "bad", "even")], np.random.default_rng(1)
    for task, lead in zip(tasks, (5.0, -5.0, 0.0), strict=True):
        for seed in range(12):
            for solver, ahead in (("tw:auto", lead), ("random", 0.0)):
                write_trace(tmp_path / f"{solver}@t" / "b20", task.key, seed, rng.normal() - ahead)
    text = versus_random.write(["tw:auto", "random"], "t", tasks, 20, list(range(12)), "made by hand").read_text()
    assert "better on 1 of 3 problems" in text and "random search on 1: bad." in text and "made by hand" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "| 3 | 12 |" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| bad", "| even", "| good"]  # the worst first
    assert "| 0% |" in rows[0] and "| 100% |" in rows[2]
    with pytest.raises(SystemExit, match="no runs of"):
        versus_random.lines_of("tw:auto", "random", "t", [Task("practical", "none", 3, 1)], 20, [0])
    assert versus_random.chance(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx(7 / 8)


class Sphere:
    """A problem with noise that is told from its task alone."""

    optimum = 1.0

    @staticmethod
    def clean(x):
        return 1.0 + float(((x - 1) ** 2).sum())


def test_the_page_of_noise(tmp_path, monkeypatch):
    monkeypatch.setattr(noisy_page, "TRACES", tmp_path)
    monkeypatch.setattr(noisy_page, "PAGE", tmp_path / "noise.md")
    monkeypatch.setattr(noisy_page, "open_noisy", lambda *_: Sphere())
    found = [(Task("bbob-noise10", f"f{f:02d}", 2, i), 0) for f in (1, 2) for i in (1, 2)]
    for solver, spread, said in (("tw:bayesian", 0.5, 0.25), ("optuna_gp", 2.0, np.nan)):
        for row, (task, seed) in enumerate(found):
            rng = np.random.default_rng(row)
            points = np.clip(1 + spread * rng.normal(size=(40, 2)), -5, 5)
            true = ((points - 1) ** 2).sum(axis=1)
            path = place(tmp_path, solver, "t", 20, task, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, points=points, observed=1 + true + 0.5 * rng.normal(size=40), true=true, sd=0.5, said=said)
    text = noisy_page.write(["tw:bayesian", "optuna_gp"], "t", 20, [*found, (Task("bbob-noise10", "f03", 2, 1), 0)])
    text = text.read_text()
    assert "4 runs (instances 1, 2, seeds 0 of 2 functions)" in text  # the one that nobody ran is left out
    line = next(item for item in text.splitlines() if item.startswith("| **tw:bayesian** | 0.500"))  # .25 / .5
    model = float(line.split("|")[3])
    data = [np.load(place(tmp_path, "tw:bayesian", "t", 20, *key)) for key in found]
    best = np.exp(np.mean([np.log(max(item["true"].min() / 0.5, 1e-3)) for item in data]))
    assert best <= model < 1.0 and f"{best:.3f} |" in line
    assert "instance 2, 2 runs" in text and "| f2 |" in text
    advice = noisy_page.advised(data[0]["points"], data[0]["observed"])
    assert Sphere.clean(advice) - 1 < 0.3
    with pytest.raises(SystemExit, match="no run of all"):
        noisy_page.write(["tw:bayesian", "nobody"], "t", 20, found)
