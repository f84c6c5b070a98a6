"""Commands called in this process, with what they print and what they complain of kept apart."""

import inspect

from click.testing import CliRunner


def runner() -> CliRunner:
    """One whose results have `stdout` and `stderr` with every supported click: before 8.2 they are mixed by default."""
    mixes = "mix_stderr" in inspect.signature(CliRunner).parameters
    return CliRunner(mix_stderr=False) if mixes else CliRunner()
