"""The `thalweg` command: a table of subcommands, each imported only when it is called."""

from __future__ import annotations

import difflib
import importlib
import signal
from typing import Any

import click

from ..core.errors import ThalwegError

COMMANDS: dict[str, tuple[str, str]] = {
    "backtest": ("backtest:backtest", "Tune trading rules, judge them on other prices."),
    "demo": ("demo:demo", "Tune a real compressor on this machine, in about a minute."),
    "doctor": ("doctor:doctor", "Examine this machine, and a store."),
    "export": ("export:export", "Write a study's trials as CSV or JSON."),
    "list": ("list:list_studies", "How studies stand, and who works on them."),
    "repair": ("repair:repair", "Make a sound store of a damaged one."),
    "resume": ("resume:resume", "Go on with a tuning job where it was left."),
    "show": ("show:show", "List the studies of a store, or show one."),
    "worker": ("worker:worker", "Work on a stored study, beside any number of others."),
    "token-economy": ("token_economy:token_economy", "Search the parameters of a token economy."),
    "tune": ("tune:tune", "Find the best parameters of a command-line program."),
}
"""name -> ("module:function" in this folder, one line of help)."""

USAGE, INTERRUPTED = 2, 130


class _Lazy(click.Group):
    """Lists all commands from the table; imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.list_commands(ctx):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"no such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        rows = [(name, COMMANDS[name][1]) for name in sorted(COMMANDS)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Errors that thalweg raises on purpose are messages for people, not tracebacks."""
        try:
            return super().invoke(ctx)
        except ThalwegError as error:
            click.echo(f"thalweg: {error}", err=True)
            ctx.exit(USAGE)
        except KeyboardInterrupt:
            click.echo("thalweg: interrupted; what has finished is kept, the same command goes on from there", err=True)
            ctx.exit(INTERRUPTED)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("thalweg")
        except PackageNotFoundError:
            number = "(not installed)"
        click.echo(f"thalweg {number}")
        ctx.exit()


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def group() -> None:
    """Find the best parameters of anything that can be run."""


def _terminated(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt  # as Ctrl-C: what runs is ended, what has finished is kept


def main() -> None:
    """The entry point."""
    signal.signal(signal.SIGTERM, _terminated)
    group(prog_name="thalweg")


if __name__ == "__main__":
    main()
