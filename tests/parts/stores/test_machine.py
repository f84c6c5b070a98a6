"""Every store does what a dict does, whatever the order of the calls."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from thalweg.parts.stores import open_store
from thalweg.testing.store_machine import machine_of

KINDS = ("memory", "sqlite")  # PostgreSQL needs a server: see its own tests
FAST = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
LONG = settings(FAST, max_examples=200, stateful_step_count=50)


def make_machine(kind: str):
    def make(folder: Path):
        if kind == "memory":
            return open_store("memory")
        return open_store(f"{kind}:///{folder / 'x.db'}", durability="fast")

    return machine_of(make)


@pytest.mark.parametrize("kind", KINDS)
def test_model(kind: str) -> None:
    run_state_machine_as_test(make_machine(kind), settings=FAST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_model_long(kind: str) -> None:
    run_state_machine_as_test(make_machine(kind), settings=LONG)
