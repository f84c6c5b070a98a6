"""Expressions that people write: conditions, requirements, metrics. Parsed and whitelisted, never `eval`ed.

The grammar is a part of Python's: numbers, strings, True, False, None, names, + - * / // % **, comparisons (also
chained), `in` / `not in` a list, and / or / not, `a if c else b`, calls of known functions. One evaluator serves single
values and columns of n values alike.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import Mask
from .errors import ExpressionError

LONGEST = 4000
DEEPEST = 150
"""Levels of nesting; a sum of n terms has n of them."""

Functions = Mapping[str, Callable[..., Any]]


def _number(item: Any) -> Any:
    """Columns of truth values as whole numbers: in Python True + True is 2, in NumPy it is True."""
    return item.astype(np.int64) if isinstance(item, np.ndarray) and item.dtype == np.bool_ else item


def _extreme(pick: Callable[..., Any], columns: Callable[..., Any]) -> Callable[..., Any]:
    def function(*items: Any) -> Any:
        if len(items) == 1 and isinstance(items[0], list):
            items = tuple(items[0])
        if len(items) < 2 or not any(isinstance(item, np.ndarray) for item in items):
            return pick(items) if len(items) > 1 else pick(*items)
        result = _number(items[0])
        for item in items[1:]:
            result = columns(result, _number(item))
        return result

    return function


def _either(scalar: Callable[..., Any], column: Callable[..., Any]) -> Callable[..., Any]:
    def function(*items: Any) -> Any:
        if any(isinstance(item, np.ndarray) for item in items):
            return column(*map(_number, items))
        return scalar(*items)

    return function


def _log(item: Any, *base: Any) -> Any:
    return np.log(item) / np.log(*base) if base else np.log(item)


def _round(item: Any, digits: Any = None) -> Any:
    if digits is not None and abs(digits) > 400:
        raise ValueError(f"rounding to {digits} digits")  # round(1, -10**9) would compute 10**10**9
    return round(item) if digits is None else round(item, digits)


def _rounded(items: Any, digits: Any = None) -> Any:
    """Either may be the column."""
    if digits is None:
        return np.round(items)
    # np.round(0.95, 1) is 1.0, because it multiplies first; Python looks at the exact value and says 0.9
    pairs = np.broadcast_arrays(items, digits)
    return np.array([_round(item, places) for item, places in zip(*(side.tolist() for side in pairs), strict=True)])


def _sum(items: Any) -> Any:
    if not isinstance(items, list):
        raise TypeError("sum() takes a list: sum([a, b])")
    return sum(map(_number, items))


def _lengths(column: Any) -> Any:
    return np.array([len(item) for item in column.tolist()], dtype=np.int64)


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "min": _extreme(min, np.minimum),
    "max": _extreme(max, np.maximum),
    "abs": _either(abs, np.abs),
    "round": _either(_round, _rounded),
    "floor": _either(math.floor, np.floor),
    "ceil": _either(math.ceil, np.ceil),
    "sqrt": _either(math.sqrt, np.sqrt),
    "exp": _either(math.exp, np.exp),
    "log": _either(math.log, _log),
    "log2": _either(math.log2, np.log2),
    "log10": _either(math.log10, np.log10),
    "len": _either(len, _lengths),
    "sum": _sum,
}


def _times(a: Any, b: Any) -> Any:
    if isinstance(a, (str, list)) or isinstance(b, (str, list)):
        raise TypeError("strings and lists are not multiplied")  # 'a' * 10**10 would fill the memory
    return a * b


def _modulo(a: Any, b: Any) -> Any:
    if isinstance(a, str):
        raise TypeError("% does not format strings")  # '%9999999999d' % 1 would fill the memory
    return a % b


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _modulo,
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
            ExpressionError: a name that `known` lacks, or an operation that fails (a division by zero, "a" - 1).
        """
        try:
            with np.errstate(all="ignore"):  # columns: 1 / 0 is inf in its row; comparisons with NaN are False
                return self._value(self.tree, known)
        except ExpressionError:
            raise
        except (ArithmeticError, TypeError, ValueError, LookupError, RecursionError, MemoryError) as error:
            raise ExpressionError(f"{self.text!r} cannot be computed: {type(error).__name__}: {error}") from error

    def require_names(self, allowed: Iterable[str], what: str) -> None:
        """Raise ExpressionError, with near names, if it uses a name that is not in `allowed`."""
        allowed = list(allowed)
        for name in self.names:
            if name not in allowed:
                near = _near(name, allowed)
                hint = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(allowed) or 'nothing'}"
                raise ExpressionError(f"{what} {self.text!r} uses {name!r}, which is not known{hint}")

    def compared(self) -> list[tuple[str, str]]:
        """(name, text) of every comparison for equality, or `in`, of a name with a text that is written out."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
                sides = [node.left, *node.comparators]
                sides += [item for side in sides if isinstance(side, (ast.List, ast.Tuple)) for item in side.elts]
                names = [side.id for side in sides if isinstance(side, ast.Name)]
                texts = [side.value for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)]
                found += [(name, text) for name in names[:1] for text in texts]
        return found

    def _value(self, node: ast.expr, known: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                if node.id in known:
                    return known[node.id]
                if self.bare:
                    return node.id
                near = _near(node.id, known)
                hint = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(map(str, known))}"
                raise ExpressionError(f"{self.text!r} uses {node.id!r}, which is not known{hint}")
            case ast.BinOp(op=ast.Pow()):
                return _power(_number(self._value(node.left, known)), _number(self._value(node.right, known)))
            case ast.BinOp():
                left, right = self._value(node.left, known), self._value(node.right, known)
                return _BINARY[type(node.op)](_number(left), _number(right))
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
        """`and` / `or` as in Python: the operand that decides, row by row for columns."""
        both = isinstance(node.op, ast.And)
        result = self._value(node.values[0], known)
        for item in node.values[1:]:
            if not isinstance(result, np.ndarray):
                if bool(result) != both:  # short circuit
                    return result
                result = self._value(item, known)
                continue
            value = self._value(item, known)
            if result.dtype == np.bool_ and (isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_):
                result = np.logical_and(result, value) if both else np.logical_or(result, value)
            else:
                true = _truth(result)
                result = np.where(true, value, result) if both else np.where(true, result, value)
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
            if result is False:  # short circuit
                return False
            left = right
        return result

    def _choice(self, node: ast.IfExp, known: Mapping[str, Any]) -> Any:
        test = self._value(node.test, known)
        if isinstance(test, np.ndarray):
            return np.where(_truth(test), self._value(node.body, known), self._value(node.orelse, known))
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
                near = _near(name, functions)
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


def _near(name: str, known: Iterable[str]) -> list[str]:
    """At most two names of `known` that look like `name`."""
    from difflib import get_close_matches

    return get_close_matches(name, list(known), n=2)


def _power(base: Any, exponent: Any) -> Any:
    """`base ** exponent` in floats where integers would grow without bound."""
    if isinstance(base, int) and isinstance(exponent, int) and (abs(exponent) > 64 or abs(base) > 2**53):
        return float(base) ** exponent
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base} ** {exponent} is not a real number")
    return result


def _unary(op: ast.unaryop, value: Any) -> Any:
    if isinstance(op, ast.Not):
        return ~_truth(value) if isinstance(value, np.ndarray) else not value
    value = _number(value)
    return -value if isinstance(op, ast.USub) else +value


def _truth(column: NDArray[Any]) -> Mask:
    """(n,) what `bool` says of each entry."""
    if column.dtype.kind in "OU":
        return np.array([bool(item) for item in column.tolist()], dtype=np.bool_)
    return np.asarray(column != 0, dtype=np.bool_)


def _contained(item: Any, items: Any) -> Any:
    """`item in items`, row by row where one of them is a column (of strings) or `items` is a list with columns."""
    if isinstance(items, np.ndarray):  # a column of strings: is `item` a part of each?
        parts = item.tolist() if isinstance(item, np.ndarray) else [item] * len(items)
        return np.array([part in whole for part, whole in zip(parts, items.tolist(), strict=True)], dtype=np.bool_)
    if isinstance(items, str):
        return np.array([part in items for part in item.tolist()]) if isinstance(item, np.ndarray) else item in items
    if not any(isinstance(other, np.ndarray) for other in (item, *items)):
        return item in items
    result: Any = False
    for other in items:
        result = np.logical_or(result, item == other)
    return result if items else np.zeros(len(item), dtype=np.bool_)


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
        """0 where it holds, else by how much it is missed, summed over its parts (>= 0; inf where it is NaN).

        Raises:
            ExpressionError: a side that cannot be computed or is not a number.
        """
        total = 0.0
        for left, op, right in self.parts:
            a, b = (self._side(side, known) for side in (left, right))
            excess = 0.0 if a == b else a - b  # inf <= inf holds
            if op in (">=", ">"):
                excess = -excess
            elif op == "==":
                excess = abs(excess)
            # a strict comparison that holds with equality is missed by the smallest amount
            missed = excess > 0 or (op in ("<", ">") and excess == 0)
            total += max(excess, 5e-324) if missed else (math.inf if math.isnan(excess) else 0.0)
        return total

    def _side(self, side: Expression, known: Mapping[str, Any]) -> float:
        value = side.evaluate(known)
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise ExpressionError(
                f"constraint {self.text!r}: a number is expected, but {side.text} is {value!r:.60}"
            ) from None


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
