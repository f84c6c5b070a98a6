"""`thalweg show` and `thalweg export` of studies with noise: what to use, and which rows are replicates."""

from __future__ import annotations

import csv
import io

import numpy as np
from click.testing import CliRunner

import thalweg as tw
from thalweg.cli.export import export
from thalweg.cli.show import show


def stored(tmp_path, **how):
    file = tmp_path / "a.db"
    rng = np.random.default_rng(0)
    with tw.Study({"x": (-5.0, 5.0)}, store=file, name="a", strategy="random", seed=0, **how) as study:
        study.run(lambda p: p["x"] ** 2 + (rng.standard_normal() if how else 0.0), max_evals=40)
        return str(file), study.recommend()


def test_noisy_studies_show_a_recommendation(tmp_path):
    file, said = stored(tmp_path, noisy=True)
    done = CliRunner().invoke(show, ["a", "--store", file])
    assert done.exit_code == 0, done.output
    line = next(line for line in done.output.splitlines() if line.startswith("recommended:"))
    assert f"{said.value:.6g}" in line and "95 %" in line and str(said.params["x"])[:6] in line


def test_others_do_not(tmp_path):
    file, _ = stored(tmp_path)
    done = CliRunner().invoke(show, ["a", "--store", file])
    assert done.exit_code == 0 and "recommended" not in done.output


def test_exported_rows_say_which_are_replicates(tmp_path):
    file, _ = stored(tmp_path, repeats=2, noisy=True)
    done = CliRunner().invoke(export, ["a", "--store", file])
    rows = list(csv.DictReader(io.StringIO(done.output)))
    assert len(rows) == 40 and [row["replicate"] for row in rows] == ["0", "1"] * 20
