"""The demonstrations do what they say, on the real things: SQLite's file, a PostgreSQL server."""

import asyncio
import functools
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from thalweg.apps.services.audit import read_audit
from thalweg.apps.services.knob import DENIED

EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_sqlite_writer_writes_a_hundred_times_as_much_as_durable(monkeypatch):
    writer = example("sqlite_writer")
    monkeypatch.setattr(writer, "LEAST_S", 0.15)
    durable = []
    original = writer.connect

    def connect(path):
        connection = original(path)
        durable.append(connection.execute("PRAGMA synchronous").fetchone()[0])
        durable.append(connection.execute("PRAGMA journal_mode").fetchone()[0])
        return connection

    monkeypatch.setattr(writer, "connect", connect)
    params, best, naive = asyncio.run(writer.tune(12))
    assert set(durable) == {2, "wal"}  # FULL, in every evaluation
    assert best >= 100 * naive and params["batch"] > 10


def test_work_mem_is_turned_in_a_session_and_nothing_that_costs_durability(
    postgres_server, postgres_database, tmp_path
):
    clients = example("postgres_clients")
    address = postgres_server.url(postgres_database)
    asyncio.run(clients.fill(address))
    store = f"sqlite:///{tmp_path / 'audit.db'}"
    tuner = asyncio.run(clients.tune_memory(address, windows=12, store=store))
    tuner.close()
    assert tuner.tally.windows == 12 and tuner.tally.tried >= 1
    touched = {name for line in read_audit(store, "work_mem") for name in line.get("settings", {})}
    assert touched == {"work_mem"} and not touched & DENIED
    said = postgres_server.execute(
        "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
    )
    assert dict(said) == {"fsync": "on", "synchronous_commit": "on"}


def test_clients_are_found_in_twelve_evaluations(postgres_server, postgres_database, monkeypatch):
    clients = example("postgres_clients")
    monkeypatch.setattr(clients, "READS", 200)
    address = postgres_server.url(postgres_database)
    asyncio.run(clients.fill(address))
    result = asyncio.run(clients.tune_clients(address, 12))
    assert result.evaluations == 12 and all(trial.ok for trial in result.trials)
    counts = {trial.params["clients"] for trial in result.trials}
    assert len(counts) >= 4 and counts <= set(range(1, 17))


def test_the_demonstration_says_what_its_gains_are_worth(postgres_server, postgres_database, monkeypatch, capsys):
    """Both answers are measured again beside what they replace, and nothing is claimed that noise may have made."""
    clients = example("postgres_clients")
    for name, value in {"READS": 60, "CLIENTS": 4}.items():
        monkeypatch.setattr(clients, name, value)
    quick = {"tune_clients": {"evaluations": 4}, "tune_memory": {"windows": 6}, "check_clients": {"pairs": 3}}
    for name, options in quick.items():
        monkeypatch.setattr(clients, name, functools.partial(getattr(clients, name), **options))
    asyncio.run(clients.compare(postgres_server.url(postgres_database)))
    said = capsys.readouterr().out
    assert re.search(r"clients read more than one does: by [+-]\d+% .*(it holds|that is not shown)\n", said)
    assert re.search(r"work_mem (stays at \d+ kB|\d+ kB makes more reports than \d+ kB: by )", said)
    assert "synchronous_commit" in said and "deny-list" in said


def test_a_gain_that_noise_may_have_made_is_not_claimed():
    verdict = example("postgres_clients").verdict
    rng = np.random.default_rng(0)
    assert "by +23% (+22% to +23% in 8 pairs)" in verdict("x", np.full(8, 0.2) + rng.normal(0, 0.01, 8))
    assert verdict("x", np.full(8, 0.2) + rng.normal(0, 0.01, 8)).endswith("it holds")
    assert verdict("x", rng.normal(0.02, 0.2, 8)).endswith("that is not shown")
    assert verdict("x", np.full(8, -0.2) + rng.normal(0, 0.01, 8)).endswith("that is not shown")


def test_the_picture_of_live_tuning(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    live = example("live_tuning")
    monkeypatch.setattr(live, "END", 60.0)
    monkeypatch.setattr(live, "LOAD", [(0.0, 1500.0), (20.0, 3000.0)])
    monkeypatch.setattr(sys, "argv", ["live_tuning.py", str(tmp_path / "live.png")])
    live.main()
    assert (tmp_path / "live.png").stat().st_size > 10_000
    assert "live tuner" in capsys.readouterr().out
