"""Names stay apart: subclasses hide nothing of their base by accident, test files have names of their own."""

import ast
from collections import Counter

import pytest
from reading import sources, tree

SEAMS = {
    "parts/strategies": ("core/strategy.py", "Strategy"),
    "parts/evaluators": ("core/evaluator.py", "Evaluator"),
    "parts/stores": ("core/store.py", "Store"),
    "parts/stopping": ("core/stopping.py", "StopRule"),
}


def methods(path, name):
    """Names of the methods and properties of a class."""
    (found,) = [node for node in tree(path).body if isinstance(node, ast.ClassDef) and node.name == name]
    return {node.name for node in found.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def assigned(path):
    """(line, name) of every `self.name = ...` in a class that has a base."""
    for found in ast.walk(tree(path)):
        if isinstance(found, ast.ClassDef) and found.bases:
            yield from _assigned(found)


def _assigned(found):
    for node in ast.walk(found):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for item in ast.walk(target) if isinstance(target, ast.AST) else ():
                own = isinstance(item, ast.Attribute) and isinstance(item.value, ast.Name) and item.value.id == "self"
                if own and isinstance(item.ctx, ast.Store):
                    yield item.lineno, item.attr


def redefined(path):
    """(line, name) of every private method in a class that has a base."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef) and node.bases:
            for item in node.body:
                function = isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
                if function and item.name.startswith("_") and not item.name.startswith("__"):
                    yield item.lineno, item.name


def hidden(package):
    """What hides a method of the seam by accident: `self.name = 3` where the base calls `self.name()`, or a private
    method of the same name.
    """
    found = []
    for folder, (seam, name) in SEAMS.items():
        taken = methods(package / seam, name)
        for path in sources(package / folder):
            own = [*assigned(path), *redefined(path)]
            found += [f"{path.relative_to(package)}:{line}: {item}" for line, item in own if item in taken]
    return found


def test_no_attribute_hides_a_method_of_its_seam(package):
    assert hidden(package) == []


def test_a_hidden_method_is_found(tmp_path):
    for folder, (seam, name) in SEAMS.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / seam).parent.mkdir(exist_ok=True)
        (tmp_path / seam).write_text(f"class {name}:\n    def _mine(self): ...\n    def b(self): ...\n")
    assert hidden(tmp_path) == []
    (tmp_path / "parts/strategies/a.py").write_text(
        "class A(B):\n    def f(self):\n        self.x, self._mine = 1, 2\n"
    )
    (tmp_path / "parts/stores/helper.py").write_text("class A:\n    def f(self):\n        self.b = 1\n")
    (tmp_path / "parts/stores/a.py").write_text(
        "class A(B):\n    def f(self):\n        self.b: int = 2\n        self.b.c = 2\n"
    )
    (tmp_path / "parts/stopping/a.py").write_text("class A(B):\n    def _mine(self): ...\n    def b(self): ...\n")
    assert hidden(tmp_path) == [
        "parts/strategies/a.py:3: _mine",
        "parts/stores/a.py:3: b",
        "parts/stopping/a.py:2: _mine",
    ]


@pytest.mark.parametrize("pattern", ["test_*.py"])
def test_test_files_have_names_of_their_own(root, pattern):
    names = Counter(path.name for path in (root / "tests").rglob(pattern) if not (path.parent / "__init__.py").exists())
    assert [name for name, times in names.items() if times > 1] == []
