"""Every store keeps the one contract (PostgreSQL, which needs a server, in tests of its own)."""

from pathlib import Path
from typing import Any

import pytest

from thalweg.core.store import Store
from thalweg.parts.stores import open_store
from thalweg.testing.store_suite import CHECKS


def make_store(kind: str, folder: Path, request: pytest.FixtureRequest, **options: Any) -> Store:
    if kind == "postgresql":
        return open_store(request.getfixturevalue("postgres_address"), **options)
    return open_store("memory" if kind == "memory" else f"{kind}:///{folder / 'suite.db'}", **options)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_contract(kind: str, check: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    CHECKS[check](lambda **options: make_store(kind, tmp_path, request, **options))
