"""A stored study, by its name alone."""

from __future__ import annotations

from ..core.errors import StoreError, StrategyError
from ..core.space import Space
from ..core.store import Store
from ..core.strategy import Strategy
from ..parts.stores import open_store
from ..parts.strategies import make_strategy
from .study import Study

_WHOLE = (
    "strategy", "space", "objectives", "constraints", "noisy", "repeats", "aggregate", "ordered", "version",
)  # fmt: skip


def load(store: str | Store, name: str, *, strategy: str | Strategy | None = None) -> Study:
    """A stored study, without knowing its space. strategy: needed to run it on where it was made with an object.

    Raises:
        StoreError: no such store or study, or its spec is not whole.  StrategyError: its strategy is not known by name;
            give one.
    """
    opened = open_store(store)
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
        strategy = str(spec["strategy"])
        try:
            make_strategy(strategy)
        except StrategyError as error:
            raise StrategyError(
                f"study {name!r} was made with {strategy}; give load(..., strategy=...): {error}"
            ) from None
    return Study(
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
