"""The SQL of this folder's .sql files: named queries, the schema, the migrations."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def queries(file: str = "queries.sql") -> dict[str, str]:
    """Name -> statement, from a file of this folder (a query begins at "-- name: its_name")."""
    found: dict[str, str] = {}
    for block in (_FOLDER / file).read_text(encoding="utf-8").split("-- name: ")[1:]:
        name, _, body = block.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[name.strip()] = "\n".join(lines).strip()
    return found


def schema() -> str:
    """The statements that make an empty file into a store of the newest version."""
    return (_FOLDER / "schema.sql").read_text(encoding="utf-8")


def migrations(folder: Path = _FOLDER / "migrations") -> dict[int, str]:
    """Version -> the script that leads there from the version before."""
    return {int(path.name[:4]): path.read_text(encoding="utf-8") for path in sorted(folder.glob("[0-9]*.sql"))}
