"""Every store keeps the one contract."""

from pathlib import Path

import pytest

from thalweg.core.store import Store
from thalweg.parts.stores import STORES, open_store
from thalweg.testing.store_suite import CHECKS


def make_store(kind: str, folder: Path) -> Store:
    return open_store("memory" if kind == "memory" else f"{kind}:///{folder / 'suite.db'}")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", STORES)
def test_contract(kind: str, check: str, tmp_path: Path) -> None:
    CHECKS[check](lambda: make_store(kind, tmp_path))
