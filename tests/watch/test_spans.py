import pytest

from thalweg.watch.spans import STAGES, Spans


def spans(wall_s=0.0, workers=1, **seconds):
    made = Spans(wall_s, workers)
    for stage, amount in seconds.items():
        made.add(stage, amount)
    return made


@pytest.mark.parametrize(
    "made",
    [
        spans(10, objective=9.1, strategy=0.4, store=0.1),
        spans(10, 4, objective=30, strategy=2),
        spans(10, 4, objective=40, strategy=2),  # everything of the strategy lay behind the objective
        spans(objective=1, strategy=1, store=1),
        spans(1, objective=2),  # clocks that disagree
    ],
)
def test_shares_sum_to_one(made):
    shares = made.shares()
    assert set(shares) == set(STAGES)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share >= 0 for share in shares.values())
    percents = [int(part.split()[1]) for part in made.describe().split(", ")]
    assert sum(percents) == 100
    assert percents == sorted(percents, reverse=True)


def test_what_is_not_recorded_is_idle():
    shares = spans(10, objective=9.1, strategy=0.4, store=0.1).shares()
    assert shares["idle"] == pytest.approx(0.04)
    assert spans(10, 4, objective=20, strategy=2).split()["idle"] == pytest.approx(18)


def test_speedup_is_amdahls():
    made = spans(10, objective=9, strategy=1)
    assert made.speedup(1) == pytest.approx(1)
    assert made.speedup(9) == pytest.approx(5)
    assert made.speedup(10**9) == pytest.approx(10, rel=1e-6)
    assert "with 9 workers at most 5.0x faster" in made.verdict(9)


def test_verdict_follows_the_numbers():
    slow = spans(10, objective=1, strategy=9)
    assert "strategy takes 90%" in slow.verdict(2) and "gain nothing" in slow.verdict(2)
    assert "store takes 80%" in spans(10, objective=1, store=8, strategy=1).verdict(2)
    assert spans().verdict() == "no time recorded"
    assert "at most" in spans(10, objective=9.9).verdict()


def test_verdict_says_when_there_are_too_few_cpus():
    assert "CPUs, so only if the objective waits" in spans(10, objective=10).verdict(100_000)


def test_unknown_stage():
    with pytest.raises(KeyError):
        Spans().add("lunch", 1)


def test_merge():
    both = spans(10, 2, objective=5)
    both.merge(spans(5, 4, objective=5, store=1))
    assert (both.wall_s, both.workers, both.seconds["objective"], both.seconds["store"]) == (15, 4, 10, 1)
