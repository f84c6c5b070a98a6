"""Files and functions stay readable: the limits of the house, and that they are measured right."""

import statistics

from reading import functions, sources, undocumented

LONGEST_FILE, MEDIAN_FILE = 500, 200
LONGEST_FUNCTION, USUAL_FUNCTION = 80, 35  # without the docstring; nine of ten functions keep to the second


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files(package):
    sizes = {path.relative_to(package).as_posix(): lines(path) for path in sources(package)}
    assert {name: size for name, size in sizes.items() if size > LONGEST_FILE} == {}
    assert statistics.median(size for size in sizes.values() if size > 5) <= MEDIAN_FILE


def test_functions(package):
    sizes = {f"{path.relative_to(package)}:{name}": size for path in sources(package) for name, size in functions(path)}
    assert {name: size for name, size in sizes.items() if size > LONGEST_FUNCTION} == {}
    assert sorted(sizes.values())[int(0.9 * len(sizes))] <= USUAL_FUNCTION


def test_everything_public_has_a_docstring(package):
    missing = [
        f"{path.relative_to(package)}: {name}"
        for path in sources(package)
        if not path.name.startswith("_") or path.name == "__init__.py"
        for name in undocumented(path)
    ]
    assert missing == []


def test_lengths_are_measured_without_docstrings(tmp_path):
    path = tmp_path / "a.py"
    path.write_text('class A:\n    def f(self):\n        """One.\n\n        Two."""\n        x = 1\n        return x\n')
    assert list(functions(path)) == [("A.f", 3)]


def test_missing_docstrings_are_found(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "class A:\n    def f(self): ...\n    def _g(self): ...\n\ndef h(): ...\n\nclass B(A):\n"
        '    """Says something."""\n    def f(self): ...\n'
    )
    assert list(undocumented(path)) == ["the module", "A", "A.f", "h"]
