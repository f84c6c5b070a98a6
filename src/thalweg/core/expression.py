"""Expressions that people write: conditions, requirements, metrics. Parsed and whitelisted, never `eval`ed.

The grammar is a part of Python's: numbers, strings, True, False, None, names, + - * / // % **, comparisons (also
chained), `in` / `not in` a list, and / or / not, `a if c else b`, calls of known functions. One evaluator serves single
values and columns of n values alike.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ExpressionError

LONGEST = 4000
DEEPEST = 60

Functions = Mapping[str, Callable[..., Any]]


def _extreme(pick: Callable[..., Any], columns: Callable[..., Any]) -> Callable[..., Any]:
    def function(*items: Any) -> Any:
        if any(isinstance(item, np.ndarray) for item in items):
            result = items[0]
            for item in items[1:]:
                result = columns(result, item)
            return result
        return pick(*items)

    return function


def _either(scalar: Callable[..., Any], column: Callable[..., Any]) -> Callable[..., Any]:
    return lambda item, *more: column(item) if isinstance(item, np.ndarray) else scalar(item, *more)


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "min": _extreme(min, np.minimum),
    "max": _extreme(max, np.maximum),
    "abs": abs,
    "round": _either(round, np.round),
    "floor": _either(math.floor, np.floor),
    "ceil": _either(math.ceil, np.ceil),
    "sqrt": _either(math.sqrt, np.sqrt),
    "exp": _either(math.exp, np.exp),
    "log": _either(math.log, np.log),
    "log2": _either(math.log2, np.log2),
    "log10": _either(math.log10, np.log10),
    "len": len,
    "sum": sum,
}

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    text: as written.  names: the names it uses (functions apart).  bare: unknown names stand for strings.
    """

    text: str
    functions: Functions = field(default_factory=lambda: ARITHMETIC, repr=False, compare=False)
    bare: bool = False
    tree: ast.expr = field(init=False, repr=False, compare=False)
    names: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        tree = _parse(self.text)
        names: dict[str, None] = {}
        _check(tree, self.text, self.functions, names, 0)
        object.__setattr__(self, "tree", tree)
        object.__setattr__(self, "names", tuple(names))

    def evaluate(self, known: Mapping[str, Any]) -> Any:
        """Its value where names have the values in `known`: single ones, or columns (n,).

        Raises:
            ExpressionError: a name that `known` lacks, or an operation that fails (a division by zero, a string minus 1).
        """
        try:
            return self._value(self.tree, known)
        except ExpressionError:
            raise
        except (ArithmeticError, TypeError, ValueError, IndexError) as error:
            raise ExpressionError(f"{self.text!r} cannot be computed: {type(error).__name__}: {error}") from error

    def require_names(self, allowed: Iterable[str], what: str) -> None:
        """Raise ExpressionError, with near names, if it uses a name that is not in `allowed`."""
        allowed = list(allowed)
        for name in self.names:
            if name not in allowed:
                near = difflib.get_close_matches(name, allowed, n=2)
                hint = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(allowed) or 'nothing'}"
                raise ExpressionError(f"{what} {self.text!r} uses {name!r}, which is not known{hint}")

    def _value(self, node: ast.expr, known: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                if node.id in known:
                    return known[node.id]
                if self.bare:
                    return node.id
                near = difflib.get_close_matches(node.id, known, n=2)
                hint = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(map(str, known))}"
                raise ExpressionError(f"{self.text!r} uses {node.id!r}, which is not known{hint}")
            case ast.BinOp(op=ast.Pow()):
                return _power(self._value(node.left, known), self._value(node.right, known))
            case ast.BinOp():
                return _BINARY[type(node.op)](self._value(node.left, known), self._value(node.right, known))
            case ast.UnaryOp():
                return _unary(node.op, self._value(node.operand, known))
            case ast.BoolOp():
                return self._boolean(node, known)
            case ast.Compare():
                return self._comparison(node, known)
            case ast.IfExp():
                return self._choice(node, known)
            case ast.List() | ast.Tuple():
                return [self._value(item, known) for item in node.elts]
            case ast.Call(func=ast.Name(id=name)):
                return self.functions[name](*[self._value(item, known) for item in node.args])
        raise ExpressionError(f"{self.text!r}: {type(node).__name__} is not allowed")

    def _boolean(self, node: ast.BoolOp, known: Mapping[str, Any]) -> Any:
        both = isinstance(node.op, ast.And)
        result: Any = both
        for item in node.values:
            value = self._value(item, known)
            if isinstance(value, np.ndarray) or isinstance(result, np.ndarray):
                result = np.logical_and(result, value) if both else np.logical_or(result, value)
            else:
                result = bool(value)
                if result != both:  # short circuit, as in Python
                    return result
        return result

    def _comparison(self, node: ast.Compare, known: Mapping[str, Any]) -> Any:
        left = self._value(node.left, known)
        result: Any = True
        for op, item in zip(node.ops, node.comparators, strict=True):
            right = self._value(item, known)
            if isinstance(op, (ast.In, ast.NotIn)):
                step = _contained(left, right)
                step = np.logical_not(step) if isinstance(op, ast.NotIn) else step
            else:
                step = _COMPARE[type(op)](left, right)
            result = np.logical_and(result, step) if isinstance(step, np.ndarray) else bool(step) and result
            left = right
        return result

    def _choice(self, node: ast.IfExp, known: Mapping[str, Any]) -> Any:
        test = self._value(node.test, known)
        if isinstance(test, np.ndarray):
            return np.where(test, self._value(node.body, known), self._value(node.orelse, known))
        return self._value(node.body if test else node.orelse, known)


def _parse(text: str) -> ast.expr:
    if not isinstance(text, str) or not text.strip():
        raise ExpressionError(f"an expression is a non-empty string, got {text!r}")
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression has at most {LONGEST} characters, got {len(text)}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise ExpressionError(f"{text!r} is not an expression{place}: {getattr(error, 'msg', error)}") from None


def _check(node: ast.expr, text: str, functions: Functions, names: dict[str, None], depth: int) -> None:
    """Refuse everything that is not in the grammar, before anything is evaluated."""
    if depth > DEEPEST:
        raise ExpressionError(f"{text[:60]!r}... is nested more than {DEEPEST} deep")
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return
        case ast.Name():
            names[node.id] = None
            return
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.FloorDiv() | ast.Mod() | ast.Pow()):
            children: list[ast.expr] = [node.left, node.right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not()):
            children = [node.operand]
        case ast.BoolOp():
            children = node.values
        case ast.Compare() if not any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            children = [node.left, *node.comparators]
        case ast.IfExp():
            children = [node.test, node.body, node.orelse]
        case ast.List() | ast.Tuple():
            children = node.elts
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            if name not in functions:
                near = difflib.get_close_matches(name, functions, n=2)
                hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(functions))}"
                raise ExpressionError(f"{text!r} calls {name!r}, which is not a known function; {hint}")
            children = node.args
        case _:
            raise ExpressionError(
                f"{text!r}: {type(node).__name__} is not allowed; an expression has numbers, strings, names, "
                "+ - * / // % **, comparisons, in, and, or, not, a if c else b, and known functions"
            )
    for child in children:
        _check(child, text, functions, names, depth + 1)


def _power(base: Any, exponent: Any) -> Any:
    """`base ** exponent` in floats where integers would grow without bound."""
    if isinstance(base, int) and isinstance(exponent, int) and (abs(exponent) > 64 or abs(base) > 2**53):
        return float(base) ** exponent
    return base**exponent


def _unary(op: ast.unaryop, value: Any) -> Any:
    if isinstance(op, ast.Not):
        return np.logical_not(value) if isinstance(value, np.ndarray) else not value
    return -value if isinstance(op, ast.USub) else +value


def _contained(item: Any, items: Any) -> Any:
    if not isinstance(item, np.ndarray):
        return item in items
    result = np.zeros(len(item), dtype=bool)
    for other in items:
        result |= item == other
    return result


@dataclass(frozen=True)
class Comparison:
    """A measured constraint such as "latency <= 100": `violation` says by how much it is missed."""

    text: str
    parts: tuple[tuple[Expression, str, Expression], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names it uses."""
        return tuple(dict.fromkeys(name for left, _, right in self.parts for name in (*left.names, *right.names)))

    def violation(self, known: Mapping[str, Any]) -> float:
        """0 where it holds, else by how much it is missed, summed over its parts (>= 0; inf where it is not a number)."""
        total = 0.0
        for left, op, right in self.parts:
            excess = float(left.evaluate(known)) - float(right.evaluate(known))
            if op in (">=", ">"):
                excess = -excess
            elif op == "==":
                excess = abs(excess)
            # a strict comparison that holds with equality is missed by the smallest amount
            missed = excess > 0 or (op in ("<", ">") and excess == 0)
            total += max(excess, 5e-324) if missed else (math.inf if excess != excess else 0.0)
        return total


_SIGNS: dict[type[ast.cmpop], str] = {ast.LtE: "<=", ast.Lt: "<", ast.GtE: ">=", ast.Gt: ">", ast.Eq: "=="}


def parse_comparison(text: str, functions: Functions = ARITHMETIC) -> Comparison:
    """A measured constraint: one or more of <= < >= > ==, possibly chained or joined by `and`.

    Raises:
        ExpressionError: anything else.
    """
    tree = Expression(text, functions).tree
    nodes = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    parts: list[tuple[Expression, str, Expression]] = []
    for node in nodes:
        if not isinstance(node, ast.Compare) or any(type(op) not in _SIGNS for op in node.ops):
            raise ExpressionError(
                f"constraint {text!r}: expected comparisons such as 'latency <= 100', joined by 'and'"
            )
        sides = [Expression(ast.unparse(item), functions) for item in (node.left, *node.comparators)]
        parts += [(sides[i], _SIGNS[type(op)], sides[i + 1]) for i, op in enumerate(node.ops)]
    return Comparison(text, tuple(parts))
