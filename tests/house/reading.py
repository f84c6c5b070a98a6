"""Reads source files without running them: imports, lengths, docstrings."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """`module` (absolute, dotted) imported by `file` (relative to the package) at `line`; lazy: inside a function."""

    file: str
    line: int
    module: str
    lazy: bool

    def __str__(self):
        return f"{self.file}:{self.line} imports {self.module}"


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def sources(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def imports(package: Path) -> list[Import]:
    """Every import below `package` (its folder name is the import name), type-only ones left out."""
    found = []
    for path in sources(package):
        where = path.relative_to(package.parent).with_suffix("").parts
        here = where[:-1]  # relative imports start from the folder
        _collect(tree(path), path.relative_to(package).as_posix(), here, package, False, found)
    return found


def _collect(node, file, here, package, lazy, found):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found += [Import(file, child.lineno, alias.name, lazy) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found += _from(child, file, here, package, lazy)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for rest in child.orelse:
                _collect(rest, file, here, package, lazy, found)
        else:
            inside = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            _collect(child, file, here, package, inside, found)


def _from(node, file, here, package, lazy):
    base = list(here[: len(here) - node.level + 1]) if node.level else []
    base += node.module.split(".") if node.module else []
    made = []
    for alias in node.names:
        inner = package.parent.joinpath(*base, alias.name)
        # `from .. import watch` imports the sub-package, `from ..watch import plot` the module before it
        is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
        made.append(Import(file, node.lineno, ".".join([*base, alias.name] if is_module else base), lazy))
    return made


def functions(path: Path):
    """(qualified name, lines without the docstring) of every function, methods and nested ones included."""

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{prefix}{child.name}", _length(child)
                yield from visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from visit(child, f"{prefix}{child.name}.")
            else:
                yield from visit(child, prefix)

    yield from visit(tree(path), "")


def _length(node):
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        first = node.body[0]
        lines -= first.end_lineno - first.lineno + 1
    return lines


def undocumented(path: Path):
    """Public modules, classes, functions and methods without a docstring. An override inherits its contract."""

    def visit(node, prefix, bases):
        for child in node.body:
            if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or child.name.startswith(
                "_"
            ):
                continue
            name = f"{prefix}{child.name}"
            if not ast.get_docstring(child) and not (bases and not isinstance(child, ast.ClassDef)):
                yield name
            if isinstance(child, ast.ClassDef):
                yield from visit(child, f"{name}.", child.bases)

    if not ast.get_docstring(tree(path)):
        yield "the module"
    yield from visit(tree(path), "", [])
