"""Masks values, so that a log can be shared. Pure.

A text becomes `***` and six letters that are equal for equal texts of one export, so that related rows can be recognised;
the key is random for each export and never stored. Numbers become 0, true becomes false, null stays. The SQL of clients
may hold values anywhere, so it is removed from every event.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase

from pg_events.errors import UsageError
from pg_events.event import raw_members
from pg_events.text import MASK, one_line

_ENVELOPE = frozenset({"id", "xid", "at", "table_schema", "table_name", "method", "command_tag", "object_type"})
"""Keys that identify an event, without which it would be useless."""
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|(true)')
"""Pattern of a string, perhaps a key; a number; or `true`."""
_TOKEN_OR_BRACKET = re.compile(_TOKEN.pattern + r"|([{\[\]}])")


_KNOWN = 10_000
"""Maximum columns and paths whose result is cached."""


class Redaction:
    """Masks the values of payloads."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Parse the patterns. Raises `UsageError`.

        A pattern is a column (`email`, `users.email`, `shop.*.email`), a path into its JSON (`orders.meta.card`, where
        array elements have the path of their array), a key of the context (`context.user`), or a `/regex/` that is
        searched in every text and number.
        """
        self._key = secrets.token_bytes(16)
        self._columns: dict[str, str] = {}
        self._regexes: dict[str, re.Pattern[str]] = {}
        self._used: set[str] = set()
        self._wanted: dict[tuple[str, ...], bool] = {}
        for pattern in patterns:
            if pattern.startswith("/") and pattern.endswith("/") and len(pattern) > 2:
                try:
                    self._regexes[pattern] = re.compile(pattern[1:-1])
                except re.error as error:
                    raise UsageError(f"--redact {one_line(pattern)}: invalid regular expression: {error}") from error
            elif pattern.strip("."):
                self._columns[pattern] = pattern.casefold()
            else:
                raise UsageError("--redact takes a column, such as users.email, or a /regex/")

    @property
    def patterns(self) -> list[str]:
        """Patterns as given."""
        return [*self._columns, *self._regexes]

    @property
    def unused(self) -> list[str]:
        """Patterns that masked nothing, perhaps because they are misspelled."""
        return [pattern for pattern in (*self._columns, *self._regexes) if pattern not in self._used]

    def __call__(self, payload: str) -> str:
        """Mask a payload; unmasked text stays exactly as it was."""
        members = dict(raw_members(payload))
        members.pop("query", None)
        schema, table = (_text(members.get(name, '""')) for name in ("table_schema", "table_name"))
        for name, value in members.items():
            if name in ("old_data", "new_data") and value != "null":
                members[name] = _object(self._row(schema, table, value))
            elif name == "context" and value.startswith("{"):
                members[name] = _object(self._context(value))
            elif name not in _ENVELOPE:
                members[name] = self._searched(value)
        return _object(members.items())

    def _context(self, context: str) -> Iterator[tuple[str, str]]:
        """Mask keys of the context, whose patterns are `context.user`."""
        for key, value in raw_members(context):
            searched = self._searched(value)
            if self._is_masked("context", key):
                yield key, _each(value, self._mask, _nothing)
            elif value.lstrip()[:1] in ("{", "["):
                yield key, self._masked_below(searched, ("context", key))
            else:
                yield key, searched

    def _row(self, schema: str, table: str, row: str) -> Iterator[tuple[str, str]]:
        for column, value in raw_members(row):
            searched = self._searched(value)  # first: a /regex/ counts as used even if its matches are masked anyway
            is_masked = self._is_masked(schema, table, column)
            if is_masked:
                yield column, _each(value, self._mask, _nothing)
            elif value.lstrip()[:1] in ("{", "[") and any("." in pattern for pattern in self._columns):
                # What a /regex/ masked has the same keys in the same places.
                yield column, self._masked_below(searched, (schema, table, column))
            else:
                yield column, searched

    def _masked_below(self, value: str, names: tuple[str, ...]) -> str:
        """Mask the values of a JSON object or array that match the path of a pattern."""
        path = [*names]
        opened: list[int] = []  # at each open bracket: how long the path was before it
        hidden: list[int] = []  # the length of the path from which on everything is masked

        def one(match: re.Match[str]) -> str:
            text, colon, number, true, bracket = match.groups()
            if colon is not None:
                del path[opened[-1] :]
                path.append(_text(text))
                while hidden and len(path) <= hidden[-1]:
                    hidden.pop()
                if not hidden and self._is_masked(*path):
                    hidden.append(len(path))
                return match[0]
            if bracket is not None:
                if bracket in "{[":
                    opened.append(len(path))
                else:
                    del path[opened.pop() :]
                return bracket
            if not hidden or len(path) < hidden[-1]:
                return match[0]
            if text is None:
                return _nothing(number or true)
            masked = self._mask(_text(text))
            return json.dumps(masked, ensure_ascii=False)

        return _TOKEN_OR_BRACKET.sub(one, value)

    def _is_masked(self, *names: str) -> bool:
        """Return True if a pattern matches the column, or the path into it."""
        known = self._wanted.get(names)
        if known is None:
            found = [given for given in self._columns if _names(given, names)]
            self._used.update(found)
            known = bool(found)
            if len(self._wanted) < _KNOWN:  # keys of JSON can be values, without limit to their number
                self._wanted[names] = known
        return known

    def _searched(self, value: str) -> str:
        for given, regex in self._regexes.items():
            value = _each(value, *self._masks(given, regex))
        return value

    def _masks(self, given: str, regex: re.Pattern[str]) -> tuple[Callable[[str], str], Callable[[str], str]]:
        def number(text: str) -> str:
            if regex.search(text) is None:
                return text
            self._used.add(given)
            return "0"

        return lambda text: self._replaced(given, regex, text), number

    def _replaced(self, given: str, regex: re.Pattern[str], text: str) -> str:
        masked = regex.sub(lambda match: self._mask(match[0]) if match[0] else "", text)
        if masked != text:
            self._used.add(given)
        return masked

    def _mask(self, text: str) -> str:
        if not text:
            return text
        return MASK + hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:6]


def names_column(pattern: str, schema: str, table: str, column: str) -> bool:
    """Return True if `email`, `users.email` or `shop.*.email` matches the column, or `meta.card` a value in it."""
    names = (schema, table, column)
    if _names(pattern, names):
        return True
    parts = pattern.casefold().split(".")
    return any(
        len(parts) > 3 - start
        and all(fnmatchcase(name.casefold(), part) for name, part in zip(names[start:], parts, strict=False))
        for start in range(3)
    )


def _names(pattern: str, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(".".join(names[start:]).casefold(), pattern.casefold()) for start in range(3))


MASKED = re.compile(r"\*\*\*[0-9a-f]{6}")
"""Pattern of a masked text, or a masked part of one."""


def _nothing(value: str) -> str:
    return "false" if value == "true" else "0"


def _each(value: str, mask: Callable[[str], str], other: Callable[[str], str]) -> str:
    """JSON value with all texts masked, at any depth, and all numbers and `true` replaced; keys stay."""

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return other(match[0])
        if match[2] is not None:
            return match[0]
        text = _text(match[1])
        masked = mask(text)
        return match[1] if masked == text else json.dumps(masked, ensure_ascii=False)

    return _TOKEN.sub(one, value)


def _text(value: str) -> str:
    found = json.loads(value)
    return found if isinstance(found, str) else ""


def _object(members: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {value}" for name, value in members) + "}"
