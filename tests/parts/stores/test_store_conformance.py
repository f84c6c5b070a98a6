"""Every store keeps the one contract (PostgreSQL, which needs a server, in tests of its own)."""

from pathlib import Path

import pytest

from thalweg.core.store import Store
from thalweg.parts.stores import open_store
from thalweg.testing.store_suite import CHECKS


def make_store(kind: str, folder: Path, request: pytest.FixtureRequest) -> Store:
    if kind == "postgresql":
        return open_store(request.getfixturevalue("postgres_address"))
    return open_store("memory" if kind == "memory" else f"{kind}:///{folder / 'suite.db'}")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_contract(kind: str, check: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    CHECKS[check](lambda: make_store(kind, tmp_path, request))
