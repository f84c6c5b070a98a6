"""A stored study, by its name alone."""

from __future__ import annotations

from ..core.errors import StoreError, StrategyError
from ..core.space import Space
from ..core.store import Store
from ..core.strategy import Strategy
from ..parts.stores import open_store
from ..parts.strategies import make_strategy
from .study import Study
from .unmade import Unmade

_WHOLE = (
    "strategy", "space", "objectives", "constraints", "noisy", "repeats", "aggregate", "ordered", "version",
)  # fmt: skip


def load(store: str | Store, name: str, *, strategy: str | Strategy | None = None) -> Study:
    """A stored study, without knowing its space. strategy: needed to run it on where it was made with an object of a
    class of your own; it can be looked at without.

    Raises:
        StoreError: no such store or study, or its spec is not whole.
    """
    opened = open_store(store, new=False)
    try:
        study = _load(opened, name, strategy)
    except BaseException:
        if not isinstance(store, Store):
            opened.close()
        raise
    study._owns_store = not isinstance(store, Store)
    return study


def _load(opened: Store, name: str, strategy: str | Strategy | None) -> Study:
    spec = opened.open(name).spec
    lacking = [key for key in _WHOLE if key not in spec]
    if lacking:
        raise StoreError(
            f"{opened!r}: the spec of study {name!r} lacks {', '.join(lacking)}; it was not made by a Study, or "
            f"its row was damaged and made again without them. Its trials are there: read them with "
            f"open_store(...).since(), and add() them to a new study"
        )
    if strategy is None:
        strategy = _made_again(name, str(spec["strategy"]))
    study = Study(
        Space.from_spec(spec["space"]),
        store=opened,
        name=name,
        strategy=strategy,
        objectives=dict(spec["objectives"]),
        constraints=spec["constraints"],
        noisy=spec["noisy"],
        repeats=spec["repeats"],
        aggregate=spec["aggregate"],
        ordered=spec["ordered"],
        version=spec["version"],
    )
    if isinstance(study.strategy, Unmade):
        study._strategy_name = str(spec["strategy"])
    return study


def _made_again(name: str, text: str) -> Strategy:
    """The strategy that a study says it was made with."""
    try:
        return make_strategy(text)
    except StrategyError as error:
        why = str(error).partition(". Known:")[0]
        return Unmade(
            f"study {name!r} was made with the strategy {text}, which cannot be made from that text ({why}); to run it "
            f"on, give the strategy: thalweg.load(store, {name!r}, strategy=...).run(...)"
        )
