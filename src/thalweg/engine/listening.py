"""A listener for the time of one run."""

from __future__ import annotations

from ..core.event import Listener
from .session import Session


class Listening:
    """Adds a listener for the time of a run."""

    def __init__(self, session: Session, listener: Listener | None) -> None:
        self._session, self._listener = session, listener

    def __enter__(self) -> None:
        if self._listener is not None:
            self._session.listeners.append(self._listener)

    def __exit__(self, *_: object) -> None:
        if self._listener in self._session.listeners:
            self._session.listeners.remove(self._listener)
        self.close()

    def close(self) -> None:
        """Let the listener finish what it writes."""
        close = getattr(self._listener, "close", None)
        if close is not None:
            close()
