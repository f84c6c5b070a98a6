"""What some trials have, by number: shared values and named results come back as they were given, in few bytes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.by_number import Named, Shared

COUNT = 4000
ITEMS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["a", "b", "~", ""]),
        st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=3), st.lists(st.integers())),
    ),
)


def test_shared_values_are_a_mapping():
    made = Shared()
    assert not made and len(made) == 0 and list(made) == [] and made.get(0) is None and 5 not in made
    made[9] = "b"
    made.fill(np.array([2, 70]), "a")
    made.fill(np.arange(0), "never")
    assert dict(made) == {2: "a", 9: "b", 70: "a"} and made and made.get(3, "x") == "x"
    assert made.of("a").tolist() == [2, 70] and made.of("never").tolist() == [] and made.get(-1) is None
    made[2] = "b"
    del made[9]
    assert dict(made) == {2: "b", 70: "a"} and 9 not in made and made.pop(9, None) is None
    with pytest.raises(KeyError):
        del made[9]
    with pytest.raises(KeyError):
        made[1000]
    made.drop(np.array([70, 5000]))
    assert dict(made) == {2: "b"}
    made.drop(np.array([2]))
    assert not made


def test_shared_values_may_be_false():
    made = Shared()
    made.update({1: 0, 2: ""})
    assert made[1] == 0 and made[2] == "" and len(made) == 2


@given(st.lists(ITEMS, max_size=20), st.lists(st.tuples(st.integers(0, 30), ITEMS), max_size=10))
def test_named_results_come_back_as_they_were(first, later):
    made, model = Named(), {}
    made.put(range(3, 3 + len(first)), first)
    model.update({3 + i: item for i, item in enumerate(first) if item is not None})
    for number, item in later:
        if item is not None:
            made[number] = model[number] = item
        elif number in model:
            del made[number], model[number]
    assert repr(dict(sorted(model.items()))) == repr(dict(made)) and len(made) == len(model)
    assert all((number in made) == (number in model) for number in range(-2, 40)) and bool(made) == bool(model)
    for item in model.values():
        assert all(type(found) is type(item[name]) for name, found in item.items())


def test_named_results_of_ever_new_shapes():
    made = Named()
    for number in range(200):
        made[number] = {f"name {number}": number}
    made[3] = {"name 0": 1}
    assert made[3] == {"name 0": 1} and made[199] == {"name 199": 199} and len(made) == 200
    made[199] = {"name 1": 7}
    assert made[199] == {"name 1": 7} and len(made) == 200 and list(made) == list(range(200))


def test_what_is_read_is_the_readers_own():
    made = Named()
    made.put([0, 1], [{"a": 1.0}, {"a": 2**70}])
    for number in (0, 1):
        made[number]["a"] = None
        made.get(number).clear()
    assert made[0] == {"a": 1.0} and made[1] == {"a": 2**70}
    with pytest.raises(KeyError):
        made[2]


def held(make):
    """Bytes per item that what `make` gives holds."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = make()
        return (tracemalloc.get_traced_memory()[0] - before) / COUNT, kept
    finally:
        tracemalloc.stop()


def test_bytes_per_trial():
    def named():
        made = Named()
        for number in range(COUNT):
            made[number] = {"loss": number * 0.5, "time": number + 0.1, "epochs": number}
        return made

    def shared():
        made = Shared()
        for number in range(COUNT):
            made[number] = f"worker {number % 8}"
        return made

    bytes_each, made = held(named)
    assert bytes_each < 64 and made[COUNT - 1]["epochs"] == COUNT - 1  # 42; dicts of them: 360
    bytes_each, made = held(shared)
    assert bytes_each < 16 and made[9] == "worker 1"  # 5; a dict of them: 150
