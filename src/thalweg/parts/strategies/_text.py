"""Strategies as text and back: "de(population=40)", "relay(sobol, de(population=40))".

The text is the call that makes the strategy: its name in the table and, in Python's notation, what differs from the
defaults. Studies keep it, so that other processes can make the same strategy; command lines take it. Literals and
strategies are all that may stand in it, and nothing in it is run as code.
"""

from __future__ import annotations

import ast
import inspect
import math
from typing import Any

import numpy as np

from ...core.errors import StrategyError
from ...core.strategy import Strategy
from . import STRATEGIES, make_strategy


def written(strategy: Strategy) -> str:
    """The text of a strategy; one that is not in the table has its class's name, and cannot be read back.

    The same text in every process: what is no plain data is there by the name of its type only.
    """
    options = [*map(_value, _places(strategy)), *(f"{name}={_value(item)}" for name, item in _named(strategy))]
    name = _name(type(strategy))
    return f"{name}({', '.join(options)})" if options else name


def _name(kind: type[Strategy]) -> str:
    where = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name, place in STRATEGIES.items() if place == where), kind.__name__)


def _bound(strategy: Strategy) -> tuple[inspect.Signature, dict[str, Any]]:
    arguments, options = vars(strategy).get("_call", ((), {}))
    signature = inspect.signature(type(strategy))
    return signature, signature.bind(*arguments, **options).arguments


def _places(strategy: Strategy) -> list[Any]:
    """What was given without a name and has none: the strategies of a composite."""
    signature, given = _bound(strategy)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL and name in given:
            return list(getattr(strategy, "children", given[name]))
    return []


def _named(strategy: Strategy) -> list[tuple[str, Any]]:
    """Options that are not at their defaults, by name."""
    signature, given = _bound(strategy)
    found: dict[str, Any] = {}
    for name, item in given.items():
        parameter = signature.parameters[name]
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found |= item
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL and _value(item) != _value(parameter.default):
            found[name] = item
    return sorted(found.items())


def _value(item: Any) -> str:
    if isinstance(item, Strategy) or (isinstance(item, type) and issubclass(item, Strategy)):
        text = written(item) if isinstance(item, Strategy) else _name(item)
        return repr(text) if ":" in text else text
    if isinstance(item, (np.ndarray, np.generic)):
        return _value(item.tolist())
    if isinstance(item, list):
        return f"[{', '.join(map(_value, item))}]"
    if isinstance(item, tuple):
        return f"({', '.join(map(_value, item))}{',' if len(item) == 1 else ''})"
    if isinstance(item, dict):
        return f"{{{', '.join(f'{_value(key)}: {_value(value)}' for key, value in item.items())}}}"
    return repr(item) if item is None or isinstance(item, (bool, int, float, str)) else type(item).__name__


def read(text: str) -> Strategy:
    """The strategy that a text such as "de(population=40)" makes.

    Raises:
        StrategyError: not such a text, an unknown name, or options the strategy does not have.
    """
    name, mark, options = text.partition("(")
    try:
        made = ast.parse(f"_({options}" if mark else "_()", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else error
        raise StrategyError(f"strategy {text!r}: {why}; write it as a call, such as 'de(population=40)'") from None
    if not isinstance(made, ast.Call) or not isinstance(made.func, ast.Name) or made.func.id != "_":
        raise StrategyError(f"strategy {text!r}: one call is expected, such as 'de(population=40)'")
    return _made(name.strip(), made)


def _made(name: str, call: ast.Call) -> Strategy:
    options = {item.arg: _item(item.value) for item in call.keywords if item.arg is not None}
    if len(options) < len(call.keywords):
        raise StrategyError(f"strategy {name!r}: options are written one by one, as name=value")
    return make_strategy(name, *map(_item, call.args), **options)


def _item(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return getattr(math, node.id) if node.id in ("inf", "nan") else make_strategy(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _made(node.func.id, node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _item(node.operand)
        if isinstance(number, (int, float)):
            return -number
    if isinstance(node, ast.List):
        return [_item(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_item(item) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_item(key): _item(item) for key, item in zip(node.keys, node.values, strict=True) if key is not None}
    raise StrategyError(
        f"strategy: {ast.unparse(node)!r} cannot be an option: numbers, texts, True, None, lists and strategies can"
    )
