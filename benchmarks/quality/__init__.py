"""How good the answers are: thalweg and its rivals on the same problems, seeds and budgets. See `__main__` for use."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is imported: one thread for everybody
