"""Command templates: argv elements with placeholders, substituted one by one, never through a shell.

    {name}          the parameter, or one of {out} {back} {folder} {instance} {number}
    {name:format}   numbers and text: Python's format (".3f", "04d"); booleans: "yes|no", "yes" alone (nothing
                    for false), or "d" (1 and 0); lists (permutations, subsets, vectors): the separator instead of ","
    {?...}          a segment that vanishes when a parameter in it is inactive, or a boolean in it gives an empty text;
                    an element that is one whole segment becomes several elements, split at its spaces
    {{ }}           literal braces
    > file, < file  (elements of their own) where standard output goes and standard input comes from

An element vanishes when it mentions parameters and every one of them is inactive, or when nothing but empty booleans
is left of it. Floats are written with the fewest digits that read back equal, integers as integers, booleans as
true / false.
A text value that begins with "-" is refused where it would start an element, because the program would take it for an
option: join it to a flag (--name={value}), put it after "--", or allow it on purpose with {name:-}. Numbers may be
negative anywhere.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import CommandError

_TOKEN = re.compile(r"\{\{|\}\}|\{\?|\{([^{}:?]*)(?::([^{}]*))?\}|[{}]")
_SHELL = frozenset(["|", "||", "&&", ";", "&", ">>", "<<", "2>", "2>&1", "&>"])


@dataclass(frozen=True, slots=True)
class Field:
    """A placeholder."""

    name: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part that vanishes as a whole."""

    pieces: tuple[str | Field | Segment, ...]


Piece = str | Field | Segment


def fields_of(pieces: Iterable[Piece]) -> list[Field]:
    """Every placeholder, segments' included, in order."""
    found: list[Field] = []
    for piece in pieces:
        if isinstance(piece, Field):
            found.append(piece)
        elif isinstance(piece, Segment):
            found += fields_of(piece.pieces)
    return found


def parse_element(text: str) -> tuple[Piece, ...]:
    """The pieces of one argv element.

    Raises:
        CommandError: a brace that opens or closes nothing, an empty placeholder; a caret shows the place.
    """
    stack: list[list[Piece]] = [[]]
    opened: list[int] = []
    at = 0
    while match := _TOKEN.search(text, at):
        if match.start() > at:
            stack[-1].append(text[at : match.start()])
        found, at = match.group(), match.end()
        if opened and found == "}}":  # the end of a segment in a segment's field, never a literal brace
            found, at = "}", match.start() + 1
        if found in ("{{", "}}"):
            stack[-1].append(found[0])
        elif found == "{?":
            opened.append(match.start())
            stack.append([])
        elif found == "}" and opened:
            opened.pop()
            inner = tuple(stack.pop())
            if not fields_of(inner):
                raise _misplaced(text, match.start(), "this segment {?...} mentions no placeholder")
            stack[-1].append(Segment(inner))
        elif found in ("{", "}"):
            raise _misplaced(text, match.start(), f"this {found!r} has no partner; write {found * 2} for a literal one")
        elif not (match.group(1) or "").strip():
            raise _misplaced(text, match.start(), "a placeholder needs a name: {name}")
        else:
            stack[-1].append(Field(match.group(1).strip(), match.group(2) or ""))
    if opened:
        raise _misplaced(text, opened[-1], "this segment {? is not closed")
    if at < len(text):
        stack[-1].append(text[at:])
    return tuple(stack[0])


def _misplaced(text: str, at: int, why: str) -> CommandError:
    return CommandError(f"command template: {why}\n  {text}\n  {' ' * at}^")


def render_value(value: Any, form: str, name: str) -> str:
    """A value as a program should read it.

    Raises:
        CommandError: a format that does not suit the value, or a NUL character in the text.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()  # a NumPy scalar or array
    try:
        if isinstance(value, bool):
            text = _boolean(value, form)
        elif isinstance(value, (list, tuple)):
            text = (form or ",").join(render_value(item, "", name) for item in value)
        elif form and not (form == "-" and isinstance(value, str)):
            text = format(value, form)
        else:
            text = repr(value) if isinstance(value, float) else str(value)
    except (ValueError, TypeError) as error:
        raise CommandError(f"placeholder {{{name}:{form}}}: {value!r} cannot be written so: {error}") from None
    if "\0" in text:
        raise CommandError(f"placeholder {{{name}}}: {text!r} holds a NUL character, which no program can be given")
    return text


def _boolean(value: bool, form: str) -> str:
    if not form:
        return "true" if value else "false"
    if form == "d":
        return str(int(value))
    yes, _, no = form.partition("|")
    return yes if value else no


class Template:
    """A parsed command line.

    given: a string (split as a shell would, but nothing else of a shell happens) or a list of argv elements.
    role: what the command is for, used in messages.
    """

    def __init__(self, given: str | Sequence[str], role: str = "command") -> None:
        self.role = role
        self.elements = _split(given, role)
        self.given = list(self.elements)
        self.stdin, self.stdout = _redirections(self.elements, role)
        if not self.elements:
            raise CommandError(f"{role}: a program and its arguments are expected, got {given!r}")
        self._parsed = [parse_element(element) for element in self.elements]
        self._in = parse_element(self.stdin) if self.stdin is not None else None
        self._out = parse_element(self.stdout) if self.stdout is not None else None

    @property
    def fields(self) -> list[Field]:
        """Every placeholder in it."""
        pieces = [piece for element in self._parsed for piece in element]
        return fields_of([*pieces, *(self._in or ()), *(self._out or ())])

    @property
    def names(self) -> list[str]:
        """The names of the placeholders, each once, in order."""
        return list(dict.fromkeys(item.name for item in self.fields))

    @property
    def literals(self) -> list[str]:
        """The elements without placeholders (the input redirection too)."""
        pairs = [*zip(self.elements, self._parsed, strict=True), *([(self.stdin, self._in)] if self.stdin else [])]
        return [str(text) for text, pieces in pairs if not fields_of(pieces or ())]

    def check(self, known: Sequence[str]) -> None:
        """Raise CommandError, with near names and the place, for a placeholder that is not in `known`."""
        for element, pieces in zip(self.elements, self._parsed, strict=True):
            for item in fields_of(pieces):
                if item.name not in known:
                    near = difflib.get_close_matches(item.name, known, n=2)
                    hint = f"did you mean {{{near[0]}}}?" if near else f"known: {', '.join(known)}"
                    at = max(element.find("{" + item.name), 0)
                    raise CommandError(
                        f"{self.role}: unknown placeholder {{{item.name}}}; {hint} "
                        f"(literal braces are written {{{{ and }}}})\n  {element}\n  {' ' * at}^"
                    )

    def argv(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The argv for `values` (names of placeholders that are missing are inactive parameters)."""
        result: list[str] = []
        for element, pieces in zip(self.elements, self._parsed, strict=True):
            for part in _words(pieces, values):
                text = self._render(part, values, element, guarded="--" not in result)
                if text is not None:
                    result.append(text)
        return tuple(result)

    def files(self, values: Mapping[str, Any]) -> tuple[Path | None, Path | None]:
        """Where standard input comes from and standard output goes to."""
        names = [
            None if pieces is None else self._render(pieces, values, "redirection") for pieces in (self._in, self._out)
        ]
        return Path(names[0]) if names[0] else None, Path(names[1]) if names[1] else None

    def _render(
        self, pieces: Sequence[Piece], values: Mapping[str, Any], element: str, *, guarded: bool = False
    ) -> str | None:
        own = [item for item in pieces if isinstance(item, Field)]
        missing = [item.name for item in own if item.name not in values]
        everything = fields_of(pieces)
        if everything and all(item.name not in values for item in everything):
            return None
        if missing:
            raise CommandError(
                f"{self.role}: {element!r} mentions the inactive {missing[0]} beside active parameters; put what "
                f"depends on it into a segment: {{?...{{{missing[0]}}}}}"
            )
        texts = [piece if isinstance(piece, str) else _text(piece, values) for piece in pieces]
        text = "".join(texts)
        if not text and own and all(isinstance(values[item.name], bool) for item in own):
            return None
        first = _first(pieces, values)
        if guarded and text.startswith("-") and first is not None and first.form != "-" and _wordy(values[first.name]):
            raise CommandError(
                f"{self.role}: {first.name} = {values[first.name]!r} begins with '-' and would be read as an option; "
                f"join it to a flag (--{first.name}={{{first.name}}}), put it after '--', or allow it with "
                f"{{{first.name}:-}}"
            )
        return text


def _text(piece: Field | Segment, values: Mapping[str, Any]) -> str:
    if isinstance(piece, Field):
        return render_value(values[piece.name], piece.form, piece.name)
    if not _alive(piece, values):
        return ""
    return "".join(item if isinstance(item, str) else _text(item, values) for item in piece.pieces)


def _first(pieces: Sequence[Piece], values: Mapping[str, Any]) -> Field | None:
    """The placeholder that the text begins with; None: it begins with what the template says."""
    for piece in pieces:
        if isinstance(piece, str) or _text(piece, values):
            if isinstance(piece, Segment):
                return _first(piece.pieces, values)
            return piece if isinstance(piece, Field) else None
    return None


def _wordy(value: Any) -> bool:
    """A text, or a list with texts: what could be the name of an option."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and any(map(_wordy, value)))


def _alive(segment: Segment, values: Mapping[str, Any]) -> bool:
    """Whether everything directly in it is active, and no boolean in it says nothing."""
    own = [item for item in segment.pieces if isinstance(item, Field)]
    if any(item.name not in values for item in own):
        return False
    return not any(isinstance(values[item.name], bool) and not _text(item, values) for item in own)


def _words(pieces: tuple[Piece, ...], values: Mapping[str, Any]) -> list[Sequence[Piece]]:
    """An element as it is; one that is a whole segment split at its spaces (nothing, if the segment vanishes)."""
    if len(pieces) != 1 or not isinstance(pieces[0], Segment):
        return [pieces]
    if not _alive(pieces[0], values):
        return []
    words: list[list[Piece]] = [[]]
    for piece in pieces[0].pieces:
        first, *more = piece.split(" ") if isinstance(piece, str) else [piece]
        words[-1] += [first] if first else []
        words += [[word] if word else [] for word in more]
    return [word for word in words if word]


def _split(given: str | Sequence[str], role: str) -> list[str]:
    if isinstance(given, str):
        try:
            elements = shlex.split(given)
        except ValueError as error:
            raise CommandError(f"{role}: {given!r} cannot be split into arguments: {error}") from None
        for element in elements:
            if element in _SHELL:
                raise CommandError(
                    f"{role}: {element!r} is a shell's, and there is no shell; only '> file' and '< file' are "
                    "understood. For a pipeline give the shell yourself: ['sh', '-c', '...']"
                )
        return elements
    if not isinstance(given, Sequence) or not all(isinstance(item, (str, Path)) for item in given):
        raise CommandError(f"{role}: a string or a list of strings is expected, got {given!r:.80}")
    return [str(item) for item in given]


def _redirections(elements: list[str], role: str) -> tuple[str | None, str | None]:
    """Take '< file' and '> file' out of `elements`."""
    found: dict[str, str | None] = {"<": None, ">": None}
    while len(elements) >= 3 and elements[-2] in found:
        sign, name = elements[-2:]
        if found[sign] is not None:
            raise CommandError(f"{role}: {sign!r} comes twice")
        found[sign] = name
        del elements[-2:]
    if elements and elements[-1] in found:
        raise CommandError(f"{role}: a file is expected after {elements[-1]!r}")
    return found["<"], found[">"]
