"""Capture rules of tables: as written in the settings, and as resolved by the database."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pg_events.config.settings import Settings

COLUMN_KINDS: Final = ("only", "drop", "mask", "hash")
"""Treatments of a column: kept exclusively, dropped, masked, hashed."""

Choices = Mapping[str, Mapping[str, Sequence[str]]]
"""Patterns of columns, or conditions, by pattern of tables, by kind.

Kinds are `only`, `drop`, `mask`, `hash`, `when`, and those of `WHOLE_KINDS`.
"""

WHOLE_KINDS: Final = {
    "skip_unchanged": ("skip_unchanged", "PG_EVENTS_SKIP_UNCHANGED"),
    "replicated": ("capture_replicated", "PG_EVENTS_CAPTURE_REPLICATED"),
    "by_row": ("row_triggers", "PG_EVENTS_ROW_TRIGGERS"),
}
"""Rules for a table as a whole, by patterns of tables alone: field of `Settings` and constant, by kind."""


@dataclass(frozen=True)
class Choice:
    """Capture rules of one table; without rules, everything is captured."""

    only: tuple[str, ...] | None = None
    """Only columns that are kept; None if the settings name none for this table."""
    drop: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    """SQL conditions; a change is skipped if one of them is false."""
    skip_unchanged: bool = False
    """True to skip updates that change no captured column."""
    replicated: bool = False
    """True to also capture replicated changes, such as those of a subscription."""
    by_row: bool = False
    """True to capture rows by row triggers."""
    tables: tuple[tuple[str, str], ...] = ()
    """Current and former names (schema, table) of the table that match patterns of the settings."""
    earlier: Mapping[str, tuple[str, ...]] | None = None
    """Former names by column, by which patterns of the settings match it."""

    @property
    def keeps_query(self) -> bool:
        """True if events keep the client's SQL text, which could reveal redacted columns."""
        return self.only is None and not (self.drop or self.mask or self.hash)

    @property
    def words(self) -> str:
        """Text to display: `without password · email hashed · when new.total > 100`; empty if everything is captured."""
        parts: list[str] = []
        if self.only is not None:
            parts.append(f"only {_listed(self.only) or 'no column'}")
        if self.drop:
            parts.append(f"without {_listed(self.drop)}")
        if self.mask:
            parts.append(f"{_listed(self.mask)} masked")
        if self.hash:
            parts.append(f"{_listed(self.hash)} hashed")
        parts += [f"when {' '.join(condition.split())}" for condition in self.when]
        if self.skip_unchanged:
            parts.append("no unchanged updates")
        if self.replicated:
            parts.append("replicated changes, too")
        if not self.keeps_query:
            parts.append("no SQL text")
        return " · ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """JSON for `status --json`, without defaults."""
        found: dict[str, Any] = {} if self.only is None else {"only": list(self.only)}
        for name in ("drop", "mask", "hash", "when"):
            if getattr(self, name):
                found[name] = list(getattr(self, name))
        return found | {name: True for name in WHOLE_KINDS if getattr(self, name)}


EVERYTHING: Final = Choice()
_SHOWN: Final = 4
"""Maximum number of columns that are named; more are counted."""


def _listed(columns: Sequence[str]) -> str:
    if len(columns) <= _SHOWN:
        return ", ".join(columns)
    return f"{', '.join(columns[: _SHOWN - 1])} and {len(columns) - _SHOWN + 1} more"


def parse(options: str | None) -> Choice:
    """Parse the rules that `coverage.sql` passes to the triggers of a table; None if there are none."""
    if options is None:
        return EVERYTHING
    told: dict[str, Any] = json.loads(options)
    columns: dict[str, list[list[str]]] = {
        kind: [names for _, names in sorted(told[kind].items(), key=lambda item: int(item[0]))]
        for kind in COLUMN_KINDS
        if kind in told
    }
    return Choice(
        only=tuple(names[0] for names in columns["only"]) if "only" in columns else None,
        drop=tuple(names[0] for names in columns.get("drop", ())),
        mask=tuple(names[0] for names in columns.get("mask", ())),
        hash=tuple(names[0] for names in columns.get("hash", ())),
        when=tuple(told.get("when", ())),
        skip_unchanged=told.get("skip_unchanged", False),
        replicated=told.get("replicated", False),
        by_row=told.get("by_row", False),
        tables=tuple((schema, name) for schema, name in told["tables"]),
        earlier={names[0]: tuple(names[1:]) for found in columns.values() for names in found if len(names) > 1},
    )


# --- settings <-> choices -----------------------------------------------------------------------------------------


def choices(settings: Settings) -> Choices:
    """Rules of the settings, as stored in the database."""
    found: dict[str, dict[str, list[str]]] = {}

    def add(kind: str, table: str, texts: Iterable[str]) -> None:
        found.setdefault(kind, {}).setdefault(table, []).extend(texts)

    for table, columns in settings.include_columns.items():
        add("only", table, columns)
    for table, columns in settings.exclude_columns.items():
        add("drop", table, columns)
    for table, treatments in settings.redact.items():
        for column, treatment in treatments.items():
            add(treatment, table, [column])
    for table, condition in settings.when.items():
        add("when", table, [condition])
    for kind, (field, _) in WHOLE_KINDS.items():
        for table in getattr(settings, field):
            add(kind, table, ["*"])
    return found


def written(settings: Settings) -> str:
    """`choices()` as canonical JSON."""
    return json.dumps(choices(settings), sort_keys=True)


def with_choices(settings: Settings, kept: str) -> Settings:
    """Settings with the rules of an earlier build instead of their own."""
    found = cast("dict[str, dict[str, list[str]]]", json.loads(kept))
    redact: dict[str, dict[str, str]] = {}
    for kind in ("mask", "hash"):
        for table, columns in found.get(kind, {}).items():
            redact.setdefault(table, {}).update(dict.fromkeys(columns, kind))
    return replace(
        settings,
        include_columns={table: tuple(columns) for table, columns in found.get("only", {}).items()},
        exclude_columns={table: tuple(columns) for table, columns in found.get("drop", {}).items()},
        redact=redact,
        when={table: conditions[0] for table, conditions in found.get("when", {}).items()},
        skip_unchanged=tuple(found.get("skip_unchanged", {})),
        capture_replicated=tuple(found.get("replicated", {})),
        row_triggers=tuple(found.get("by_row", {})),
    )


# --- what matches nothing -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """Table with all its names, for `unmatched()`."""

    schema: str
    name: str
    columns: Sequence[str]
    choice: Choice = EVERYTHING


def unmatched(settings: Settings, tables: Sequence[Named]) -> Iterator[str]:
    """Warnings for patterns of the settings that match no covered table, or no column of the matching tables."""
    for constant, pattern, columns in _patterns(settings):
        found = [table for table in tables if matches(pattern, table.schema, table.name)]
        if not found:
            former = [table for table in tables if any(matches(pattern, *name) for name in table.choice.tables)]
            yield f"{constant}: no covered table matches {pattern!r}" + "".join(
                f"; {table.schema}.{table.name} had that name and is still treated so" for table in former[:1]
            )
        for column in columns if found else ():
            like = _regex(column)
            if any(like.fullmatch(name) for table in found for name in table.columns):
                continue
            where = f"{found[0].schema}.{found[0].name}" if len(found) == 1 else f"any table that matches {pattern!r}"
            former_columns = [
                now
                for table in found
                for now, names in (table.choice.earlier or {}).items()
                if any(like.fullmatch(name) for name in names)
            ]
            yield f"{constant}: there is no column {column!r} in {where}" + "".join(
                f"; {now} had that name and is still treated so" for now in former_columns[:1]
            )


def _patterns(settings: Settings) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield constant, pattern of tables, and patterns of columns."""
    for table, columns in settings.include_columns.items():
        yield "PG_EVENTS_INCLUDE_COLUMNS", table, columns
    for table, columns in settings.exclude_columns.items():
        yield "PG_EVENTS_EXCLUDE_COLUMNS", table, columns
    for table, treatments in settings.redact.items():
        yield "PG_EVENTS_REDACT", table, tuple(treatments)
    for table in settings.when:
        yield "PG_EVENTS_WHEN", table, ()
    for field, constant in WHOLE_KINDS.values():
        for table in getattr(settings, field):
            if table != "*":
                yield constant, table, ()


def redacted(choices: str, schema: str, name: str) -> Iterator[re.Pattern[str]]:
    """Names of the masked or hashed columns of a table, by the stored rules of a build."""
    found = cast("dict[str, dict[str, list[str]]]", json.loads(choices))
    for kind in ("mask", "hash"):
        for table, columns in found.get(kind, {}).items():
            if matches(table, schema, name):
                yield from map(_regex, columns)


def matches(pattern: str, schema: str, name: str) -> bool:
    """Return True if a name or a glob, with or without a schema, matches the table."""
    return _regex(pattern).fullmatch(f"{schema}.{name}" if "." in pattern else name) is not None


def _regex(glob: str) -> re.Pattern[str]:
    """Regex of a glob as in coverage.sql: * and ? are special, all other characters literal."""
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
