"""`python crew.py ADDRESS BUDGET OUT [SECONDS]`: one process of a study; OUT gets what it was told is recorded."""

import os
import sys
import time

import thalweg as tw

SPACE = {"x": (-5.0, 5.0), "y": (-5.0, 5.0), "n": tw.Integer(1, 9)}
STRATEGY = "de"


def objective(p, seconds=0.0):
    if seconds:
        time.sleep(seconds)
    return (p["x"] - 1) ** 2 + (p["y"] + 2) ** 2 + p["n"]


def work(address, budget, out, seconds=0.0):
    """Take part until the study is done."""
    handle = os.open(out, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def note(event):
        if event.kind == "finished" and not event.data.get("elsewhere"):
            pairs = zip(event.data["numbers"].tolist(), event.data["values"][:, 0].tolist(), strict=True)
            os.write(handle, "".join(f"{number} {value!r}\n" for number, value in pairs).encode())

    with tw.Study(SPACE, store=address, name="storm", strategy=STRATEGY, seed=7, listeners=[note]) as study:
        study.run(lambda p: objective(p, seconds), max_evals=budget, progress=False)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
