"""The words around the tables of the page of answers."""

from __future__ import annotations

HEAD = """# How good the answers are

thalweg's strategies (`tw:`) and its rivals on the same problems, seeds and budgets. Budgets are evaluations per
dimension (20d: twenty times the number of parameters). How to read the tables:

- **AUC**: the share of targets reached, averaged over the logarithm of evaluations from d to the budget. It rewards
  being good early and getting far. COCO's functions have 51 targets, gaps of 1e2 to 1e-8; practical problems 51 shares,
  1 to 1e-4, of the way from what random search gets in 10d evaluations (median of 31) to the best value known.
- **relAUC**: with targets from random search's gap after d evaluations to the best gap that any rival ends with.
- **reached**: the share of targets reached at the end. **wins**: runs led alone. **ms/eval**: the solver's CPU time.
- **ratio**: mean AUC over that of the best single rival of that budget (chosen with hindsight, in the rivals' favour),
  with a paired 95 % bootstrap interval over problems.
- **AUC in equal time**: over time instead of evaluations, were each evaluation to take 1 ms to 1 s; the solver's own
  time counts.
"""


def foot(versions: str, command: str) -> str:
    """What was run, with what, and what to be careful about."""
    return f"""## How this was made, and what it does not say

Instances 1 to 3 are those that constants are tuned on, 4 and above are held out: no constant was chosen by them. Seed
0, or 0 to 2 of each problem where a class has few. {versions}.

```
python -m benchmarks.quality.environments classic rustuna nevergrad smac torch hebo
python -m benchmarks.quality.suggestions
{command}
```

- A run depends on its own budget; scores at smaller budgets are read from the same run.
- Rivals without types get a careful user's box: logarithms taken, integers rounded and marked where the rival can be
  told, choices as an index, orders as random keys, violations as an exact penalty. Optuna gets its own types,
  conditions and constraints, COBYQA the constraints. Settings are each package's defaults but for restarts, which all
  local methods get until the budget is spent, from the centre of the box first.
- The classes at 20d have fewer functions or seeds than one would wish, as the rivals that they are for take a
  tenth of a second to seconds for a suggestion. BoTorch there is its first example in a loop, not Ax around it.
- Best values of practical problems are the best that any run found; nobody has proved them (`references.json`).
- One seed for each of COCO's instances is usual; neighbours closer than about 0.01 are not told apart by that.
- Solver time is process CPU time between the first and the last evaluation, on one core, without imports.
"""
