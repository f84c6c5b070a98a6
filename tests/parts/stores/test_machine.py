"""Every store does what a dict does, whatever the order of the calls."""

import os
import tempfile
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


def crash(store, member) -> None:
    """As the kernel would: the lock is free, nothing else has changed."""
    locks = store._members.locks
    os.close(locks._held.pop(member.token))
    store._members._mine.pop(member.token)


def make_machine(kind: str):
    def make(folder: Path, **options):
        if kind == "memory":
            return open_store("memory", **options)
        return open_store(f"{kind}:///{folder / 'x.db'}", durability="fast", **options)

    return machine_of(make, crash) if kind == "sqlite" else machine_of(make)


@pytest.fixture(autouse=True)
def in_memory(monkeypatch):
    """Where there is such a place: what is tested is not the disk, and syncs are slow."""
    if os.access("/dev/shm", os.W_OK):
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")


@pytest.mark.parametrize("kind", KINDS)
def test_model(kind: str) -> None:
    run_state_machine_as_test(make_machine(kind), settings=FAST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_model_long(kind: str) -> None:
    run_state_machine_as_test(make_machine(kind), settings=LONG)
