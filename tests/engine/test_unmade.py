"""Studies whose strategy cannot be made here can be looked at; those with options in a text go on."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import thalweg as tw
from thalweg.cli.main import group

SPACE = {"x": (-5.0, 5.0), "y": (-5.0, 5.0)}


class Own(tw.Strategy):
    """In no table."""

    def __init__(self, width=0.5):
        self.width = width

    def propose(self, n):
        return self.rng.random((n, self.dimension)) * self.width

    def learn(self, answers):
        pass


def bowl(params):
    return params["x"] ** 2 + params["y"] ** 2


def made(folder, strategy, evals=12):
    address = f"sqlite:///{folder / 'studies.db'}"
    with tw.Study(SPACE, store=address, name="own", strategy=strategy, seed=0) as study:
        study.run(bowl, max_evals=evals)
    return address


def test_options_of_the_table_s_strategies_are_known_again(tmp_path):
    address = made(tmp_path, tw.Relay("sobol", tw.DE(population=12)))
    with tw.load(address, "own") as study:
        assert "relay(sobol, de(population=12))" in repr(study)
        going_on = study.run(bowl, max_evals=30)
    whole = tw.minimize(bowl, SPACE, strategy=tw.Relay("sobol", tw.DE(population=12)), max_evals=30, seed=0)
    assert going_on.evaluations == whole.evaluations == 30


def test_a_study_goes_on_as_it_was(tmp_path):
    address = made(tmp_path, tw.DE(population=8), 16)
    with tw.load(address, "own") as study:
        heard = []
        study.session.listeners.append(lambda event: heard.append(event))
        study.run(bowl, max_evals=32)
    assert [event.data["how"] for event in heard if event.kind == "resumed"] == ["continued from its snapshot and log"]


def test_a_class_of_ones_own_can_be_looked_at_and_given_again(tmp_path):
    address = made(tmp_path, Own(0.25))
    with tw.load(address, "own") as study:
        assert len(study.trials) == 12 and study.best.value >= 0 and "Own(width=0.25)" in repr(study)
        assert "12 evaluations" in study.explain()
        for call in (lambda: study.run(bowl, max_evals=20), lambda: study.ask(1)):
            with pytest.raises(
                tw.StrategyError, match=r"'own' was made with the strategy Own\(width=0.25\).*strategy="
            ):
                call()
        assert study.store.members(1) == [] or all(not member.alive for member in study.store.members(1))
    with tw.load(address, "own", strategy=Own(0.25)) as study:
        assert study.run(bowl, max_evals=20).evaluations == 20


def test_commands_show_it(tmp_path):
    made(tmp_path, Own())
    store = str(tmp_path / "studies.db")
    run = CliRunner().invoke
    assert "own  12 evaluations" in run(group, ["show", "--store", store]).output
    assert len(json.loads(run(group, ["show", "own", "--json", "--store", store]).output)) == 12
    assert len(run(group, ["export", "own", "--store", store]).output.splitlines()) == 13


@pytest.mark.parametrize("address", ["nowhere.db", "sqlite:///nowhere.db"])
def test_looking_makes_no_file(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tw.StoreError, match=r"there is no store 'nowhere\.db'"):
        tw.load(address, "own")
    shown = CliRunner().invoke(group, ["show", "--store", address])
    assert shown.exit_code == 2 and "there is no store" in shown.output
    assert list(tmp_path.iterdir()) == []


def test_points_are_there(tmp_path):
    address = made(tmp_path, Own())
    with tw.load(address, "own") as study:
        assert np.isfinite([trial.value for trial in study.trials]).all()
