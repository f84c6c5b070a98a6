"""The page of answers: what it says it runs, and what it makes of traces that are there."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.quality import report, running, sections
from benchmarks.quality.running import run_one
from benchmarks.quality.sections import SECTIONS, THINKING, Section
from benchmarks.quality.solvers import group_of

SMALL = Section(
    "small", "constrained", (), 5, (2, 5), "Two seeds of two designs.", ("tw:random", "tw:de", "scipy_nm", "random"),
    seeds=(0, 1), functions=(1, 2),
)  # fmt: skip


@pytest.fixture
def page(tmp_path, monkeypatch):
    """An empty folder of traces, and the page's places in it."""
    monkeypatch.setattr(running, "TRACES", tmp_path / "traces")
    monkeypatch.setattr(report, "SECTIONS", (SMALL,))
    for name in ("IMAGES", "PAGE", "TABLE"):
        monkeypatch.setattr(report, name, tmp_path / name)
    return tmp_path


def test_every_section_names_solvers_that_there_are():
    for section in (*SECTIONS, THINKING):
        assert len(set(section.solvers)) == len(section.solvers), section.name
        assert {group_of(solver) for solver in section.solvers}  # SystemExit where one is unknown
        assert not section.ats or section.ats[-1] == section.budget, section.name
        assert any(solver.startswith("tw:") for solver in section.solvers)
        assert any(not solver.startswith("tw:") for solver in section.solvers)


def test_held_out_instances_alone():
    assert all(min(section.instances) >= 4 for section in SECTIONS if section.suite.startswith("bbob"))


def test_runs_that_classes_share_are_run_once():
    paths = [job.path for job in sections.jobs("page")]
    assert len(set(paths)) == len(paths)
    own = {job.path for section in SECTIONS if section.name == "bbob-5d" for job in section.jobs("page")}
    assert own < set(paths)


def test_a_page_from_runs(page):
    jobs = list(SMALL.jobs("page"))
    assert len(jobs) == 4 * 2 * 2
    for job in jobs[:-1]:
        assert run_one(job) == ""
    report.write("page", "the command")
    text = (page / "PAGE").read_text()
    assert "## small" in text and "4 runs of each solver" in text and "the command" in text
    assert "- left out, 3 runs only: random" in text
    rows = {line.split(" | ")[0].strip("| *") for line in text.splitlines() if line.startswith("| ")}
    assert {"tw:random", "tw:de", "scipy_nm"} <= rows
    assert (page / "IMAGES" / "answers-small.png").stat().st_size > 1000
    table = np.genfromtxt(page / "TABLE", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert set(table["solver"]) == {"tw:random", "tw:de", "scipy_nm"} and set(table["runs"]) == {4}


def test_without_runs_nothing_is_written(page):
    with pytest.raises(SystemExit, match="no class has runs"):
        report.write("page", "the command")
    assert not (page / "PAGE").exists()
