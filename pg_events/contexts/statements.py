"""Statements as far as the context is concerned: which of them write, and which begin or end a transaction.

A look at the first keyword, after comments, decides. No statement is parsed: a mistake costs a context that is sent for
nothing, or an event that has none, and never the statement.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Control = Literal["begin", "end", "savepoint", "release", "rollback to", "unknown"]
"""Effect of a statement on the settings of a transaction; `unknown` may have changed them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One text that a driver sends, of one statement or several."""

    writes: bool = False
    """True if it changes data or a schema, or may do so by calling what is not seen: CALL, DO, EXECUTE."""
    fits_block: bool = True
    """False if a transaction block around it could make it fail: VACUUM, CREATE INDEX CONCURRENTLY, CALL."""
    is_single: bool = True
    control: Control | None = None
    savepoint: str = ""
    """Name of the savepoint that `control` is about."""
    sets_context: bool = False
    """True if it sets `pgevents.context` itself."""


def read_statement(text: str) -> Statement:
    """Classify a statement. A SELECT is a read, also FOR UPDATE and when a function that it calls writes."""
    return _cached(text) if len(text) <= _CACHED_CHARACTERS else _read(text)


_CACHED_CHARACTERS: Final = 4096

_GAP: Final = r"(?:\s++|--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/|[(;]++)*+"
_HEAD: Final = re.compile(rf"{_GAP}([a-z]+)", re.IGNORECASE)

# Everything in which a keyword or a semicolon is not one: comments, strings, quoted names, dollar quotes.
_OPAQUE: Final = re.compile(
    "|".join(
        (
            r"--[^\n]*+",
            r"/\*(?:[^*]++|\*(?!/))*+\*/",
            r"\be'(?:[^'\\]++|\\.|'')*+'",
            r"'(?:[^']++|'')*+'",
            r'"(?:[^"]++|"")*+"',
            r"(\$(?:[a-z_]\w*)?\$).*?\1",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)

_WRITES: Final = frozenset(
    "truncate create alter drop comment grant revoke reassign refresh import security call do execute".split()  # noqa: SIM905
)
_WITHOUT_BLOCK: Final = frozenset({"call", "do", "execute"})
"""Writes that can end a transaction themselves, which a transaction block forbids."""
_ALONE: Final = re.compile(r"\b(?:concurrently|database|tablespace|system|subscription)\b", re.IGNORECASE)
"""Words of DDL that is not allowed, or not always, in a transaction block."""
_DML: Final = re.compile(r"(?<!for )(?<!for no key )\b(?:insert|update|delete|merge)\b", re.IGNORECASE)
_CONTROLS: Final = frozenset(
    "begin start commit end abort rollback savepoint release prepare reset discard set".split()  # noqa: SIM905
)
_SAVEPOINT: Final = re.compile(
    r"(?P<word>savepoint|release|(?:rollback|abort)(?:\s+(?:work|transaction))?\s+to)\s+(?:savepoint\s+)?"
    r'(?P<name>"(?:[^"]|"")+"|\w+)',
    re.IGNORECASE,
)


def _read(text: str) -> Statement:
    if (head := _HEAD.match(text)) is None:
        return Statement()
    # Looked at first, since most statements have none: nothing after this scans a long text without need.
    if ";" in text and text.find(";") < len(text.rstrip(" \t\r\n;")):
        parts = [part for part in _OPAQUE.sub(_blank, text).split(";") if part.strip()]
        if len(parts) > 1:
            return _several([_read(part) for part in parts], text)
    return _one(head[1].lower(), text, head.start(1))


_cached: Final = lru_cache(maxsize=512)(_read)


def _several(parts: list[Statement], text: str) -> Statement:
    has_control = any(part.control for part in parts)
    return Statement(
        writes=any(part.writes for part in parts),
        fits_block=not has_control and all(part.fits_block for part in parts),
        is_single=False,
        control="unknown" if has_control else None,
        sets_context=_sets_context(text),
    )


def _one(keyword: str, text: str, start: int) -> Statement:
    if keyword in ("select", "values", "table", "show", "fetch"):
        return Statement(sets_context=_sets_context(text))
    if keyword in ("insert", "update", "delete", "merge"):
        return Statement(writes=True)
    if keyword in _CONTROLS:
        return _control(keyword, text[start:])
    if keyword in ("with", "explain", "copy"):
        return Statement(writes=_may_write(keyword, _OPAQUE.sub(_blank, text[start:])))
    if keyword in _WRITES:
        return Statement(
            writes=True, fits_block=keyword not in _WITHOUT_BLOCK and not _ALONE.search(_OPAQUE.sub(_blank, text))
        )
    return Statement(fits_block=False)


def _may_write(keyword: str, text: str) -> bool:
    if keyword == "copy" and not re.match(r"copy\s*\(", text, re.IGNORECASE):
        return re.search(r"\bfrom\b", text, re.IGNORECASE) is not None
    if keyword == "explain" and not re.search(r"\banalyze\b", text, re.IGNORECASE):
        return False
    return _DML.search(re.sub(r"\s+", " ", text)) is not None


def _control(keyword: str, text: str) -> Statement:
    if found := _SAVEPOINT.match(text):
        name = found["name"] if found["name"][0] == '"' else found["name"].lower()
        match found["word"][:2].lower():
            case "sa":
                return Statement(fits_block=False, control="savepoint", savepoint=name)
            case "re":
                return Statement(fits_block=False, control="release", savepoint=name)
            case _:
                return Statement(fits_block=False, control="rollback to", savepoint=name)
    control: Control | None
    match keyword:
        case "begin" | "start":
            control = "begin"
        case "commit" | "end":
            control = "end"
        case "rollback" | "abort" if not re.search(r"\bto\b", text, re.IGNORECASE):
            control = "end"
        case "prepare":
            control = "end" if re.match(r"prepare\s+transaction\b", text, re.IGNORECASE) else None
        case "set":
            control = None
        case _:
            control = "unknown"
    return Statement(fits_block=False, control=control, sets_context=_sets_context(text))


def _sets_context(text: str) -> bool:
    return "pgevents.context" in text


def _blank(found: re.Match[str]) -> str:
    return "''" if found[0][0] not in "-/" else " "
