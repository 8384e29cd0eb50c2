"""Compares the tables with their columns at the time of capture."""

from collections.abc import Mapping

import psycopg

from pg_events.db.connection import connect, translate
from pg_events.errors import DatabaseUnreachable
from pg_events.event import json_object
from pg_events.playback.source import Item, Source
from pg_events.triggers import catalog


class Drift:
    """Changes of the tables since the events were captured."""

    def __init__(self, source: Source, database_url: str | None) -> None:
        """Prepare the comparison; it reports nothing without a reachable database."""
        self._source = source
        self._now: Mapping[str, Mapping[str, str]] = {}
        self._told: set[str] = set()
        self.unknown: str | None = None
        """Reason why the database cannot be queried."""
        if database_url is not None:
            try:
                with connect(database_url, application_name="pg_events replay") as connection:
                    self._now = catalog.columns(connection)
            except psycopg.Error as error:
                self.unknown = str(translate(error, database_url))
            except DatabaseUnreachable as error:
                self.unknown = str(error)

    def of(self, item: Item) -> str | None:
        """Describe the changes of the event's table; None if there are none, or they were reported before."""
        if not self._now or item.table is None or item.table in self._told:
            return None
        self._told.add(item.table)
        now = self._now.get(item.table)
        if now is None:
            return f"{item.table}: there is no such table now, or it is not covered"
        then = self._source.columns.get(item.table)
        if then is None:
            then = _columns(item)
            # A row need not hold every column: some can be excluded from capture. What came is not known.
            now = {name: kind for name, kind in now.items() if name in then}
        changes = difference(then, now) if then else []
        return f"{item.table} has changed since: {', '.join(changes)}" if changes else None


def difference(then: Mapping[str, str | None], now: Mapping[str, str]) -> list[str]:
    """Describe added, removed and retyped columns; a type of None is unknown."""
    return [
        *(f"- {name}{f' {kind}' if kind else ''}" for name, kind in then.items() if name not in now),
        *(f"+ {name} {kind}" for name, kind in now.items() if name not in then),
        *(
            f"~ {name} {kind} → {now[name]}"
            for name, kind in then.items()
            if kind and name in now and kind != now[name]
        ),
    ]


def _columns(item: Item) -> Mapping[str, str | None]:
    try:
        values = json_object(item.payload)
    except (ValueError, RecursionError):
        return {}
    row: Mapping[str, object] = values.get("new_data") or values.get("old_data") or {}
    return dict.fromkeys(row)
