"""9: what questions about the log cost when more of it is kept: the server's CPU for what always returns the same.

A look, a transaction and ids cost what they return. A row's history and a filter by table, column or text read what is kept:
their figures grow with it, and are for the length that a user can bound with `since`.
"""

from pathlib import Path

import psycopg
from lab import Lab

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.filter.parser import parse
from pg_events.log.listener import Listener
from pg_events.log.retained import Retained
from pg_events.triggers import build

_FILL = (
    "insert into pgevents.event (kind, table_schema, table_name, query, new_data)"
    " select 'I', 'bench', 't' || n %% 30, 'x', json_build_object('id', n, 'customer', n %% 977, 'note', 'at the door')"
    " from generate_series(1, %s) n"
)
_ASKED = (
    "id:{id}", "tx:{xid}", "since:2s", "table:t3 new.id:3", "op:D", "new.customer:-1", "query:nowhere", "nowhere",
)  # fmt: skip


def run(lab: Lab) -> None:
    found: dict[str, dict[str, float]] = {}
    for kept in (20_000, 200_000) if lab.quick else (100_000, 1_000_000):
        lab.tell(f"questions with {kept:,} events kept")
        url = lab.server.create_database(f"growth_{kept}")
        with connect(url, application_name="bench") as connection:
            assert not build.apply(url, build.make_plan(connection, Settings(database_url=url))).failed
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_FILL, [kept])
            connection.execute("vacuum analyze pgevents.event")
            connection.execute("select pg_sleep(2.5)")  # what comes now is all there is `since:2s`
            row = connection.execute(
                "insert into pgevents.event (kind, table_schema, table_name) values ('I', 'bench', 'last')"
                " returning id, xid::text"
            ).fetchone()
        assert row is not None
        for text in _ASKED:
            name = text.format(id="…", xid="…")
            found.setdefault(name, {})[f"{kept:,} kept"] = _cpu(url, text.format(id=row[0], xid=row[1]))
        found.setdefault("status: events and bytes", {})[f"{kept:,} kept"] = _cpu(url, None)
    for name, values in found.items():
        lab.keep(f"CPU of the server, ms: {name}", values)


def _cpu(url: str, text: str | None) -> float:
    with Listener(url, application_name="bench", wake_up=False) as listener:
        before = _ticks(listener.connection.info.backend_pid)
        if text is None:
            listener.connection.execute(sql.text("log_size.sql"))
        else:
            list(Retained(listener, parse(text)))
        return (_ticks(listener.connection.info.backend_pid) - before) * 10.0


def _ticks(pid: int) -> int:
    """Hundredths of a second of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
