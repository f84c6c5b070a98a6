"""Parameters written on a command line: `name:kind[arguments]:option=value ... if condition`.

    order:int[2,64]                 tlen:int[1,999]:log             size:int[0,100]:step=5
    x:float[0,1]                    lr:float[1e-4,1e-1]:log:digits=3      w:float[0,1]:precision=2
    mf:cat[hc3,hc4,bt2]             level:ordinal[low,mid,high]     flag:bool
    p:perm[a,b,c]                   s:subset[a,b,c]:min=1           f:fixed[3]
    pb:int[0,4] if method==lzma2    (a word that is no parameter is a text, quotes are optional)
    v:float[0,1]:size=3             k:int[1,9]:default=5

Words in brackets that are numbers become numbers, quoted ones stay texts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...core.choices import Boolean, Choice, Fixed, Permutation, Subset
from ...core.errors import ExpressionError, SpaceError
from ...core.expression import Expression
from ...core.parameter import Float, Integer, Parameter
from ...core.space import Space

_NAME = re.compile(r"[A-Za-z_]\w*")
_ITEM = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^,\]"']*?))\s*([,\]])""")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|\"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_OPTION = re.compile(r"\s*:\s*(\w+)\s*(?:=\s*(\"[^\"]*\"|'[^']*'|[^\s:]+))?")
_IF = re.compile(r"\s+if\s+(.+)$", re.DOTALL)
_WORDS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[A-Za-z_][\w-]*")
_KEYWORDS = frozenset(["and", "or", "not", "in", "if", "else", "True", "False", "None"])

_INTEGER = {"log", "step", "size", "default"}
_FLOAT = {"log", "step", "precision", "digits", "size", "default"}
_KINDS: dict[str, tuple[Callable[..., Parameter], set[str]]] = {
    "int": (Integer, _INTEGER),
    "float": (Float, _FLOAT),
    "cat": (lambda *items, **more: Choice(items, **more), {"default"}),
    "ordinal": (lambda *items, **more: Choice(items, ordered=True, **more), {"default"}),
    "bool": (Boolean, {"default"}),
    "perm": (lambda *items, **more: Permutation(items, **more), set()),
    "subset": (lambda *items, **more: Subset(items, **more), {"min", "max"}),
    "fixed": (Fixed, set()),
}
_ALIASES = {"integer": "int", "real": "float", "choice": "cat", "ordered": "ordinal", "boolean": "bool",
            "permutation": "perm", "i": "int", "r": "float", "c": "cat", "o": "ordinal"}  # fmt: skip


def _wrong(text: str, at: int, why: str) -> SpaceError:
    return SpaceError(f"parameter: {why}\n  {text}\n  {' ' * at}^")


def parse_param(text: str) -> tuple[str, Parameter, str | None]:
    """(name, parameter, condition or None) of one such text.

    Raises:
        SpaceError: what is wrong, with a caret under the place.
    """
    condition, body = None, text
    if match := _IF.search(_QUOTED.sub(lambda quoted: "_" * len(quoted.group()), text)):  # an option may be " if "
        condition, body = text[match.start(1) :].strip(), text[: match.start()]
    name = _NAME.match(body)
    if name is None:
        raise _wrong(text, 0, "a name (letters, digits, _) is expected first, as in 'order:int[2,64]'")
    at = name.end()
    if body[at : at + 1] != ":":
        raise _wrong(text, at, f"':' and a kind are expected after the name, as in '{name.group()}:int[2,64]'")
    kind_match = _NAME.match(body, at + 1)
    given = kind_match.group() if kind_match else ""
    kind = _ALIASES.get(given, given)
    if kind not in _KINDS:
        near = difflib.get_close_matches(kind, _KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_KINDS)}"
        raise _wrong(text, at + 1, f"unknown kind {given!r}; {hint}")
    at += 1 + len(given)
    items, at = _items(text, body, at)
    options = _options(text, body, at, kind)
    return name.group(), _build(text, name.group(), kind, items, options), condition


def _items(text: str, body: str, at: int) -> tuple[list[Any], int]:
    """What stands in brackets, and where they end."""
    if body[at : at + 1] != "[":
        return [], at
    at += 1
    items: list[Any] = []
    while True:
        match = _ITEM.match(body, at)
        if match is None:
            raise _wrong(text, min(at, len(body)), "',' or ']' is expected here; is a bracket or a quote not closed?")
        double, single, bare, end = match.groups()
        quoted = double if double is not None else single
        if quoted is None and not bare:
            if end == "]" and not items:
                return [], match.end()
            raise _wrong(text, match.start(4), "a value is expected here; write '' for an empty text")
        items.append(_value(bare) if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
        if end == "]":
            return items, at


def _options(text: str, body: str, at: int, kind: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    allowed = _KINDS[kind][1]
    while body[at:].strip():
        match = _OPTION.match(body, at)
        if match is None:
            raise _wrong(text, at, "an option such as ':log' or ':step=5', or ' if condition' is expected here")
        key, given = match.groups()
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"{kind} knows: {', '.join(sorted(allowed)) or 'no options'}"
            )
            raise _wrong(text, match.start(1), f"{kind} has no option {key!r}; {hint}")
        if key == "log":
            if given is not None:
                raise _wrong(text, match.start(2), "log takes no value")
            options[key] = True
        elif given is None:
            raise _wrong(text, match.end(), f"{key} needs a value: {key}=...")
        elif given[0] in "\"'":
            options[key] = given[1:-1]
        else:
            options[key] = _value(given)
        at = match.end()
    return options


def _value(word: str) -> Any:
    """An int, a float, or the word itself ("inf" and "nan" are words)."""
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word, re.ASCII):
        return word
    try:
        return int(word)
    except ValueError:
        return float(word)


def _build(text: str, name: str, kind: str, items: list[Any], options: dict[str, Any]) -> Parameter:
    numbers = kind in ("int", "float")
    if (numbers and len(items) != 2) or (kind == "fixed" and len(items) != 1) or (kind == "bool" and items):
        wanted = {"bool": "nothing", "fixed": "[value]"}.get(kind, "[low,high]")
        raise _wrong(text, len(name) + 1, f"{kind} takes {wanted}, got {items}")
    if kind in ("cat", "ordinal", "perm", "subset") and not items:
        raise _wrong(text, len(name) + 1, f"{kind} takes [one,two,...], got nothing")
    if kind == "bool" and isinstance(options.get("default"), str):
        options["default"] = read_value(Boolean(), options["default"], name)
    try:
        return _KINDS[kind][0](*items, **options)
    except (SpaceError, TypeError) as error:
        raise _wrong(text, len(name) + 1, f"{name}: {error}") from None


def build_space(texts: Iterable[str], require: Iterable[str] = ()) -> Space:
    """A space from such texts, and requirements between parameters such as 'lc + lp <= 4'.

    Raises:
        SpaceError: a text, a condition or a requirement that cannot be.
    """
    parsed = [parse_param(text) for text in texts]
    if not parsed:
        raise SpaceError("nothing to tune: give at least one parameter, for instance --param 'level:int[1,9]'")
    parameters: dict[str, Parameter] = {}
    for name, parameter, _ in parsed:
        if name in parameters:
            raise SpaceError(f"parameter {name!r} comes twice")
        parameters[name] = parameter
    for name, parameter, condition in parsed:
        if condition is not None:
            parameter.when = quote_words(condition, parameters, f"the condition of {name!r}")
    return Space(parameters, require=[quote_words(text, parameters, "the constraint") for text in require])


def quote_words(text: str, parameters: Mapping[str, Parameter], what: str) -> str:
    """`text` with every word that is no parameter in quotes, if it is an option of a parameter.

    Raises:
        SpaceError: a word that is neither, or no parameter at all; the message names near ones.
    """
    words = {str(label) for item in parameters.values() for label in _labels(item)}
    known = [*parameters, *words]

    def quote(match: re.Match[str]) -> str:
        word = match.group()
        if word[0] in "\"'" or word in _KEYWORDS or word in parameters or text[match.end() :].lstrip()[:1] == "(":
            return word
        if word not in words:
            pieces = word.split("-")
            if len(pieces) > 1 and all(piece in parameters or piece.isdigit() for piece in pieces):
                return word  # a difference
            near = difflib.get_close_matches(word, known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"parameters: {', '.join(parameters)}"
            raise SpaceError(f"{what} {text!r} mentions {word!r}, which is no parameter and no option; {hint}")
        return repr(word)

    quoted = _WORDS.sub(quote, text)
    try:
        expression = Expression(quoted)
    except ExpressionError as error:
        raise SpaceError(f"{what}: {error}") from None
    if not expression.names:
        raise SpaceError(f"{what} {text!r} mentions no parameter; known: {', '.join(parameters)}")
    return quoted


def _labels(parameter: Parameter) -> Sequence[Any]:
    items = getattr(parameter, "items", None)
    return list(items.objects) if items is not None else []


def read_value(parameter: Parameter, text: Any, name: str) -> Any:
    """A parameter's value from the text a person writes for it ('16', 'yes', 'a,b,c').

    Raises:
        SpaceError: it is not one of the parameter's values.
    """
    if not isinstance(text, str):
        return text
    if isinstance(parameter, Boolean):
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if text.lower() not in words:
            raise SpaceError(f"parameter {name!r}: true or false is expected, got {text!r}")
        return words[text.lower()]
    if isinstance(parameter, (Integer, Float)):
        parts = [_value(item.strip()) for item in text.split(",")]
        return parts if parameter.size is not None else (parts[0] if len(parts) == 1 else text)
    labels = {str(item): item for item in _labels(parameter)}
    if isinstance(parameter, (Permutation, Subset)):
        return [labels.get(item.strip(), item.strip()) for item in text.split(",") if item.strip()]
    return labels.get(text, _value(text) if isinstance(parameter, Fixed) else text)


def read_preset(space: Space, given: str | Mapping[str, Any]) -> dict[str, Any]:
    """A point from 'order=6 mem=16' (split at spaces as a shell would) or a mapping of texts or values.

    Raises:
        SpaceError: an unknown name, a missing one, or an impossible value.
    """
    import shlex

    if isinstance(given, str):
        pairs = [part.partition("=") for part in shlex.split(given)]
        bad = next((part for part, sign, _ in pairs if not sign), None)
        if bad is not None:
            raise SpaceError(f"preset {given!r}: name=value pairs are expected, got {bad!r}")
        given = {name: value for name, _, value in pairs}
    point: dict[str, Any] = {}
    for name, value in given.items():
        if name not in space.parameters:
            near = difflib.get_close_matches(name, space.names, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(space.names)}"
            raise SpaceError(f"preset: {name!r} is no parameter; {hint}")
        point[name] = read_value(space.parameters[name], value, name)
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Fixed) and name not in point:
            continue
        if name not in point and parameter.default is not None:
            point[name] = parameter.default
    reals = space.from_params([point])
    return dict(space.to_params(reals)[0])
