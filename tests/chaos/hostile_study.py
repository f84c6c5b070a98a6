"""A study of every hostile objective that an evaluator can be given, in a process of its own.

python hostile_study.py EVALUATOR RESULTS.json
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from functools import partial
from pathlib import Path

import hostile

import thalweg as tw

LIMIT_S = 2.0


def main(evaluator: str, results: str) -> None:
    """Every hostile point between two sound ones; what became of each goes to `results`."""
    kinds = [kind for kind in hostile.ALL if kind not in hostile.NATURE[evaluator]]
    points = []
    for i, kind in enumerate(kinds):
        points += [{"x": 0.5 + i / 1000, "kind": "good"}, {"x": 0.25, "kind": kind}]
    study = tw.Study(
        {"x": tw.Float(0, 1), "kind": tw.Choice(["good", *kinds])},
        store=f"sqlite:///{Path(results).parent}/hostile.db",
        name="hostile",
        strategy="random",
        seed=0,
    )
    options = {} if evaluator == "inline" else {"workers": 1}
    if evaluator == "process":
        options["eval_timeout"] = LIMIT_S
    write, leave = partial(os.open, results, os.O_CREAT | os.O_WRONLY, 0o600), os._exit
    result = study.run(hostile.behave, max_evals=len(points), initial=points, evaluator=evaluator, **options)
    rows = [
        (trial.params["kind"], trial.params["x"], trial.status.name, trial.value, trial.error or "")
        for trial in result.trials
    ]
    descriptor = write()
    os.write(descriptor, json.dumps({"rows": rows, "best": result.params, "stop": result.stop_reason}).encode())
    leave(0)  # threads that objectives left running would keep the interpreter


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BaseException:  # threads that objectives left running would keep the interpreter
        traceback.print_exc()
        os._exit(1)
