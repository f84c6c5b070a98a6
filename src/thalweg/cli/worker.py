"""`thalweg worker`: one more process for a stored study."""

from __future__ import annotations

from typing import Any

import click

from .main import INTERRUPTED


@click.command(short_help="Work on a stored study until it is done, beside any number of others.")
@click.argument("objective", metavar="MODULE:FUNCTION")
@click.option("--store", required=True, metavar="ADDRESS", help="FILE.db, sqlite:///FILE.db or postgresql://…")
@click.option("--name", default="study", show_default=True, help="The study.")
@click.option("--jobs", "-j", type=click.IntRange(1), help="Evaluations at once in this process (1).")
@click.option("--evaluator", metavar="NAME", help="inline, thread, process, async, vectorised, ray.")
@click.option("--eval-timeout", metavar="auto|SECONDS", help="For one evaluation.")
@click.option(
    "--max-evals",
    type=click.IntRange(1),
    help="The study's lifetime number of trials (as it is stored).",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Leave after this long.")
@click.option("--retries", type=click.IntRange(0), default=0, help="Further attempts of failed evaluations.")
@click.option("--json", "as_json", is_flag=True, help="Events as JSON lines on stdout.")
@click.option("--progress/--no-progress", default=None, help="A line that shows how far it is.")
@click.pass_context
def worker(ctx: click.Context, /, objective: str, store: str, name: str, **options: Any) -> None:
    """Evaluate MODULE:FUNCTION (or FILE.py:FUNCTION) for a study that is in a store.

    Any number of workers, on any number of machines that reach the store, share the study's budget; each may be killed
    at any moment. The study is made once, from Python:

    \b
    tw.Study(space, store="sqlite:///tune.db", name="demo").budget = 500
    thalweg worker --store tune.db --name demo my_module:loss
    """
    from ..engine.worker import objective_at, work
    from .reading import opened

    with opened(store) as found:
        found.open(name)
    timeout = options["eval_timeout"]
    if timeout not in (None, "auto"):
        try:
            timeout = float(timeout)
        except ValueError:
            hint = f"auto or seconds expected, got {timeout!r}"
            raise click.BadParameter(hint, param_hint="--eval-timeout") from None
    result = work(
        store,
        name,
        objective_at(objective),
        workers=options["jobs"],
        evaluator=options["evaluator"],
        eval_timeout=timeout,
        max_evals=options["max_evals"],
        timeout=options["timeout"],
        retries=options["retries"],
        progress="json" if options["as_json"] else options["progress"],
    )
    if not options["as_json"]:
        best = f"best value {result.value!r} at {result.params!r}" if result.success else "no value yet"
        click.echo(f"{result.stop_reason}: {result.evaluations} evaluations, {best}")
    if "interrupt" in result.stop_reason:
        ctx.exit(INTERRUPTED)
