"""The words around the tables of the page of several objectives."""

from __future__ import annotations


def page(
    *,
    seeds: list[int],
    count: int,
    final: list[str],
    ratios: list[str],
    slow: list[str],
    costs: list[str],
    versions: str,
) -> str:
    """The page; final, ratios, slow and costs are the lines of its tables."""
    told = ",".join(map(str, seeds))
    one = "one run of each" if len(seeds) == 1 else f"{len(seeds)} runs of each"
    runs = f"python -m benchmarks.quality.multi_objective run --seeds {told}"
    return f"""# Several objectives

The share of the best hypervolume that a solver has after so many evaluations, thalweg beside rivals: {count} problems,
seed {told}, {one}. ZDT, DTLZ, WFG and RE are problems of the literature with two to four objectives; `tree` is a
decision tree's error in cross-validation against its size. Constants were chosen on the same problems, most with other
seeds; but what is done where models stay (a wild herd, far steps, how turns are shared, ties on plateaus, when a bound
is believed) with seeds 0 to 5 of `dtlz2`, `dtlz7`, `tree`, `wfg4`, `wfg9` and `zdt3`, this one among them, and so were
the range of small fronts, parents of equal values, the rule of the reference, and from when on what no model explains
counts as a chance.

Volumes are measured from 1.1 times the front's range, and shown as shares of the whole front's, or of the best that any
run found. Budgets are evaluations per parameter.

## After 100 evaluations per parameter

{chr(10).join(final)}

`ratio` is that of `bayesian_pareto` to the best rival of the problem, chosen with hindsight. `possible` is what
a perfect solver's ratio would be: where a rival has more than 91 % of the volume, nobody is 1.1 times as good.

| budget | 1.1 times the best rival | where possible | behind by 0.5 % | geometric mean | median |
| --- | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(ratios)}

Where values jump from plateau to plateau (`tree`: which columns a split may see is drawn at random) models gain little
after the first ten evaluations per parameter; children of the front and of a herd that knows no models gain the rest.
The same two find the pieces of `dtlz7`'s front, and leave `wfg9`'s local front, where models stay. Many local fronts
(`zdt4`) are left behind where they are made of bumps along each column, which the models learn; on `dtlz1` that is
begun, and not finished in this budget.

Problems out of {count}, and ratios; shares below 0.01 count as 0.01 in them.

![Share of the best volume over evaluations per dimension, for every problem](../images/several-objectives-curves.png)

![Fronts that were found, four bar truss and decision tree](../images/several-objectives-fronts.png)

## Beside BoTorch

qLogNEHVI with the settings of BoTorch's tutorial: as many evaluations as two to four minutes of CPU time allow. It is
told the reference point that volumes are measured from, as it must be; `told` is `bayesian_pareto` with the same
knowledge (`reference=`), which it does not need. A single run of each: differences of a tenth mean little.

| problem | evaluations | BoTorch | **bayesian_pareto** | **told** | BoTorch, ms | **ours, ms** | less by |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(slow)}

![Share of the best volume at equal evaluations, beside BoTorch](../images/several-objectives-botorch.png)

## What a suggestion costs

CPU milliseconds for each evaluation over the whole run, the objective's own time not counted.

{chr(10).join(costs)}

## How this was made

```
python -m benchmarks.quality.environments classic torch
{runs} --solvers tw:bayesian_pareto,tw:nsga2
{runs} --solvers optuna_tpe --limit 60
{runs} --solvers optuna_nsga2,pymoo_nsga2,pymoo_nsga3,pymoo_moead,random
{runs} --solvers tw:bayesian_pareto+reference --budget 20
{runs} --solvers botorch --budget 20 --limit 120 --tag tutorial
python -m benchmarks.quality.multi_objective report --seeds {told}
```

- A run depends on its own budget; shares at smaller budgets are read from the same run. Neither `bayesian_pareto` nor
  BoTorch looks at the budget.
- Rivals have their defaults but for populations, which fit the budget: a 20th of it, 20 to 100. optuna_tpe is
  multivariate; where it did not end in its time it has no number.
- Costs are those of a busy machine.
- One run of a problem says little: repeated, shares of the harder problems differ by a tenth. Times were taken on a
  machine that others used too: compare them with each other.
- {versions}.
"""
