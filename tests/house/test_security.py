"""What reads stored or foreign data never runs it. Every rule is also seen to fail on a planted violation."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

RUNS = {"eval", "exec", "compile", "__import__", "execfile"}
"""Built-in functions that make code of text."""
SERIAL = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "yaml", "jsonpickle"}
"""Libraries whose reading can run code."""
SHELLS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}
IMPORTS = {("importlib", "import_module"), ("runpy", "run_path"), ("runpy", "run_module")}

ALLOWED = {
    "parts/evaluators/_wire.py": {"pickle"},  # from this process to its workers, over a socket without a name
    "parts/evaluators/process.py": {"cloudpickle"},  # writes the objective for the workers; reads nothing
    "parts/evaluators/_ray_flight.py": {"pickle"},  # Ray's transport, only where the user asks for Ray
    "parts/evaluators/_ray_host.py": {"pickle"},
    "parts/evaluators/ray.py": {"pickle", "cloudpickle"},
    "parts/evaluators/_supervisor.py": {"import_module"},  # `preload`, an argument of the user's own
    "__init__.py": {"import_module"},  # the public names, from a table
    "cli/main.py": {"import_module"},  # the commands, from a table
    "core/registry.py": {"import_module"},  # parts by name, from a table
    "engine/worker.py": {"import_module"},  # `thalweg worker MODULE:FUNCTION`: the user's own command line
    "apps/functions/workers.py": {"cloudpickle"},  # writes functions for its workers; reads through their own pipe
    "apps/market_backtest/forecasters.py": {"import_module"},  # a forecaster of the user's own, as module:Class
}
"""file -> what it may use, and why."""
UNPICKLES = {
    "parts/evaluators/_wire.py": {"unpack_job", "loads"},  # both run in a worker, on what its parent wrote
    "parts/evaluators/_ray_flight.py": None,
    "parts/evaluators/_ray_host.py": None,
    "parts/evaluators/ray.py": None,
}
"""file -> the functions that may unpickle (None: any)."""


def findings(path: Path) -> set[tuple[str, int]]:
    """(what, line) of everything in a file that could run data."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[tuple[str, int]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(name, node.lineno) for alias in node.names if (name := alias.name.split(".")[0]) in SERIAL}
        elif isinstance(node, ast.ImportFrom) and (name := (node.module or "").split(".")[0]) in SERIAL | {"runpy"}:
            found.add((name, node.lineno))
        elif isinstance(node, ast.ImportFrom) and node.module == "importlib":
            found |= {("import_module", node.lineno) for alias in node.names if alias.name == "import_module"}
        elif isinstance(node, ast.keyword) and node.arg in ("shell", "preexec_fn"):
            found.add((node.arg, node.value.lineno))
        elif isinstance(node, ast.Call):
            found |= _calls(node)
    return found


def _calls(node: ast.Call) -> set[tuple[str, int]]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in RUNS:
        return {(function.id, node.lineno)}
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        pair = (function.value.id, function.attr)
        named = bool(node.args) and isinstance(node.args[0], ast.Constant)  # a fixed name is no data
        if pair in IMPORTS and not named:
            return {("import_module", node.lineno)}
        if pair in SHELLS:
            return {(function.attr, node.lineno)}
        allows = any(item.arg == "allow_pickle" and not _false(item.value) for item in node.keywords)
        if pair == ("np", "load") and allows:
            return {("allow_pickle", node.lineno)}
    return set()


def _false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def unpickling(path: Path) -> set[str]:
    """The functions of a file that call `pickle.load(s)` or the like."""
    found = set()
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                target = node.func if isinstance(node, ast.Call) else None
                reads = isinstance(target, ast.Attribute) and target.attr in ("load", "loads", "Unpickler")
                if reads and isinstance(target.value, ast.Name) and target.value.id in SERIAL:
                    found.add(function.name)
    return found


def broken(package: Path) -> list[str]:
    """Every use that is not allowed."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        may = ALLOWED.get(name, set())
        wrong += [f"{name}:{line} {what}" for what, line in sorted(findings(path)) if what not in may]
        by = UNPICKLES.get(name, set())
        wrong += [
            f"{name} unpickles in {item}" for item in sorted(unpickling(path)) if by is not None and item not in by
        ]
    return wrong


def test_nothing_runs_data(package: Path) -> None:
    assert broken(package) == []


def test_nothing_is_allowed_that_is_not_used(package: Path) -> None:
    for name, may in ALLOWED.items():
        if (package / name).exists() and "ray" not in name and "apps" not in name:
            assert {what for what, _ in findings(package / name)} == may, name


def test_no_store_can_run_anything(package: Path) -> None:
    """Not even what is allowed elsewhere: whoever reads a store has none of it."""
    places = ("parts/stores", "watch", "core")
    for path in itertools.chain(*(sorted((package / place).rglob("*.py")) for place in places)):
        if path.name != "registry.py":
            assert findings(path) == set(), path


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "exec(text)",
        "compile(text, '', 'exec')",
        "__import__(name)",
        "import pickle",
        "def f():\n    import cloudpickle as c",
        "from pickle import loads",
        "import yaml",
        "from importlib import import_module",
        "import importlib\nimportlib.import_module(name)",
        "import os\nos.system(text)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import subprocess\nsubprocess.Popen(text, preexec_fn=f)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
    ],
)
def test_a_planted_violation_is_seen(code: str, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(code)
    assert broken(tmp_path)


def test_a_planted_unpickling_is_seen(tmp_path: Path) -> None:
    (tmp_path / "parts" / "evaluators").mkdir(parents=True)
    (tmp_path / "parts" / "evaluators" / "_wire.py").write_text(
        "import pickle\ndef read(x):\n    return pickle.loads(x)"
    )
    assert broken(tmp_path) == ["parts/evaluators/_wire.py unpickles in read"]


def test_what_only_looks_like_it_is_left_alone(tmp_path: Path) -> None:
    lines = ["import importlib, json, re", "re.compile('x')", "result.eval()", "json.loads('1')", "'eval(1)'"]
    (tmp_path / "fine.py").write_text("\n".join([*lines, "importlib.import_module('numba')"]))
    assert broken(tmp_path) == []
