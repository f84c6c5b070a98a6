"""Every store does what a dict does, whatever the order of the calls."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from thalweg.core.store import Member
from thalweg.parts.stores import open_store
from thalweg.testing.store_base import finishing_of, make_space, opening_of
from thalweg.testing.store_machine import machine_of
from thalweg.testing.store_members import Clock

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


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_answer_of_a_dead_member_is_no_sign_of_life(kind: str, tmp_path: Path) -> None:
    """Which the machine above rarely comes upon."""
    machine, clock = make_machine(kind), Clock()
    store = machine.make(tmp_path, lease_s=10.0, clock=clock)
    study = store.create("demo", {}, "f").id
    hand = store.join(study, "life 0", False, None)
    same = Member(study, hand.ordinal, hand.token)
    store.open_trials(study, opening_of(1, 0, make_space()), None, [], hand)
    machine.crash_one(store, hand)
    del hand
    clock.now += 11.0
    store.append(study, finishing_of([0]), [], same)
    assert [(v.alive, v.late, v.open_trials) for v in store.members(study)] == [(False, True, 0)]
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_model_long(kind: str) -> None:
    run_state_machine_as_test(make_machine(kind), settings=LONG)
