"""Floors are the folder names and imports only go down. Every rule is also seen to fail on a planted violation."""

import pytest
from reading import imports, sources

FLOORS = {
    "numerics": 0,
    "core": 1,
    "parts": 2,
    "watch": 2,
    "testing": 4,  # beside the house: suites and problems; only commands may lean on it
    "engine": 3,
    "apps": 4,
    "compat": 5,  # faces, also of the apps
    "integrations": 4,
    "cli": 6,
    "__init__": 7,
    "__main__": 7,
}

HEAVY = {
    "apsw": ("parts/stores/",),
    "cloudpickle": ("parts/evaluators/", "apps/functions/"),
    "click": ("cli/",),
    "matplotlib": ("watch/plots.py",),
    "pandas": ("engine/", "compat/marketsim/"),
    "psutil": ("parts/evaluators/", "watch/", "testing/", "cli/"),
    "pyppmd": ("apps/",),
    "rich": ("watch/progress.py", "cli/"),
    "torch": ("apps/models/",),
    "ray": ("parts/evaluators/ray.py",),
    "psycopg": ("parts/stores/",),
    "starlette": ("watch/dashboard/",),
}
"""A heavy library -> where it may be imported at all."""

LAZY = {"asyncio", "msgspec", "scipy", "rich", "psutil", "matplotlib", "pandas", "cloudpickle", "torch", "ray"}
"""Imported inside functions only, wherever the file is part of what `import thalweg` may load."""


def floor_of(file):
    return file.split("/")[0].removesuffix(".py")


def inside(found, package):
    """(import, the floor it reaches, its dotted rest) for imports of the package itself."""
    for item in found:
        root, _, rest = item.module.partition(".")
        if root == package.name:
            yield item, rest.split(".")[0], rest


def unknown_floors(package):
    folders = {path.relative_to(package).parts[0] for path in sources(package) if path.parent != package}
    return sorted(folders - set(FLOORS))


def upward(package):
    return [
        str(item)
        for item, target, _ in inside(imports(package), package)
        if target and floor_of(item.file) != target and FLOORS.get(target, 99) >= FLOORS.get(floor_of(item.file), 0)
    ]


def of_root(package):
    own = {"__init__.py", "__main__.py"}
    return [str(item) for item, target, _ in inside(imports(package), package) if not target and item.file not in own]


def between_kinds(package):
    found = []
    for item, target, rest in inside(imports(package), package):
        here, there = item.file.split("/"), rest.split(".")
        # parts/__init__.py is the shelf itself
        if target == "parts" and here[0] == "parts" and len(here) > 2 and len(there) > 1 and here[1] != there[1]:
            found.append(str(item))
    return found


def misplaced_libraries(package):
    return [
        str(item)
        for item in imports(package)
        if (allowed := HEAVY.get(item.module.split(".")[0])) and not item.file.startswith(allowed)
    ]


def eager_libraries(package):
    """Heavy imports at module level on the floors that `import thalweg` loads without being asked."""
    always = ("numerics/", "core/", "watch/", "engine/", "__init__.py")
    later = ("core/stored.py",)  # of stores; that `import thalweg` does not load it, test_import_is_light says
    return [
        str(item)
        for item in imports(package)
        if not item.lazy
        and item.module.split(".")[0] in LAZY
        and item.file.startswith(always)
        and not item.file.startswith(later)
    ]


RULES = [unknown_floors, upward, of_root, between_kinds, misplaced_libraries, eager_libraries]


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_the_rule(rule, package):
    assert rule(package) == []


@pytest.mark.parametrize(
    ("rule", "file", "line"),
    [
        (unknown_floors, "attic/x.py", "pass"),
        (upward, "numerics/a.py", "from ..core.batch import Answers"),
        (upward, "core/a.py", "import thalweg.engine.study"),
        (upward, "watch/a.py", "from ..parts.stores import open_store"),
        (upward, "parts/strategies/a.py", "from ...watch import spans"),
        (upward, "engine/a.py", "def f():\n    from ..apps import programs"),
        (upward, "engine/a.py", "from ..testing import problems"),
        (upward, "apps/a.py", "from thalweg.cli.main import main"),
        (of_root, "apps/a.py", "import thalweg"),
        (of_root, "apps/a.py", "from thalweg import Study"),
        (of_root, "engine/a.py", "from .. import Study"),
        (of_root, "engine/a.py", "def f():\n    import thalweg as tw"),
        (between_kinds, "parts/strategies/a.py", "from ..stores.memory import MemoryStore"),
        (between_kinds, "parts/stores/a.py", "def f():\n    from thalweg.parts import evaluators"),
        (misplaced_libraries, "engine/a.py", "def f():\n    import matplotlib.figure"),
        (misplaced_libraries, "parts/strategies/a.py", "import apsw"),
        (eager_libraries, "core/a.py", "from scipy import optimize"),
        (eager_libraries, "engine/a.py", "try:\n    import asyncio\nexcept ImportError:\n    pass"),
    ],
)
def test_a_planted_violation_is_found(rule, file, line, tmp_path):
    package = tmp_path / "thalweg"
    for folder in (
        "core",
        "engine",
        "apps",
        "watch",
        "testing",
        "cli",
        "parts/stores",
        "parts/strategies",
        "parts/evaluators",
    ):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").write_text("")
    (package / "apps" / "programs").mkdir()
    (package / "watch" / "spans.py").write_text("")
    assert rule(package) == []
    (package / file).parent.mkdir(parents=True, exist_ok=True)
    (package / file).write_text(line + "\n")
    assert len(rule(package)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("engine/a.py", "from ..watch.spans import Spans"),
        ("core/a.py", "def f():\n    from scipy import optimize"),
        ("core/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..engine.study import Study"),
        ("parts/strategies/a.py", "from ._base import x\nfrom ...core.batch import Answers"),
        ("watch/plots.py", "def f():\n    from matplotlib.figure import Figure"),
        ("__init__.py", "from .engine.study import Study"),
    ],
)
def test_what_is_allowed_is_not_found(file, line, tmp_path):
    package = tmp_path / "thalweg"
    for folder in ("core", "engine", "watch", "parts/strategies"):
        (package / folder).mkdir(parents=True)
    (package / file).write_text(line + "\n")
    assert [rule(package) for rule in RULES] == [[]] * len(RULES)


def cycles(package):
    """Modules that import each other at module level, directly or around corners."""
    graph = {}
    for item in imports(package):
        if not item.lazy:
            name = ".".join([package.name, *item.file.removesuffix(".py").split("/")]).removesuffix(".__init__")
            graph.setdefault(name, set()).add(item.module)
    done, stack, found = set(), [], []

    def visit(name):
        if name in stack:
            found.append(" -> ".join([*stack[stack.index(name) :], name]))
        elif name not in done:
            stack.append(name)
            for other in sorted(graph.get(name, ())):
                if other != name:
                    visit(other)
            stack.pop()
            done.add(name)

    for name in sorted(graph):
        visit(name)
    return found


def test_there_are_no_cycles(package):
    assert cycles(package) == []


def test_a_planted_cycle_is_found(tmp_path):
    package = tmp_path / "thalweg"
    (package / "core").mkdir(parents=True)
    for here, there in (("a", "b"), ("b", "c"), ("c", "a")):
        (package / "core" / f"{here}.py").write_text(f"from .{there} import x\n")
    assert cycles(package) == ["thalweg.core.a -> thalweg.core.b -> thalweg.core.c -> thalweg.core.a"]
