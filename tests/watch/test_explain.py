import re

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.watch.data import Column, RunData
from thalweg.watch.explain import explain
from thalweg.watch.spans import Spans
from thalweg.watch.suggest import at_edge, suggestions


def bowl(n=200, centre=0.5, seed=0, **more):
    x = np.random.default_rng(seed).random(n)
    data = RunData(
        np.abs(x - centre)[:, None],
        np.full(n, Status.DONE, dtype=np.int8),
        np.full(n, 0.1),
        [Column("x", x, low=0, high=1)],
        **more,
    )
    return data


def test_every_section_speaks(making):
    data = making(140)
    data.cached = 60
    text = explain(data)
    assert "140 evaluations" in text and "stopped: max_evals reached" in text
    assert "tpe: mixed space, budget below 1000" in text
    assert "60 proposals (30%) were known already" in text
    assert "objective 80 %" in text and "one evaluation: median 1" in text
    bad = data.count(Status.FAILED)
    assert f"{bad} of 140 ({bad / 140:.0%}) failed" in text and "timed out" in text
    assert f"{bad} x ValueError: no convergence after 3 steps" in text
    assert "what explains loss, one after the other (by rank): depth " in text


def test_messages_are_grouped_without_what_differs():
    data = bowl(30)
    data.statuses[:20] = Status.FAILED
    data.values[:20] = np.nan
    data.errors = {i: f"OSError: '/tmp/run-{i}' at 0x{i:08x}" for i in range(15)}
    data.errors |= dict.fromkeys(range(15, 20), "ValueError: \x1b[31mred")
    text = explain(data)
    assert "15 x OSError: '/tmp/run-0'" in text
    assert "5 x ValueError: \\x1b[31mred" in text
    assert "67% of the evaluations failed: exclude" in text


def test_failures_are_traced_to_the_parameter():
    data = bowl(200)
    other = np.random.default_rng(1).integers(0, 2, 200).astype(float)
    data.columns.append(Column("mode", other, "choice", options=("slow", "fast")))
    bad = data.columns[1].values == 1
    data.statuses[bad] = Status.FAILED
    data.values[bad] = np.nan
    text = explain(data)
    assert "mode alone tells" in text and "fast 100%, slow 0%" in text
    assert "mode alone" not in explain(bowl(200))


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (lambda x: x > 0.7, "100% from 0.7 on, 0% below"),
        (lambda x: x < 0.2, "100% up to 0.2, 0% above"),
        (lambda x: (x > 0.4) & (x < 0.6), "100% from 0.4 to 0.6, 0% elsewhere"),
    ],
)
def test_where_failures_begin_and_end(fails, said):
    data = bowl(2000)
    bad = fails(data.columns[0].values)
    data.statuses[bad] = Status.FAILED
    data.values[bad] = np.nan
    said_here = next(line for line in explain(data).splitlines() if "alone tells" in line)
    numbers = [float(word) for word in re.findall(r"(?<= )0\.\d+", said_here)]
    shape = re.sub(r"(?<= )0\.\d+", "#", said_here)
    assert shape.endswith(re.sub(r"(?<= )0\.\d+", "#", said))
    assert numbers == pytest.approx([float(word) for word in re.findall(r"(?<= )0\.\d+", said)], abs=0.01)


def test_the_least_violation_is_named_where_nothing_is_allowed():
    data = bowl(30)
    data.violations = np.linspace(3, 1, 30)
    assert "nearest to what is allowed: trial 29, violated by 1 in all" in explain(data)
    data.violations[4] = 0
    assert "nearest" not in explain(data)


def test_several_objectives_are_not_sent_to_strategies_for_one(making):
    for objectives in (1, 2):
        data = making(objectives=objectives)
        data.strategy, data.spans = "bayesian", Spans(wall_s=10.0)
        data.spans.add("strategy", 9.0)
        text = next(text for text in suggestions(data) if "lighter" in text)
        assert ("'nsga2'" in text) == (objectives == 2) and ("'de'" in text) == (objectives == 1)


@pytest.mark.parametrize(("centre", "side"), [(0.0, "lower"), (1.0, "upper"), (0.5, None)])
def test_edges(centre, side):
    data = bowl(2000, centre)
    assert [which for _, which in at_edge(data)] == ([side] if side else [])
    assert any("widen x" in text for text in suggestions(data)) == (side is not None)
    assert ("lies at its" in explain(data)) == (side is not None)


def test_a_parameter_that_does_not_matter_has_no_edge():
    data = bowl(2000, 0.5)
    data.columns.append(Column("idle", np.where(data.values[:, 0] < 0.1, 1.0, 0.5), low=0, high=1))
    assert at_edge(data) == []


def test_only_the_first_line_of_a_message_counts():
    data = bowl(30)
    data.statuses[:10] = Status.FAILED
    data.values[:10] = np.nan
    data.errors = {i: f"ValueError: no\n  in f, line {'x' * i}" for i in range(10)}
    assert "10 x ValueError: no\n" in explain(data) + "\n"


def test_edges_on_a_log_scale():
    rate = 10 ** np.random.default_rng(0).uniform(-6, 0, 2000)
    data = bowl(2000)
    data.columns = [Column("rate", rate, log=True, low=1e-6, high=1)]
    data.values = rate[:, None]
    assert [which for _, which in at_edge(data)] == ["lower"]
    data.values = np.abs(np.log10(rate) + 3)[:, None]  # 0.001 is next to 0 on a linear scale, the middle here
    assert at_edge(data) == []


def test_a_flat_objective_is_named():
    data = bowl(50)
    data.values[:] = 4.0
    assert any(text.startswith("all 50 values are 4: the objective does not depend") for text in suggestions(data))
    assert not any("does not depend" in text for text in suggestions(bowl(50)))


def test_repeats_are_counted_unless_noisy():
    data = bowl(40)
    data.columns[0].values[20:] = data.columns[0].values[:20]
    assert "20 of 40 evaluations repeated" in explain(data)
    data.noisy = True
    assert "repeated" not in explain(data)


def test_inactive_rows_repeat_too():
    data = bowl(4)
    data.columns[0].values[:] = [np.nan, np.nan, 0.0, -0.0]
    assert "2 of 4 evaluations repeated" in explain(data)


def test_more_or_fewer_evaluations():
    late = bowl(100, budget=100)
    late.values[:] = np.arange(100.0)[::-1, None]
    assert any(
        "more evaluations: the best value came at 100% of the budget of 100" in text for text in suggestions(late)
    )
    early = bowl(300)
    early.values[:] = 5 + np.arange(300.0)[:, None] % 7
    early.values[2] = 1.0
    assert any(
        "last 297 of 300" in text and "Plateau(50)" in text and "after 53" in text for text in suggestions(early)
    )


def test_a_slow_tail_suggests_a_deadline():
    data = bowl(100)
    data.seconds[:5] = 60.0
    (text,) = [text for text in suggestions(data) if "eval_timeout" in text]
    assert "5 evaluations took over 5 times the median" in text and "eval_timeout=0.5" in text
    assert not any("eval_timeout" in text for text in suggestions(bowl(100)))


@pytest.mark.parametrize(
    ("wall_s", "workers", "seconds", "word"),
    [
        (10, 1, {"objective": 1, "transport": 8}, "sending work takes 80%"),
        (10, 1, {"objective": 1, "strategy": 8}, "the strategy takes 80%"),
        (10, 1, {"objective": 1, "store": 8}, "the store takes 80%"),
        (10, 4, {"objective": 10}, "4 workers were idle 75%"),
        (20, 1, {"objective": 20}, "workers=2 gives at most 2.0x"),
    ],
)
def test_bottlenecks_have_their_own_advice(wall_s, workers, seconds, word):
    spans = Spans(wall_s, workers)
    for stage, amount in seconds.items():
        spans.add(stage, amount)
    advice = [text for text in suggestions(bowl(30, spans=spans)) if "of the time" in text]
    assert len(advice) == 1 and word in advice[0]


def test_nothing_to_say_about_nothing():
    empty = RunData(np.empty((0, 1)), np.empty(0, dtype=np.int8), np.empty(0))
    assert explain(empty) == "0 evaluations, 0 usable"
    assert suggestions(empty) == []


def test_several_objectives(making):
    assert "trials on the Pareto front" in explain(making(100, objectives=2))
