import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.linalg

from thalweg.numerics import blas


@pytest.fixture
def switches():
    np.ones((2, 2)) @ np.ones((2, 2))
    scipy.linalg.cholesky(np.eye(2))
    found = blas._switches(blas._loaded())
    if not found:
        pytest.skip("no OpenBLAS in this process")
    before = [get() for get, _ in found]
    for _, put in found:
        put(3)
    yield found
    for (_, put), count in zip(found, before, strict=True):
        put(count)


def counts(found):
    return [get() for get, _ in found]


def test_one_thread_inside_and_the_old_number_after(switches):
    many = counts(switches)
    assert min(many) > 1
    with blas.one_thread():
        assert set(counts(switches)) == {1}
        with blas.one_thread():
            assert set(counts(switches)) == {1}
        assert set(counts(switches)) == {1}
    assert counts(switches) == many


def test_an_error_inside_restores_it_too(switches):
    many = counts(switches)
    with pytest.raises(ValueError, match="x"), blas.one_thread():
        raise ValueError("x")
    assert counts(switches) == many


def test_two_threads_at_once(switches):
    many, entered, leave = counts(switches), threading.Event(), threading.Event()

    def other():
        with blas.one_thread():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    with blas.one_thread():
        pass
    assert set(counts(switches)) == {1}  # the other one is still inside
    leave.set()
    thread.join()
    assert counts(switches) == many


def test_what_is_no_openblas_is_left_alone(tmp_path):
    path = tmp_path / "libopenblas.so"
    path.write_bytes(b"not a library")
    assert blas._pair(str(path)) is None


def test_it_loads_no_scipy():
    code = "import sys, thalweg.numerics.blas as b\nwith b.one_thread(): pass\nassert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_library_that_comes_in_inside_is_held_too():
    code = """
import numpy as np
from thalweg.numerics import blas, kernels
np.ones((2, 2)) @ np.ones((2, 2))
with blas.one_thread():
    kernels.lapack()
    found = blas._switches(blas._loaded())
    inside = [get() for get, _ in found]
after = [get() for get, _ in found]
assert set(inside) <= {1} and len(set(after)) <= 1, (inside, after)
"""
    threads = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ, **threads})
