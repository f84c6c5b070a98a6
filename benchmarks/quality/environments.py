"""One virtual environment per group of rivals, since their requirements contradict each other.

    python -m benchmarks.quality.environments classic nevergrad      makes (or completes) them
    python -m benchmarks.quality.environments --list                 says what is there, and its size

They lie in .venv-bench-NAME beside the sources, or in THALWEG_ENVIRONMENTS/NAME. `run` starts a rival in its group's
environment; those of `classic`, and thalweg, run in the interpreter that runs the harness.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def groups() -> list[str]:
    """The names of the groups: those with a file of requirements."""
    return sorted(path.stem for path in (HERE / "requirements").glob("*.txt"))


def home(group: str) -> Path:
    """Where a group's environment lies."""
    given = os.environ.get("THALWEG_ENVIRONMENTS")
    return Path(given) / group if given else ROOT / f".venv-bench-{group}"


def python_of(group: str) -> str:
    """The interpreter that runs this group's rivals.

    Raises:
        SystemExit: the environment has not been made.
    """
    if group == "classic":
        return sys.executable
    path = home(group) / "bin" / "python"
    if not path.exists():
        raise SystemExit(f"{path} is missing; make it with: python -m benchmarks.quality.environments {group}")
    return str(path)


def make(group: str) -> None:
    """Create the environment where it is missing, and install what it requires."""
    if group not in groups():
        raise SystemExit(f"unknown group {group!r}; known: {', '.join(groups())}")
    if not (home(group) / "bin" / "python").exists():
        venv.create(home(group), with_pip=True)
    pip = [str(home(group) / "bin" / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "-r", str(HERE / "requirements" / f"{group}.txt")], check=True)
    if group == "classic":
        subprocess.run([*pip, "-e", str(ROOT)], check=True)


def megabytes(group: str) -> float:
    """The size of the environment's packages on disk."""
    return sum(path.stat().st_size for path in home(group).rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main() -> None:
    """Make, or list."""
    parser = argparse.ArgumentParser(prog="benchmarks.quality.environments")
    parser.add_argument("groups", nargs="*", help=", ".join(groups()))
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    for group in args.groups:
        make(group)
    if args.list or not args.groups:
        for group in groups():
            there = home(group).exists()
            print(f"{group:10s} {home(group)} {f'{megabytes(group):.0f} MB' if there else '(not made)'}")


if __name__ == "__main__":
    main()
