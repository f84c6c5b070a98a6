import pytest

import thalweg as tw
from thalweg.core.problem import Problem, constraints_of, objectives_of
from thalweg.engine.identity import fingerprint, make_seed, study_spec
from thalweg.parts.strategies import make_strategy


def problem(space=None, objectives=None, version="1", constraints=None):
    made = tw.Space(space or {"x": tw.Float(0, 1)})
    return Problem(made, objectives_of(objectives), constraints_of(constraints), False, None, version)


def test_seeds():
    assert make_seed(5) == 5 and 0 <= make_seed(None) < 2**63 and make_seed(None) != make_seed(None)
    for bad in (-1, 1.5, True, "1"):
        with pytest.raises(tw.ProblemError, match="seed"):
            make_seed(bad)


def test_a_specification_makes_the_same_space():
    spec = study_spec(problem(), make_strategy("de"), 3, 1, "mean", False)
    assert tw.Space.from_spec(spec["space"]).spec() == spec["space"]
    assert spec["strategy"] == "de" and spec["seed"] == 3


def test_fingerprints_tell_what_results_depend_on():
    base = fingerprint(problem())
    assert base == fingerprint(problem()) and len(base) == 32
    assert fingerprint(problem(version=None)) == ""
    others = [
        problem({"x": tw.Float(0, 2)}), problem({"y": tw.Float(0, 1)}), problem(objectives={"value": "maximize"}),
        problem(version="2"), problem(constraints="a <= 1"),
    ]  # fmt: skip
    assert len({base, *map(fingerprint, others)}) == 6
