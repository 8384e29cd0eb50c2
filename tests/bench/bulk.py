"""2: statements of many rows, long statements, large rows."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from lab import Lab, milliseconds, samples
from psycopg.sql import SQL, Composed
from variants import FILL, VARIANTS, table

_COLUMNS = SQL("customer, status, total, note, amount, paid, details")
_COPIED = '7\tnew\t12.50\tleave it at the door\t3\tf\t{"sku": "A7"}\n'


@dataclass(frozen=True)
class _Statement:
    title: str
    change: Callable[[psycopg.Connection, str], object]
    filled: int = 0
    """Rows that are in the table before."""


def run(lab: Lab) -> None:
    rows = 20_000 if lab.quick else 100_000
    few, many = 5_000, 50_000
    for statement in (
        _Statement(f"INSERT … SELECT of {rows:,} rows", _executed(lambda v: FILL.format(table=table(v), rows=rows))),
        _Statement(f"COPY of {rows:,} rows", lambda connection, variant: _copy(connection, variant, rows)),
        _Statement(
            f"UPDATE of {rows:,} rows",
            _executed(lambda v: SQL("update {} set status = 'paid', updated = now()").format(table(v))),
            rows,
        ),
        _Statement(f"DELETE of {rows:,} rows", _executed(lambda v: SQL("delete from {}").format(table(v))), rows),
        _Statement(f"INSERT … VALUES of {few:,} rows", _executed(lambda v: _values(v, few))),
        _Statement(f"INSERT … VALUES of {many:,} rows", _executed(lambda v: _values(v, many))),
        _Statement("INSERT of a row of 1 MB", _executed(lambda v: _large(v, 1))),
        _Statement("INSERT of a row of 50 MB", _executed(lambda v: _large(v, 50))),
    ):
        _measure(lab, statement)
    short, long = (lab.figures[f"INSERT … VALUES of {rows:,} rows: ms{lab.suffix}"] for rows in (few, many))
    lab.keep(
        f"INSERT … VALUES, cost of a row, {many:,} ÷ {few:,}",
        {v: round(long[v] / short[v] / (many / few), 2) for v in VARIANTS if v in long and v in short},
    )


def _measure(lab: Lab, statement: _Statement) -> None:
    found = samples()
    failed: dict[str, str] = {}
    limit = 10 if lab.quick else 60
    for variant in lab.turns(statement.title):
        if variant in failed:
            continue
        if statement.filled:
            lab.connection.execute(FILL.format(table=table(variant), rows=statement.filled))
        lab.connection.execute(SQL("set statement_timeout = {}").format(limit * 1000))
        begin = time.perf_counter()
        try:
            statement.change(lab.connection, variant)
        except psycopg.errors.InvalidParameterValue:
            # 8,000 bytes are the most that NOTIFY carries: with that design the user's own statement fails.
            assert variant == "notify"
            failed[variant] = "fails"
        except psycopg.errors.QueryCanceled:
            # The text of the statement for each of its rows: the square of the statement's length.
            assert variant != "pg_events"
            failed[variant] = f"over {limit} s"
        else:
            found[variant].append(milliseconds(begin))
        finally:
            lab.connection.execute("reset statement_timeout")
    lab.keep_samples(
        f"{statement.title}: ms", {v: times for v, times in found.items() if v not in failed}, failed=failed
    )


def _executed(text: Callable[[str], Composed]) -> Callable[[psycopg.Connection, str], object]:
    return lambda connection, variant: connection.execute(text(variant))


def _copy(connection: psycopg.Connection, variant: str, rows: int) -> None:
    with connection.cursor().copy(SQL("copy {} ({}) from stdin").format(table(variant), _COLUMNS)) as copy:
        for _ in range(rows // 1000):
            copy.write(_COPIED * 1000)


def _values(variant: str, rows: int) -> Composed:
    row = SQL("(7, 'new', 12.50, 'leave it at the door', 3, false, '{{}}')").format()
    return SQL("insert into {} ({}) values {}").format(table(variant), _COLUMNS, SQL(", ").join([row] * rows))


def _large(variant: str, megabytes: int) -> Composed:
    """A text that compresses about as well as prose does: half of it repeats."""
    return SQL(
        "insert into {} (note) select string_agg(md5(i::text) || repeat('x', 32), '') from generate_series(1, {}) i"
    ).format(table(variant), megabytes * 16384)
