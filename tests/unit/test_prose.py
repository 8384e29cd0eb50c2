"""Docstrings are plain English: they begin with a noun or a verb, and each is a sentence of its own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PLACES = (
    "pg_events/callbacks",
    "pg_events/cli",
    "pg_events/config",
    "pg_events/contexts",
    "pg_events/contrib",
    "pg_events/db",
    "pg_events/delivery",
    "pg_events/demo",
    "pg_events/diff",
    "pg_events/doctor",
    "pg_events/errors.py",
    "pg_events/event.py",
    "pg_events/files",
    "pg_events/filter",
    "pg_events/log",
    "pg_events/playback",
    "pg_events/testing",
    "pg_events/text",
    "pg_events/triggers",
    "tui/pg_events_tui/__init__.py",
    "tui/pg_events_tui/app",
    "tui/pg_events_tui/commands",
    "tui/pg_events_tui/dialogs",
    "tui/pg_events_tui/model",
    "tui/pg_events_tui/replay",
    "tui/pg_events_tui/screens",
    "tui/pg_events_tui/services",
    "tui/pg_events_tui/text",
    "tui/pg_events_tui/widgets",
)
"""Packages and modules that are checked."""

_OPENINGS = re.compile(
    r"(?:What|How|Where|As|Of|Whether|Which|The same|Those|So many|So much|So long|For people|Who|Whoever)\b"
)
_PHRASES = re.compile(
    r"\b(?:for ever|anew|at one go|spelt|lent|in hand|was not to be had|told of|mends?|some ?body|nobody|whoever"
    r"|(?<!there )is no (?!longer\b|more\b)|so many at most|it is said|stands? there|in whatever case)\b",
    re.IGNORECASE,
)


def _files() -> list[Path]:
    return [
        path
        for place in _PLACES
        for path in ([_ROOT / place] if place.endswith(".py") else sorted((_ROOT / place).rglob("*.py")))
    ]


def _docstrings(source: str) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether it is that of an attribute, for each docstring of a module."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for number, statement in enumerate(node.body):
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text, number > 0
                case _:
                    pass


def _complaint(text: str, of_attribute: bool) -> str | None:
    if opening := _OPENINGS.match(text):
        return f"opens with {opening[0]!r}"
    if phrase := _PHRASES.search(text):
        return f"says {phrase[0]!r}"
    if of_attribute and text.rstrip().endswith((";", ":", ",")):
        return "is not a whole sentence"
    return None


@pytest.mark.parametrize(
    ("text", "of_attribute", "complaint"),
    [
        ("Maximum concurrent clients.", True, None),
        ("Names of the callbacks, and what they print.", False, None),
        ("What stands there.", False, "opens with 'What'"),
        ("So many events at most are read ahead;", True, "opens with 'So many'"),
        ("Reconnects for ever.", False, "says 'for ever'"),
        ("Raise an error if the value is no number.", False, "says 'is no '"),
        ("The connection is no longer used.", False, None),
        ("None if there is no such table.", False, None),
        ("Interval between queries;", True, "is not a whole sentence"),
        ("Usage:", False, None),
    ],
)
def test_the_check_knows_plain_english(text: str, of_attribute: bool, complaint: str | None) -> None:
    assert _complaint(text, of_attribute) == complaint


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(_ROOT)))
def test_docstrings_are_plain_english(path: Path) -> None:
    found = [
        f"{path.name}:{line}: {complaint}: {text.splitlines()[0]}"
        for line, text, of_attribute in _docstrings(path.read_text(encoding="utf-8"))
        if (complaint := _complaint(text, of_attribute)) is not None
    ]

    assert not found, "\n".join(found)
