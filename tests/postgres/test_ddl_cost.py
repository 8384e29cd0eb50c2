"""What DDL costs does not grow with the database: nothing reads a catalog from end to end, no matter when it was planned."""

from collections import Counter

import psycopg
import pytest

TABLES = 300
A_WHOLE_CATALOG = 3 * TABLES
"""Each table has more rows than that in any catalog that tells of tables."""
CATALOGS = "select c.oid, c.relname from pg_class c where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'i')"
COMMANDS = """
create table new (id integer primary key, v text not null, f real)
create table copied as select 1 as a
create table child () inherits (grown)
create table part3 partition of parted for values in (3)
alter table grown add column {0} integer
alter table grown add column {0}_f interval
alter table grown drop column {0}
alter table grown alter column v set default 'x'
alter table grown rename v to w
alter table new add foreign key (id) references grown
alter table parted detach partition part2
alter table parted attach partition part2 for values in (2)
create index on grown (w)
create view seen as select * from grown
create function nothing() returns trigger language plpgsql as 'begin return null; end'
create trigger mine after insert on grown for each row execute function nothing()
create policy mine on grown using (true)
comment on table grown is 'x'
grant select on grown to public
drop policy mine on grown
drop trigger mine on grown
drop function nothing()
drop view seen
drop table child
drop table part3
drop table copied
drop table new
alter table grown rename w to v
""".strip().split("\n")


class Reads:
    """How many rows, or entries of an index, a session reads of each catalog; to ask reads none."""

    def __init__(self, db: psycopg.Connection) -> None:
        self._db = db
        self._names = dict(db.execute(CATALOGS).fetchall())

    def so_far(self) -> Counter[str]:
        found = self._db.execute(
            "select o, pg_stat_get_xact_tuples_returned(o) from unnest(%s::oid[]) o", [list(self._names)]
        ).fetchall()
        return Counter({self._names[oid]: rows for oid, rows in found})


@pytest.fixture
def grown(db: psycopg.Connection) -> psycopg.Connection:
    """A session that has done all of it among few tables, and has made hundreds since."""
    db.execute(
        "create table grown (id integer primary key, v text);"
        " create table parted (id integer) partition by list (id);"
        " create table part1 partition of parted for values in (1);"
        " create table part2 partition of parted for values in (2)"
    )
    for command in COMMANDS:
        db.execute(command.format("before").encode())
    # One by one: so many changes at once make the session forget its plans.
    for number in range(TABLES):
        db.execute(f"create table t{number} (id integer primary key, v text)".encode())
    return db


def test_no_command_reads_a_catalog_from_end_to_end(grown: psycopg.Connection) -> None:
    reads = Reads(grown)
    far: dict[str, list[str]] = {}
    for command in COMMANDS:
        with grown.transaction():
            before = reads.so_far()
            grown.execute(command.format("after").encode())
            read = reads.so_far() - before
        if whole := [catalog for catalog, rows in read.items() if rows >= A_WHOLE_CATALOG]:
            far[command] = whole

    assert far == {}
