"""The words around the tables of the page of several objectives."""

from __future__ import annotations


def page(
    *,
    seeds: list[int],
    beside: list[int],
    count: int,
    final: list[str],
    ratios: list[str],
    slow: list[str],
    costs: list[str],
    versions: str,
) -> str:
    """The page; final, ratios, slow and costs are the lines of its tables; beside: the seeds that BoTorch had."""
    told = ",".join(map(str, seeds))
    one = "one run of each" if len(seeds) == 1 else f"means of {len(seeds)} runs of each"
    said = f"seed {told}" if len(seeds) == 1 else f"seeds {' and '.join(map(str, seeds))}"
    runs = f"python -m benchmarks.quality.multi_objective run --seeds {told}"
    few = f"python -m benchmarks.quality.multi_objective run --seeds {','.join(map(str, beside))}"
    return f"""# Several objectives

The share of the best hypervolume that a solver has after so many evaluations, thalweg beside rivals: {count} problems,
{said}, {one}. ZDT, DTLZ, WFG and RE are problems of the literature with two to four
objectives; `tree` is a decision tree's error in cross-validation against its size.

Constants were chosen on the same problems, most with other seeds; but what is done where models stay (a wild
herd, far steps, how turns are shared, when a bound is believed) with seeds 0 to 5 of `dtlz2`, `dtlz7`,
`tree`, `wfg4`, `wfg9` and `zdt3`, seeds of this page among them, and so were the
range of small fronts, parents of equal values, the rule of the reference, and from when on what no model explains
counts as a chance. How outcomes are counted on plateaus was chosen with seeds 3 and 10 to 16 of `tree` (after 100
evaluations per parameter .93 of the volume, .86 before), and then looked at with seeds 20 to 25 (.92, .88 before).

Volumes are measured from 1.1 times the front's range, and shown as shares of the whole front's, or of the best that any
run found. Budgets are evaluations per parameter.

## After 100 evaluations per parameter

{chr(10).join(final)}

`ratio` is that of `bayesian_pareto` to the best rival of the problem, chosen with hindsight. `possible` is what
a perfect solver's ratio would be: where a rival has more than 91 % of the volume, nobody is 1.1 times as good.

| budget | 1.1 times the best rival | where possible | behind by 0.5 % | geometric mean | median |
| --- | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(ratios)}

Where values jump from plateau to plateau (`tree`: which columns a split may see is drawn at random) a model explains a
third of the error's variance, and the rest is luck: runs of one solver differ by a tenth. In the second half of the
budget models, children of the front, and children of a herd that knows no models gain about as much for each
evaluation. The latter two find the pieces of `dtlz7`'s front, and leave `wfg9`'s local front, where models stay. Many
local fronts (`zdt4`, `dtlz1`) are made of bumps along each column: the models learn that they are there, and line
searches of the sum of the objectives lead out of them
([decision 18](../decisions/0018-lines-before-models-of-a-front.md)).

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
{few} --solvers tw:bayesian_pareto+reference --budget 20
{few} --solvers botorch --budget 20 --limit 120 --tag tutorial
python -m benchmarks.quality.multi_objective report --seeds {told}
```

- A run depends on its own budget; shares at smaller budgets are read from the same run. Neither `bayesian_pareto` nor
  BoTorch looks at the budget.
- Rivals have their defaults but for populations, which fit the budget: a 20th of it, 20 to 100. optuna_tpe is
  multivariate; where it did not end in its time it has no number, or that of one run (`re41`).
- Costs are those of a busy machine.
- A run or two of a problem say little: repeated, shares of the harder problems differ by a tenth. Times were taken on a
  machine that others used too: compare them with each other.
- {versions}.
"""
