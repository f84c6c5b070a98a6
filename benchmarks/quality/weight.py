"""What a package weighs: CPU seconds and memory of its import, and the megabytes that installing it takes.

    python -m benchmarks.quality.weight

measures each package in the environment of its group, with everything that it requires, and writes
benchmarks/results/weight.csv. Environments that have not been made are left out.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys

from .environments import ROOT, home, python_of

TABLE = ROOT / "benchmarks" / "results" / "weight.csv"
PACKAGES = (
    # package, module that a user imports, group
    ("thalweg", "thalweg", "classic"),
    ("numpy", "numpy", "classic"),
    ("scipy", "scipy.optimize", "classic"),
    ("nlopt", "nlopt", "classic"),
    ("optuna", "optuna", "classic"),
    ("cma", "cma", "classic"),
    ("cmaes", "cmaes", "classic"),
    ("fcmaes", "fcmaes.optimizer", "classic"),
    ("pymoo", "pymoo.algorithms.moo.nsga2", "classic"),
    ("pybads", "pybads", "classic"),
    ("rustuna", "rustuna", "rustuna"),
    ("nevergrad", "nevergrad", "nevergrad"),
    ("smac", "smac", "smac"),
    ("HEBO", "hebo.optimizers.hebo", "hebo"),
    ("botorch", "botorch", "torch"),
    ("ax-platform", "ax.api.client", "torch"),
)
IMPORT = """
import resource, sys, time
start = time.process_time()
__import__(sys.argv[1])
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
SIZE = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
seen, todo, total = set(), [sys.argv[1]], 0
while todo:
    name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
    if name in seen:
        continue
    seen.add(name)
    try:
        found = distribution(name)
    except PackageNotFoundError:
        continue
    for file in found.files or ():
        path = found.locate_file(file)
        total += path.stat().st_size if path.is_file() else 0
    for line in found.requires or ():
        if "extra ==" not in line:
            todo.append(re.match(r"[A-Za-z0-9._-]+", line).group())
print(json.dumps([distribution(sys.argv[1]).version, total / 1e6, len(seen)]))
"""


def weigh(package: str, module: str, group: str) -> dict[str, object]:
    """One row: version, CPU seconds and megabytes of the import (best of three), megabytes and packages installed."""
    python = python_of(group)
    runs = [
        [
            float(word)
            for word in subprocess.run(
                [python, "-c", IMPORT, module], capture_output=True, text=True, check=True
            ).stdout.split()[-2:]
        ]
        for _ in range(3)
    ]
    said = subprocess.run([python, "-c", SIZE, package], capture_output=True, text=True, check=True).stdout
    version, size, count = json.loads(said)
    if package == "thalweg":  # installed in place here: its own files are the sources'
        size += sum(path.stat().st_size for path in (ROOT / "src" / "thalweg").rglob("*.py")) / 1e6
    return {
        "package": package,
        "version": version,
        "import_cpu_s": round(min(run[0] for run in runs), 3),
        "import_rss_mb": round(min(run[1] for run in runs)),
        "installed_mb": round(size),
        "packages": count,
    }


def weight_table() -> list[str]:
    """Lines of the table, from the file that `main` wrote; none where there is none."""
    if not TABLE.exists():
        return []
    with TABLE.open() as file:
        rows = list(csv.DictReader(file))
    lines = ["| package | version | import, CPU s | after it, MB | installed, MB | packages with it |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    return lines + ["| " + " | ".join(row.values()) + " |" for row in rows]


def main() -> None:
    """Measure what is there."""
    rows = []
    for package, module, group in PACKAGES:
        if group != "classic" and not home(group).exists():
            print(f"{package}: environment {group} is missing", file=sys.stderr)
            continue
        try:
            rows.append(weigh(package, module, group))
        except subprocess.CalledProcessError as error:
            print(f"{package}: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        print(rows[-1], flush=True)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
