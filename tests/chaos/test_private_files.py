"""What is written for oneself is readable by oneself only, whatever the umask says."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from thalweg.apps.programs.command import Command
from thalweg.core.context import Context
from thalweg.core.evaluator import Job
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators.command import CommandEvaluator
from thalweg.parts.stores import open_store


@pytest.fixture(params=[0o000, 0o077], ids=["umask 000", "umask 077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.usefixtures("umask")
def test_a_store_and_what_stands_beside_it(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'tune.db'}")
    try:
        store.create("study", {"any": "thing"}, "00")
        found = {path.name: mode(path) for path in tmp_path.rglob("*")}
        assert "tune.db" in found
        assert set(found.values()) <= {"0o600", "0o700"}, found
        assert all(mode(path) == "0o700" for path in tmp_path.rglob("*") if path.is_dir())
    finally:
        store.close()


@pytest.mark.usefixtures("umask")
def test_the_folder_of_an_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = Context(3, 0)
    assert mode(context.folder) == "0o700"
    context.clean()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("umask")
def test_the_folder_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = Command(
        [sys.executable, "-S", "-I", "-c", "import os; print(os.stat('{folder}').st_mode & 0o777, {x})"],
        value="first_number(stdout)",
    )

    async def main() -> float:
        evaluator = CommandEvaluator()
        evaluator.open(Target(program, Problem(Space({"x": (0.0, 1.0)}))))
        try:
            outcomes = await evaluator.evaluate(Job(np.array([0]), np.array([[0.5]])))
            assert not outcomes.errors
            return float(outcomes.values[0, 0])
        finally:
            await evaluator.aclose()

    assert asyncio.run(main()) == 0o700
    assert list(tmp_path.iterdir()) == []
