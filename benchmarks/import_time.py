"""What `import thalweg` costs: CPU milliseconds over an empty interpreter, and which modules come with it.

    python benchmarks/import_time.py [--repetitions 9] [--write]

Every import runs in a process of its own, in turns; user and system time of the child, interpreter start included.
The first turn fills the file cache and compiles, to a folder of its own, and is not counted: every package is loaded
from bytecode, whatever PYTHONDONTWRITEBYTECODE says. Bar: 120 ms over an empty interpreter, no SciPy; a test keeps the
ratio to NumPy (tests/house/test_import_is_light.py).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)

FIRST_USE = "thalweg.engine.optimize"
PACKAGES = ("", "numpy", "thalweg", FIRST_USE, "scipy.optimize", "cmaes", "optuna")
BAR_MS = 120.0
HEAVY = ("scipy", "asyncio", "apsw", "msgspec", "psutil", "rich", "cloudpickle", "click", "multiprocessing", "sqlite3")


def cpu_ms(package: str, bytecode: str) -> float:
    """CPU milliseconds of a fresh interpreter that imports `package`, compiled to the folder `bytecode`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-X", f"pycache_prefix={bytecode}", "-c", f"import {package}" if package else "pass"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def modules(package: str) -> list[str]:
    """The modules that are loaded after the import."""
    lines = [
        "import json, sys",
        "before = set(sys.modules)",
        f"import {package or 'sys'}",
        "print(json.dumps(sorted(set(sys.modules) - before)))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/import-time.md")
    given = parser.parse_args()
    seen: dict[str, list[float]] = {name: [] for name in PACKAGES}
    with tempfile.TemporaryDirectory() as bytecode:
        for turn in range(given.repetitions + 1):
            for name in PACKAGES:
                spent = cpu_ms(name, bytecode)
                if turn:
                    seen[name].append(spent)
    empty = min(seen[""])
    middle = _timing.median(seen[""])
    body = []
    loaded = {name: modules(name) for name in PACKAGES}
    for name in PACKAGES:
        least, usual = min(seen[name]) - empty, _timing.median(seen[name]) - middle
        bar = f" ({'within' if usual <= BAR_MS else 'over'} {BAR_MS:.0f})" if name == "thalweg" else ""
        label = "thalweg, `minimize` used" if name == FIRST_USE else name or f"empty interpreter ({middle:.0f} ms)"
        body.append([label, f"{usual:.0f}{bar}", f"{least:.0f}", str(len(loaded[name]) if name else 0)])

    def ratio(name: str) -> float:
        return (min(seen[name]) - empty) / (min(seen["numpy"]) - empty)

    ours = loaded["thalweg"]
    roots = sorted({item.partition(".")[0] for item in ours} - set(sys.stdlib_module_names))
    heavy = [item for item in HEAVY if item in ours]
    own = [item for item in ours if item.startswith("thalweg")]
    text = "\n".join(
        [
            "# What importing costs",
            "",
            f"CPU milliseconds over an empty interpreter: median and minimum of {given.repetitions} interleaved runs.",
            "",
            _timing.table(["", "median", "minimum", "modules"], body),
            "",
            f"`import thalweg` costs {ratio('thalweg'):.2f} times NumPy, NumPy included (by minima); once `minimize` "
            f"or `Study` is used, {ratio(FIRST_USE):.2f} times: the engine comes with its first use.",
            "",
            f"`import thalweg` loads {len(ours)} modules, {len(own)} of them its own; beside the standard library "
            f"only: {', '.join(roots)}. Of the heavy ones ({', '.join(HEAVY)}): {', '.join(heavy) or 'none'}.",
            "",
            f"Measured on {_timing.where('numpy', 'scipy', 'optuna', 'cmaes')}. Reproduce with:",
            "",
            "```",
            "pip install -e . -r benchmarks/requirements.txt",
            f"python benchmarks/import_time.py --repetitions {given.repetitions}",
            "```",
        ]
    )
    _timing.publish("import-time.md", text, given.write)


if __name__ == "__main__":
    main()
