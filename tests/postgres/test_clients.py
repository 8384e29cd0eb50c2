"""Schemas and clients that were not written here: Django, SQLAlchemy and pgbench.

Each writes in its own way on a database on which a build ran before; then every table, put together again from nothing
but its events, must hold exactly the rows that it holds.
"""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pg_events.demo.server import Server
from pg_events.event import Record
from pg_events.log.listener import EVERYTHING, Cursor, Listener
from pg_events.triggers import catalog


def log_of(url: str) -> list[Record]:
    with Listener(url, Cursor(EVERYTHING)) as listener:
        return [record for page in listener.pages() for record in page]


def rebuilt(records: list[Record]) -> dict[str, Counter[str]]:
    """Table -> its rows as JSON, from the events alone."""
    tables: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        rows = tables[f"{record.table_schema}.{record.table_name}"]
        if record.kind == "T":
            rows.clear()
        if record.old_data is not None:
            rows[record.old_data] -= 1
        if record.new_data is not None:
            rows[record.new_data] += 1
    return {name: +rows for name, rows in tables.items() if +rows}


def actual(connection: psycopg.Connection) -> dict[str, Counter[str]]:
    """Table -> its rows as JSON, as they are."""
    connection.execute("set timezone = 'UTC'")
    tables: dict[str, Counter[str]] = {}
    for table in catalog.tables(connection):
        if table.kind in ("table", "partitioned table"):
            name = sql.Identifier(table.schema, table.name)
            query = sql.SQL("select row_to_json(t)::text from {} t").format(name)
            rows = Counter(row[0] for row in connection.execute(query))
            if rows:
                tables[table.identity] = rows
    return tables


def uncovered(connection: psycopg.Connection) -> list[str]:
    return [table.identity for table in catalog.tables(connection) if table.state != "covered"]


def created(records: list[Record]) -> set[str]:
    found = (json.loads(record.ddl or "{}") for record in records if record.kind == "S")
    return {
        event["object_identity"]
        for event in found
        if event["command_tag"] == "CREATE TABLE" and event["object_type"] == "table"
    }


DJANGO = """
import os, sys
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": sys.argv[1], "USER": "postgres",
                           "HOST": sys.argv[2], "PORT": sys.argv[3]}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin",
                    "django.contrib.sessions", "django.contrib.messages"],
    USE_TZ=True, TIME_ZONE="UTC", SECRET_KEY="test", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()
from django.core.management import call_command
from django.db import transaction

call_command("migrate", verbosity=0)
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.db.models import F

users = [User.objects.create_user(f"user{i}", password="secret") for i in range(5)]
User.objects.bulk_create([User(username=f"bulk{i}", email=f"{i}@example.org") for i in range(300)])
editors = Group.objects.create(name="editors")
editors.permissions.set(Permission.objects.all()[:7])
for user in users:
    user.groups.add(editors)
User.objects.filter(username__startswith="bulk").update(is_staff=True, last_name=F("username"))
LogEntry.objects.create(user=users[0], action_flag=ADDITION, object_repr="a thing", change_message="{}",
                        content_type=ContentType.objects.get_for_model(Group))
session = SessionStore()
session["cart"] = [1, 2, 3]
session.save()
session["cart"] = []
session.save()
try:
    with transaction.atomic():
        User.objects.create(username="never")
        raise ValueError
except ValueError:
    pass
users[0].delete()
User.objects.filter(username__endswith="7").delete()
"""


def test_djangos_own_migrations_and_its_orm_are_captured_to_the_last_row(
    built_database_url: str, tmp_path: Path
) -> None:
    pytest.importorskip("django")
    (tmp_path / "run.py").write_text(DJANGO)
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        info = connection.info
        subprocess.run(
            [sys.executable, "run.py", info.dbname, info.host, str(info.port)],
            cwd=tmp_path, check=True, env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip

        records = log_of(built_database_url)

        assert uncovered(connection) == []
        assert created(records) == {table.identity for table in catalog.tables(connection)}
        assert len(rebuilt(records)["public.auth_user"]) > 250
        assert rebuilt(records) == actual(connection)


def test_sqlalchemy_creates_bulk_inserts_and_alters_and_every_row_is_an_event(built_database_url: str) -> None:
    sa = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")

    class Base(orm.DeclarativeBase):
        pass

    class Author(Base):
        __tablename__ = "author"
        id = orm.mapped_column(sa.Integer, primary_key=True)
        name = orm.mapped_column(sa.String(50))
        books = orm.relationship("Book", cascade="all, delete-orphan")

    class Book(Base):
        __tablename__ = "Book"
        id = orm.mapped_column(sa.Integer, primary_key=True)
        author_id = orm.mapped_column(sa.ForeignKey("author.id"))
        price = orm.mapped_column(sa.Numeric(8, 2))

    with psycopg.connect(built_database_url, autocommit=True) as connection:
        engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(built_database_url))
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session:
            session.add_all([Author(name=f"a{i}", books=[Book(price=i + 0.5), Book(price=i)]) for i in range(20)])
            session.commit()
            session.execute(sa.insert(Book), [{"author_id": 1 + i % 20, "price": i} for i in range(2000)])
            session.execute(sa.update(Author).where(Author.id < 5).values(name="renamed"))
            session.delete(session.get(Author, 3))
            session.commit()
            session.add(Author(name="never"))
            session.flush()
            session.rollback()
        records_before = log_of(built_database_url)
        whole = rebuilt(records_before) == actual(connection)
        with engine.begin() as alter:
            alter.execute(sa.text("alter table \"Book\" add column title text default 'untitled'"))
            alter.execute(sa.insert(Author), [{"name": "after"}])
        engine.dispose()
        records = log_of(built_database_url)

        assert whole
        assert uncovered(connection) == []
        assert created(records) == {"public.author", 'public."Book"'}
        tags = [json.loads(record.ddl or "{}")["command_tag"] for record in records if record.kind == "S"]
        assert tags[-1] == "ALTER TABLE"
        assert (records[-1].kind, json.loads(records[-1].new_data or "{}")["name"]) == ("I", "after")


def test_pgbenchs_own_workload_is_captured_completely(server: Server, built_database_url: str) -> None:
    programs = getattr(server, "_binaries", None)
    if programs is None or not (programs / "pgbench").exists():
        pytest.skip("this server comes without pgbench")
    clients, transactions = 8, 60

    def pgbench(*options: str) -> None:
        subprocess.run([str(programs / "pgbench"), *options, built_database_url], check=True, capture_output=True)

    pgbench("-i", "-s", "1", "-q")
    pgbench("-n", "-c", str(clients), "-t", str(transactions))
    records = log_of(built_database_url)

    done = clients * transactions
    count = Counter((record.table_name, record.kind) for record in records if record.kind != "S")
    assert count["pgbench_history", "I"] == done
    assert count["pgbench_accounts", "U"] == count["pgbench_branches", "U"] == count["pgbench_tellers", "U"] == done
    assert count["pgbench_accounts", "I"] == 100_000
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        assert rebuilt(records) == actual(connection)
