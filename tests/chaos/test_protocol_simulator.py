"""Simulated crews on our stores, and proof that the simulator finds what it is there to find."""

from __future__ import annotations

import msgspec
import pytest
from hosts import MemoryHost, SQLiteHost

from thalweg.core.errors import Displaced
from thalweg.core.store import Opened
from thalweg.parts.stores.memory import MemoryStore
from thalweg.testing.protocol_simulator import Plan, ProtocolViolation, simulate

SHARE = 500  # of the 10,000 seeds; a few seconds


def several(seeds, host):
    outcomes = [simulate(seed, host) for seed in seeds]
    return {name: sum(getattr(outcome, name) for outcome in outcomes) for name in ("steps", "deaths", "poisoned")}


@pytest.mark.chaos
def test_crews_in_memory():
    done = several(range(SHARE), MemoryHost)
    assert done["steps"] > 200 * SHARE and done["deaths"] > 5 * SHARE and done["poisoned"] > SHARE // 4, "too tame"


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_crews_in_memory(part):
    several(range(part * 1_000, (part + 1) * 1_000), MemoryHost)


@pytest.mark.chaos
def test_crews_on_one_file():
    several(range(20), SQLiteHost)


@pytest.mark.chaos
@pytest.mark.slow
def test_many_crews_on_one_file():
    several(range(20, 500), SQLiteHost)


@pytest.mark.chaos
def test_a_seed_is_a_run():
    assert simulate(7, MemoryHost) == simulate(7, MemoryHost)
    assert simulate(7, MemoryHost) != simulate(8, MemoryHost)


@pytest.mark.chaos
def test_only_poison_is_counted_out():
    """Nothing dies here but by poison: those that merely waited in the same process must all be evaluated."""
    for seed in range(60):
        done = simulate(seed, MemoryHost, Plan(workers=5, budget=20, slots=4, poison=0.2, one_by_one=seed % 2 == 0))
        assert 2 * done.poisoned <= done.deaths <= 3 * done.poisoned


def thousand(seed):
    rates = {"poison": 0.02, "crash": 0.01, "stall": 0.005, "cut": 0.002, "again": 0.2}
    plan = Plan(workers=1_000, budget=600, evaluation=20.0, restarts=(1.5,), queues=((0.5, 50),), **rates)
    return simulate(seed, MemoryHost, plan)


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_workers(seed):
    done = thousand(seed)
    assert done.trials >= 600 and done.deaths >= 900


# --- stores that break one promise each -------------------------------------------------------------------------------


class LastAnswerWins(MemoryStore):
    def append(self, study, finishing, log=(), member=None):
        refused = super().append(study, finishing, log, member)
        for number, value in zip(finishing.numbers.tolist(), finishing.values.tolist(), strict=True):
            self._studies[study].look()
            self._studies[study].trials[number].values = value
        return refused


class ForgetsAttempts(MemoryStore):
    def claim(self, member, limit, numbers=None, attempts=3):
        got = super().claim(member, limit, numbers, 10**9)
        return [msgspec.structs.replace(trial, attempt=1) for trial in got]


class NumbersTwice(MemoryStore):
    def open_trials(self, *args, **more):
        got = super().open_trials(*args, **more)
        return Opened(max(0, got.first - 1), got.count, got.taken)


class ClaimedTwice(MemoryStore):
    last = ()

    def claim(self, member, limit, numbers=None, attempts=3):
        got = super().claim(member, limit, numbers, attempts) or list(self.last)[:limit]
        self.last = got
        return got


class TokensStandStill(MemoryStore):
    def join(self, *args, **more):
        self._token = 4 if self._token == 5 else self._token
        return super().join(*args, **more)


class TakesPlacesOfTheLiving(MemoryStore):
    def join(self, study, note="", alone=False, place=None):
        for other in self._studies[study].places.values():
            other.gone = other.gone or self._clock() - other.beat_s > self.lease_s
        return super().join(study, note, alone, place)


class OneMoreThanTheBudget(MemoryStore):
    def open_trials(self, study, opening, budget, log=(), member=None, unique=False):
        return super().open_trials(study, opening, None if budget is None else budget + 1, log, member, unique)


class OnlyOwnersMayAnswer(MemoryStore):
    def append(self, study, finishing, log=(), member=None):
        trials = {trial.number: trial for trial in self.since(study)[0]}
        foreign = [
            n for n in finishing.numbers.tolist() if n in trials and trials[n].owner != (member and member.token)
        ]
        return foreign if foreign else super().append(study, finishing, log, member)


class LosesAnswers(MemoryStore):
    count = 0

    def append(self, study, finishing, log=(), member=None):
        self.count += 1
        return [] if self.count % 10 == 0 else super().append(study, finishing, log, member)


class ForgetsTheQueue(MemoryStore):
    def claim(self, member, limit, numbers=None, attempts=3):
        owned = [trial.number for trial in self.since(member.study)[0] if trial.owner is not None]
        return super().claim(member, limit, owned, attempts)


class NeverDoubtsTheLiving(MemoryStore):
    def _works(self, place):
        return place.alive


class ReleasesForOthers(MemoryStore):
    def release(self, study, numbers, member=None):
        super().release(study, numbers, None)


class ForgetsTheLog(MemoryStore):
    def append(self, study, finishing, log=(), member=None):
        return super().append(study, finishing, log if finishing.numbers[0] % 5 else (), member)


class DeafToTheDisplaced(MemoryStore):
    def beat(self, member):
        try:
            super().beat(member)
        except Displaced:
            pass


class ManyLostAtOnce(MemoryStore):
    def claim(self, member, limit, numbers=None, attempts=3):
        got = []
        while len(got) < limit and (more := super().claim(member, limit - len(got), numbers, attempts)):
            got += more
        return got


class CountsOutTooEarly(MemoryStore):
    def claim(self, member, limit, numbers=None, attempts=3):
        return super().claim(member, limit, numbers, attempts - 1)


class LeavingLosesTrials(MemoryStore):
    def _give_up(self, study, token):
        pass


class HidesWhatOthersChanged(MemoryStore):
    def since(self, study, version=0, beside=None):
        trials, newest = super().since(study, version, beside)
        return [trial for trial in trials if not version or trial.number % 7], newest


BROKEN = [
    kind for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, MemoryStore) and kind is not MemoryStore
]  # fmt: skip


@pytest.mark.chaos
@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_store_is_caught(kind):
    class Broken(MemoryHost):
        pass

    Broken.kind = kind
    with pytest.raises(ProtocolViolation, match=r"seed \d+, at"):
        several(range(150), Broken)


def test_there_are_many_broken_stores():
    assert len(BROKEN) >= 18
