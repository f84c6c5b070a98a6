"""`TaskExecutor`: run, gather, map, threads and tasks under a limit; it may be entered any number of times."""

from __future__ import annotations

from ...apps.services.executor import TaskExecutor

__all__ = ["TaskExecutor"]
