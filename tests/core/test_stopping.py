"""Rules combined: `|` ends with the first, `&` when all have spoken; every rule sees every trial."""

import numpy as np

from thalweg.core.stopping import Progress, StopRule


class Script(StopRule):
    """Says what is written for each call."""

    def __init__(self, *says, room=None, goal=None):
        self.says, self.calls, self._room, self._goal, self.resets = says, 0, room, goal, 0

    def check(self, progress):
        self.calls += 1
        return self.says[self.calls - 1]

    @property
    def room(self):
        return self._room

    @property
    def goal(self):
        return self._goal

    def reset(self):
        self.calls, self.resets = 0, self.resets + 1


PROGRESS = Progress(np.zeros((1, 1)), np.array([2], np.int8), None, np.ones(1), 1, 0.0)


def run(rule, calls):
    return [rule.check(PROGRESS) for _ in range(calls)]


def test_either():
    first, second = Script(None, None, "a"), Script(None, "b", "b")
    assert run(first | second, 3) == [None, "b", "a"]
    assert (first.calls, second.calls) == (3, 3)


def test_both_wait_for_each_other():
    first, second = Script("a", None, None), Script(None, None, "b")
    assert run(first & second, 3) == [None, None, "a and b"]


def test_both_forget_on_reset():
    first, second = Script("a", None), Script(None, "b")
    rule = first & second
    assert rule.check(PROGRESS) is None
    rule.reset()
    first.calls = 1  # the first says nothing now
    assert rule.check(PROGRESS) is None
    assert (first.resets, second.resets) == (1, 1)


def test_nested_rules():
    a, b, c = Script(None, "a"), Script("b", None), Script(None, "c")
    assert run((a & b) | c, 2) == [None, "a and b"]
    rule = (Script(None) | Script(None)) & Script(None)
    rule.reset()
    assert [item.resets for item in rule.rules[0].rules] == [1, 1]


def test_room_is_the_smallest():
    assert (Script(room=5) | Script(room=3)).room == 3
    assert (Script() & Script(room=4)).room == 4
    assert (Script() | Script()).room is None


def test_a_goal_ends_a_study_alone_only_where_one_rule_is_enough():
    assert (Script() | Script(goal=1.0)).goal == 1.0
    assert (Script(goal=2.0) & Script(goal=1.0)).goal is None
    assert ((Script(goal=2.0) & Script()) | Script()).goal is None
