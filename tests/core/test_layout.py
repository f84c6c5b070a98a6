"""The column map: one kernel for all parameters, the same numbers as each parameter's own."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import parameters, points_of

from thalweg.core.layout import Layout
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space


@settings(max_examples=80, deadline=None)
@given(st.lists(parameters, min_size=1, max_size=6), st.integers(0, 2**32))
def test_the_kernel_agrees_with_each_parameter(given_, seed):
    named = {f"p{i}": item for i, item in enumerate(given_)}
    layout = Layout(named)
    space = Space(named)
    points = points_of(space, seed)
    snapped, reals = layout.resolve(points)
    for name, block in layout.blocks:
        parameter = named[name]
        if not parameter.width:
            continue
        own = parameter.from_unit(points[:, block])
        np.testing.assert_array_equal(reals[:, block], own)
        if parameter.kind:
            np.testing.assert_allclose(snapped[:, block], parameter.to_unit(own), rtol=0, atol=1e-15)
        else:
            np.testing.assert_array_equal(snapped[:, block], points[:, block])
    again = layout.resolve(layout.encode(reals))[1]
    np.testing.assert_allclose(again, reals, rtol=1e-13, atol=1e-9)


def test_the_map_of_columns():
    layout = Layout({"a": Float(0, 1), "v": Integer(0, 3, size=2), "b": Float(1, 2, log=True)})
    assert layout.blocks == [("a", slice(0, 1)), ("v", slice(1, 3)), ("b", slice(3, 4))]
    assert layout.dimension == 4
    assert layout.owner.tolist() == [0, 1, 1, 2]
    assert layout.kinds.tolist() == [0, 1, 1, 0]
    assert layout.levels.tolist() == [np.inf, 4, 4, np.inf]
    assert not any(array.flags.writeable for array in (layout.owner, layout.kinds, layout.levels))


def test_one_row_and_many_rows_decode_alike():
    space = Space(
        {"a": Float(-3, 7), "b": Float(1e-8, 1, log=True), "n": Integer(1, 1000, log=True), "s": Float(0, 1, step=0.1)}
    )
    points = np.random.default_rng(0).random((500, 4))
    whole = space.decode(points)
    rows = np.concatenate([space.decode(points[i : i + 1]) for i in range(500)])
    assert whole.tobytes() == rows.tobytes()


def test_a_span_without_length_or_near_nothing():
    space = Space({"a": Float(2, 2), "b": Float(0, 1e-310), "c": Float(1, np.nextafter(1, 2))})
    points = space.sample(50, np.random.default_rng(0))
    reals = space.decode(points)
    assert set(reals[:, 0]) == {2.0} and (reals[:, 1] <= 1e-310).all() and set(reals[:, 2]) == {1.0, np.nextafter(1, 2)}
    encoded = space.encode(reals)
    assert np.isfinite(encoded).all() and (encoded >= 0).all() and (encoded <= 1).all()
