"""Roles of all kinds in a database of their own, and what they are afterwards."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pg_events.cli import main
from pg_events.demo.server import Server


@dataclass(frozen=True)
class Place:
    """A database with roles."""

    url: str
    """As superuser."""
    prefix: str

    def role(self, kind: str) -> str:
        return "postgres" if kind == "superuser" else f"{self.prefix}_{kind}"

    def url_of(self, kind: str) -> str:
        return make_conninfo(self.url, user=self.role(kind))

    def run(self, kind: str, command: str) -> list[Any]:
        """Execute as a role, autocommit; the rows of the last statement."""
        with psycopg.connect(self.url_of(kind), autocommit=True) as connection:
            cursor = connection.execute(command.encode())
            return cursor.fetchall() if cursor.description else []


KINDS = ("superuser", "owner", "creator", "member", "reader", "worker", "nobody")


@pytest.fixture
def place(server: Server) -> Iterator[Place]:
    """A database that `owner` owns; `member` is a member of it, `creator` may create roles and schemas."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        prefix = f"r{connection.info.backend_pid}"
        for kind, options in (
            ("owner", ""), ("creator", "createrole"), ("member", ""), ("reader", ""), ("worker", ""), ("nobody", ""),
        ):  # fmt: skip
            connection.execute(f'create role "{prefix}_{kind}" login {options}'.encode())
        connection.execute(f'grant "{prefix}_owner" to "{prefix}_member"'.encode())
        connection.execute(f'create database "{prefix}" template template0 owner "{prefix}_owner"'.encode())
        found = Place(server.url(prefix), prefix)
        found.run("superuser", f'grant create on database "{prefix}" to "{prefix}_creator"')
        before = cluster(connection)
        yield found
        assert cluster(connection) == before, "roles, memberships or owners of the cluster changed"
        connection.execute(f'drop database "{prefix}" with (force)'.encode())
        for kind in KINDS[1:]:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(found.role(kind))))


def cluster(connection: psycopg.Connection) -> list[Any]:
    """Every role with its attributes, every membership, and who owns which database."""
    return [
        connection.execute(question).fetchall()
        for question in (
            "select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_roles order by 1",
            "select roleid::regrole::text, member::regrole::text, admin_option from pg_auth_members order by 1, 2, 3",
            "select datname, datdba::regrole::text from pg_database where datname !~ '^test_' order by 1",
        )
    ]


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., tuple[int, str]]]:
    """`code, text = call("status", "--database-url", url)`: the command in this process, without a terminal."""
    for name in [name for name in os.environ if name.startswith(("PG_EVENTS_SETTINGS", "PG_EVENTS_DATABASE", "PGP"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGAPPNAME", "")
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out + err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)
