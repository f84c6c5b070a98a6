"""A stored study, by its name alone."""

from __future__ import annotations

from ..core.errors import StrategyError
from ..core.space import Space
from ..core.store import Store
from ..core.strategy import Strategy
from ..parts.stores import open_store
from ..parts.strategies import make_strategy
from .study import Study


def load(store: str | Store, name: str, *, strategy: str | Strategy | None = None) -> Study:
    """A stored study, without knowing its space. strategy: needed to run it on where it was made with an object.

    Raises:
        StoreError: no such store or study.  StrategyError: its strategy is not known by name; give one.
    """
    opened = open_store(store)
    spec = opened.open(name).spec
    if strategy is None:
        strategy = str(spec["strategy"])
        try:
            make_strategy(strategy)
        except StrategyError as error:
            raise StrategyError(
                f"study {name!r} was made with {strategy}; give load(..., strategy=...): {error}"
            ) from None
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
    study._owns_store = not isinstance(store, Store)
    return study
