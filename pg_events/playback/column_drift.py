"""Whether the tables are still those whose events were captured."""

from collections.abc import Mapping

import psycopg

from pg_events.db.connection import connect, translate
from pg_events.errors import DatabaseUnreachable
from pg_events.event import json_object
from pg_events.playback.source import Item, Source
from pg_events.triggers import catalog


class Drift:
    """What has changed in the tables since the events were captured."""

    def __init__(self, source: Source, database_url: str | None) -> None:
        """Without a database, or one that cannot be asked, nothing is told."""
        self._source = source
        self._now: Mapping[str, Mapping[str, str]] = {}
        self._told: set[str] = set()
        self.unknown: str | None = None
        """Why the database cannot be asked."""
        if database_url is not None:
            try:
                with connect(database_url, application_name="pg_events replay") as connection:
                    self._now = catalog.columns(connection)
            except psycopg.Error as error:
                self.unknown = str(translate(error, database_url))
            except DatabaseUnreachable as error:
                self.unknown = str(error)

    def of(self, item: Item) -> str | None:
        """What differs for the event's table, in words; None when nothing does, or it was told before."""
        if not self._now or item.table is None or item.table in self._told:
            return None
        self._told.add(item.table)
        now = self._now.get(item.table)
        if now is None:
            return f"{item.table}: there is no such table now, or it is not covered"
        then = self._source.columns.get(item.table)
        if then is None:
            then = _columns(item)
            # A row need not hold every column: some can be left out of what is captured. What came is not known.
            now = {name: kind for name, kind in now.items() if name in then}
        changes = difference(then, now) if then else []
        return f"{item.table} has changed since: {', '.join(changes)}" if changes else None


def difference(then: Mapping[str, str | None], now: Mapping[str, str]) -> list[str]:
    """Columns that came, went, or are of another type; a type of None is not known."""
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
