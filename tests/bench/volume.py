"""7: bytes of write-ahead log and of the log itself for each event."""

from lab import Lab
from psycopg.sql import SQL
from variants import FILL, LOGS, VARIANTS, clear, table

_SINGLE = SQL(
    "insert into {} (customer, status, total, note, amount, paid, details)"
    " values (7, 'new', 12.50, 'leave it at the door', 3, false, '{{\"sku\": \"A7\"}}')"
)


def run(lab: Lab) -> None:
    singles, rows = 2_000, 20_000
    written: dict[str, dict[str, dict[str, float]]] = {"WAL": {}, "log": {}}
    for variant in VARIANTS:
        for title, count in (("single INSERTs", singles), ("rows of one INSERT", rows)):
            lab.tell(f"bytes of {count:,} {title}: {variant}")
            clear(lab.connection)
            # The first change of a page after a checkpoint writes the whole page: these are new pages, or hot ones.
            before = _position(lab)
            if count == singles:
                for _ in range(singles):
                    lab.connection.execute(_SINGLE.format(table(variant)))
            else:
                lab.connection.execute(FILL.format(table=table(variant), rows=rows))
            written["WAL"].setdefault(title, {})[variant] = (_position(lab) - before) / count
            if variant in LOGS:
                written["log"].setdefault(title, {})[variant] = _size(lab, LOGS[variant]) / count
    for title, found in written["WAL"].items():
        lab.keep(
            f"{title}, bytes of WAL for the capture of each",
            {variant: round(value - found["none"]) for variant, value in found.items()},
        )
    for title, found in written["log"].items():
        lab.keep(f"{title}, bytes of log and indexes for each", {v: round(value) for v, value in found.items()})


def _position(lab: Lab) -> int:
    row = lab.connection.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()
    assert row is not None
    return row[0]


def _size(lab: Lab, logs: tuple[str, ...]) -> int:
    row = lab.connection.execute(
        "select sum(pg_total_relation_size(name::regclass))::bigint from unnest(%s::text[]) name", [list(logs)]
    ).fetchone()
    assert row is not None
    return row[0]
