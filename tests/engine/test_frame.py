"""A result as a table of pandas."""

from __future__ import annotations

import numpy as np
import pytest

import thalweg as tw

pandas = pytest.importorskip("pandas")


def objective(params):
    if params["x"] > 0.9:
        raise ValueError("too far")
    return {"cost": params["x"] + params.get("n", 10), "error": -params["x"]}


def test_a_result_is_a_frame_with_a_row_per_trial():
    space = {"x": tw.Float(0, 1), "kind": tw.Choice(["a", "b"]), "n": tw.Integer(1, 4, when="kind == 'a'")}
    result = tw.minimize(objective, space, objectives=["cost", "error"], max_evals=40, strategy="sobol", seed=0)
    frame = result.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["number", "x", "kind", "n", "cost", "error", "status", "seconds", "trial_error"]
    assert len(frame) == len(result.trials) == 40
    assert frame["number"].tolist() == [trial.number for trial in result.trials]
    assert frame["x"].dtype == np.float64
    assert frame["x"].tolist() == [trial.params["x"] for trial in result.trials]
    assert frame["n"].isna().tolist() == [trial.params["kind"] == "b" for trial in result.trials]
    failed = frame["status"] == "failed"
    assert failed.tolist() == [trial.params["x"] > 0.9 for trial in result.trials]
    assert 0 < failed.sum() < 40
    assert frame["trial_error"].str.contains("too far").tolist() == failed.tolist()
    done = frame[~failed]
    assert done["error"].tolist() == (-done["x"]).tolist()
    assert (done["cost"] == done["x"] + done["n"].fillna(10)).all()


def test_a_parameter_with_the_objective_s_name_keeps_its_column():
    result = tw.minimize(lambda params: -params["value"], {"value": (0, 3)}, max_evals=9, strategy="grid", seed=0)
    rows = {row["value"]: row["objective_value"] for row in result.rows()}
    assert rows == {0: 0.0, 1: -1.0, 2: -2.0, 3: -3.0} and result.value == -3.0


def test_what_the_first_trial_lacks_has_its_place():
    def fails_first(params):
        if params["kind"] == "b":
            raise ValueError("no")
        return {"cost": params["x"], "size": 3.0}

    space = {"kind": tw.Choice(["a", "b"]), "n": tw.Integer(1, 4, when="kind == 'a'"), "x": tw.Float(0, 1)}
    first = [{"kind": "b", "x": 0.5}, {"kind": "a", "n": 2, "x": 0.25}]
    result = tw.minimize(fails_first, space, objectives=["cost"], max_evals=6, strategy="sobol", initial=first, seed=0)
    order = ["number", "kind", "n", "x", "cost", "size", "status", "seconds", "error"]
    assert list(result.frame().columns) == order
