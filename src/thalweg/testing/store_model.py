"""What a store of one study must do, in plain dicts: the model beside `store_machine`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.store import PRIORITY_S
from ..core.stored import StoredTrial

LEASE_S = 10.0


def _same(first: Any, second: Any) -> bool:
    return bool(np.array_equal(np.asarray(first, dtype=float), np.asarray(second, dtype=float), equal_nan=True))


class Model:
    """trials: number -> what is known of it.  members: token -> its place and state.  log: (kind, by) of each line.
    step: how many changes there were; a trial knows the step of its newest.
    """

    def __init__(self) -> None:
        self.trials: dict[int, dict[str, Any]] = {}
        self.members: dict[int, dict[str, Any]] = {}
        self.log: list[tuple[str, int]] = []
        self.snapshots: dict[int, tuple[dict[str, Any], int]] = {}
        self.next = self.used = self.revision = self.step = 0
        self.budget: int | None = None

    # --- members --------------------------------------------------------------------------------------------------

    def here(self) -> list[int]:
        """Who joined and did not leave."""
        return [token for token, member in self.members.items() if not member["gone"]]

    def present(self, token: int) -> bool:
        """Whether it has neither left nor been buried."""
        return token in self.members and not self.members[token]["gone"]

    def bury(self) -> None:
        """The dead are gone."""
        for member in self.members.values():
            member["gone"] = member["gone"] or not member["alive"]

    def join(self, alone: bool, place: int | None) -> tuple[int, int] | None:
        """(ordinal, former token) that the next one gets; None: it is refused."""
        living = [member for member in self.members.values() if member["alive"] and not member["gone"]]
        if any(alone or member["alone"] for member in living):
            return None
        self.bury()
        taken = {member["ordinal"] for member in living}
        ordinal = min(set(range(len(taken) + 1)) - taken)
        if place is not None and place not in taken:
            ordinal = place
        return ordinal, max((token for token, m in self.members.items() if m["ordinal"] == ordinal), default=0)

    def joined(self, token: int, ordinal: int, alone: bool, now: float) -> None:
        """It has that place now."""
        self.members[token] = {"ordinal": ordinal, "alone": alone, "beat": now, "alive": True, "gone": False}

    def leave(self, token: int) -> None:
        """What it had open belongs to nobody."""
        if not self.present(token):
            return
        self.members[token] |= {"gone": True, "alive": False}
        self.step += 1
        for trial in self.trials.values():
            if trial["owner"] == token:
                trial |= {"owner": None, "writer": None, "step": self.step}

    def heard(self, token: int | None, now: float) -> None:
        """By the way, now and then, from who lives: a late answer of a dead one is no sign of life."""
        member = self.members.get(token) if token is not None else None
        if member and member["alive"] and not member["gone"] and now - member["beat"] > LEASE_S / 8:
            member["beat"] = now

    def views(self, now: float) -> list[tuple[int, int, bool, bool, bool, int]]:
        """What `Store.members` says, notes and seconds apart."""
        views = []
        for token in sorted(self.here(), key=lambda token: self.members[token]["ordinal"]):
            member = self.members[token]
            owned = sum(trial["owner"] == token for trial in self.trials.values())
            late = now - member["beat"] > LEASE_S
            views.append((token, member["ordinal"], member["alone"], member["alive"], late, owned))
        return views

    def claim(self, token: int, limit: int, numbers: list[int] | None, attempts: int, now: float) -> list[int]:
        """The numbers that become `token`'s."""
        working = {t for t in self.here() if self.members[t]["alive"] and now - self.members[t]["beat"] <= LEASE_S}
        free = [
            n for n, trial in sorted(self.trials.items())
            if trial["status"] < 2 and trial["owner"] not in working | {token} and (numbers is None or n in numbers)
        ]  # fmt: skip
        mine = sorted((n for n in free if self.trials[n]["owner"] is None), key=lambda n: (self.trials[n]["due"], n))
        mine = mine[:limit]
        poisoned = []
        for number in free if len(mine) < limit else ():
            trial = self.trials[number]
            if trial["owner"] is None:
                continue
            if trial["attempt"] < attempts:
                trial["attempt"] += 1
                mine.append(number)
                break
            poisoned.append(number)
        if mine or poisoned:
            self.heard(token, now)
            self.bury()
            self.step += 1
        for number in mine:
            trial = self.trials[number]
            trial |= {"owner": token, "writer": token, "attempt": max(trial["attempt"], 1), "step": self.step}
        for number in poisoned:
            self.trials[number] |= {"status": 3, "values": [], "owner": None, "writer": None, "step": self.step}
        if poisoned:
            self.log.append(("poisoned", self.members[token]["ordinal"]))
        return mine

    # --- trials ---------------------------------------------------------------------------------------------------

    def open(
        self,
        points: list[Any],
        budget: int | None,
        token: int | None,
        unique: bool,
        by: int,
        now: float,
        priority: float,
    ) -> tuple[int, int, dict[int, int]]:
        """What `open_trials` gives."""
        self.heard(token, now)
        self.step += 1
        first, taken = self.next, {}
        room = len(points) if budget is None else max(0, budget - self.used)
        for row, (name, params) in enumerate(points):
            same = [n for n, trial in self.trials.items() if trial["digest"] == name and trial["status"] < 6]
            if unique and same:
                taken[row] = min(same)
            elif self.next - first >= room:
                break
            else:
                self._new(
                    name, params, 0, [], owner=token, attempt=token is not None, writer=token, by=by, counted=1,
                    due=now - PRIORITY_S * priority,
                )  # fmt: skip
                self.used += 1
        return first, self.next - first, taken

    def _new(self, name: bytes, params: Any, status: int, values: list[float], **more: Any) -> None:
        known = {"params": params, "digest": name, "status": status, "values": values, "released": False}
        self.trials[self.next] = known | {"step": self.step} | more
        self.next += 1

    def append(
        self, numbers: list[int], values: list[float], status: int, token: int | None, by: int, kinds: list[str],
        now: float,
    ) -> list[int]:  # fmt: skip
        """The numbers that `append` refuses."""
        self.step += 1
        found: dict[str, list[int]] = {"late": [], "duplicate": [], "conflict": []}
        refused = []
        for number, value in zip(numbers, values, strict=True):
            trial = self.trials[number]
            if trial["status"] < 2:
                if trial["owner"] not in (None, token):
                    found["late"].append(number)
                trial |= {"status": status, "values": [value], "owner": None, "writer": token, "step": self.step}
                trial["attempt"] = max(trial["attempt"], 1)
                continue
            refused.append(number)
            same = trial["status"] in (status, 6) and _same(trial["values"], [value])
            found["duplicate" if same else "conflict"].append(number)
        if token is None or self.holds(token):
            self.log += [(kind, by) for kind in kinds]
        self.log += [(kind, by) for kind, some in found.items() if some]
        self.heard(token, now)
        return refused

    def holds(self, token: int) -> bool:
        """Whether its place is nobody else's, though it may have left."""
        ordinal = self.members[token]["ordinal"]
        return token == max(t for t, member in self.members.items() if member["ordinal"] == ordinal)

    def release(self, numbers: list[int], token: int | None) -> None:
        """Open ones, of `token` if it is one, are abandoned without a result."""
        self.step += 1
        for number in numbers:
            trial = self.trials.get(number)
            if trial is not None and trial["status"] < 2 and token in (None, trial["owner"]):
                trial |= {"status": 6, "released": True, "owner": None, "writer": token, "step": self.step}
                self.used -= 1

    def retract(self, numbers: list[int]) -> list[int]:
        """Ended ones are abandoned with their result."""
        self.step += 1
        done = []
        for number in numbers:
            trial = self.trials.get(number)
            if trial is not None and 2 <= trial["status"] < 6:
                self.used -= trial["counted"]
                trial |= {"status": 6, "writer": None, "step": self.step, "counted": 0}
                done.append(number)
        if done:
            self.log.append(("retracted", 0))
        return done

    def add(self, points: list[Any], status: int, token: int | None, now: float) -> int:
        """The first number."""
        self.heard(token, now)
        self.step += 1
        first = self.next
        for i, (name, params) in enumerate(points):
            self._new(name, params, status, [i + 0.5], owner=None, attempt=1, writer=token, by=0, counted=0)
        return first

    def since(self, step: int, beside: int | None, whole: bool) -> list[int]:
        """The numbers that changed after `step`, not by `beside`; `whole`: without released ones."""
        return [
            n for n, trial in sorted(self.trials.items())
            if trial["step"] > step
            and (beside is None or trial["writer"] != beside)
            and (not whole or not trial["released"])
        ]  # fmt: skip

    def lookup(self, names: list[bytes]) -> dict[bytes, int]:
        """digest -> number of the best trial."""
        found = {}
        for name in names:
            hits = [(t["status"], n) for n, t in self.trials.items() if t["digest"] == name and 2 <= t["status"] < 6]
            if hits:
                found[name] = min(hits)[1]
        return found

    def compare(self, trial: StoredTrial) -> None:
        """A trial is as it should be."""
        model = self.trials[trial.number]
        got = (trial.params, trial.status, trial.owner, trial.attempt, trial.by)
        assert got == tuple(model[name] for name in ("params", "status", "owner", "attempt", "by")), (got, model)
        assert _same(trial.values, model["values"])
