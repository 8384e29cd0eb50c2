"""No statement of ours looks a name up where somebody else decides what it means.

Every command, worker, listener, the console's questions, the doctor, the metrics and a capture run against a database
whose `public` comes first on the search path and holds a function, operator, type or relation for every name that
pg_events uses. None of them may be met. And of every statement that the server was sent the server's log tells whether
`search_path` was pinned when it came.
"""

import itertools
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pg_events
import pg_events_tui
from pg_events.cli import main
from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.delivery.worker import Worker
from pg_events.demo.server import FAST, Server, binaries
from pg_events.log.listener import Listener
from pg_events.testing.capture import capture
from pg_events.triggers.build import apply, make_plan
from pg_events_tui.model.backend import Database, DatabaseFeed
from pg_events_tui.model.feed import Intake
from pg_events_tui.model.store import Store
from tests.conftest import adopt
from tests.pooling import bouncing, installed
from tests.waiting import Arrivals, until

HOSTILE = Path(__file__).with_name("hostile.sql").read_text()
pytestmark = pytest.mark.timeout(120)
LOGGED = {"log_statement": "all", "log_line_prefix": "\x1f%p\x1f%a\x1f", "log_min_messages": "log"}
DIRECT, POOLED = "direct", "pooled"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    programs = binaries(int(os.environ.get("PG_EVENTS_TEST_MAJOR", "18")))
    if programs is None:
        pytest.skip("needs a server of its own, and its programs are not here")
    with Server(programs, settings=FAST | LOGGED) as own:
        yield own


def words() -> set[str]:
    """Whatever could be a name in a statement of ours."""
    roots = [Path(package.__file__ or "").parent for package in (pg_events, pg_events_tui)]
    files = [file for root in roots for ending in ("sql", "py") for file in root.rglob(f"*.{ending}")]
    return {word for file in files for word in re.findall(r"[a-z_][a-z0-9_]+", file.read_text())}


@pytest.fixture(autouse=True)
def _no_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker in this process gives it to all connections of the process."""
    monkeypatch.setenv("PGAPPNAME", "")


_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def template(server: Server) -> str:
    """Name of a database on which a build ran, and where `public` is hostile."""
    url = server.create_database("hostile")
    with connect(url, application_name="test") as connection:
        plan = make_plan(connection, Settings(url))
    assert not apply(url, plan).failed
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set search_path = pg_catalog")
        connection.execute("create temporary table word (word text)")
        with connection.cursor() as cursor:
            cursor.executemany("insert into pg_temp.word values (%s)", [(word,) for word in words()])
        connection.execute(HOSTILE.encode())
        connection.execute("create schema app")
        connection.execute("create table app.item (id integer primary key, name text)")
        connection.execute("alter database hostile set search_path = public, pg_catalog, app")
    return "hostile"


@pytest.fixture
def url(server: Server, template: str) -> str:
    name = f"hostile_{next(_numbers)}"
    url = server.create_database(name, template)
    adopt(url)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"alter database {name} set search_path = public, pg_catalog, app".encode())
    return url


@pytest.fixture(params=[DIRECT, POOLED])
def way(request: pytest.FixtureRequest, url: str) -> Iterator[str]:
    """URL of the hostile database, directly or through a pooler in transaction mode."""
    if request.param == DIRECT:
        yield url
        return
    with bouncing(installed(), url, "transaction", 2) as through:
        yield through


@pytest.fixture
def shop(url: str) -> Iterator[psycopg.Connection]:
    """An application that takes no part: it has a path of its own."""
    with psycopg.connect(make_conninfo(url, options="-csearch_path=pg_catalog,app"), autocommit=True) as connection:
        yield connection


# --- what the server's log tells ----------------------------------------------------------------------------------

QUALIFIED = re.compile(
    r"(begin|start transaction|commit|rollback|savepoint|release)\b"  # nothing is looked up
    r"|(set (local )?\w+ ?= ?('(?:[^']|'')*'|\w+)(; ?)?)+$|set constraints all immediate$"
    r"|select pg_catalog\.current_setting\('search_path'\)(, pg_catalog\.set_config\('\w+', '[^']*', (true|false)\))+$"
    r"|select pg_catalog\.pg_backend_pid\(\)(, pg_catalog\.set_config\('?[$\w]+'?, '?[$\w]+'?, false\))+$"
    r"|select pg_catalog\.set_config\('pgevents\.context', \$1, true\)$"
    r"|vacuum \(skip_locked\) pgevents\.event, pgevents\.statement$",
    re.IGNORECASE,
)
"""Statements that mean the same wherever names are looked up."""
THEIRS = "/* of the callback */"
PINNED = re.compile(r"set_config\('search_path', 'pg_catalog, pg_temp', (true|false)\)")


def sent(server: Server, since: int) -> Iterator[tuple[str, str, str]]:
    """Process, application and text of all statements that were logged since."""
    for entry in f"\n{server.log_text()[since:]}".split("\n\x1f")[1:]:
        process, application, message = entry.split("\x1f", 2)
        if found := re.match(r"LOG:  (?:statement|execute [^:]*): (.*)", message, re.DOTALL):
            yield process, application, re.sub(r"\n\t", "\n", found[1]).strip()


def unpinned(server: Server, since: int) -> list[str]:
    """Statements of ours that came when `search_path` was not pinned."""
    for_session: set[str] = set()
    for_transaction: set[str] = set()
    found: list[str] = []
    for process, application, text in sent(server, since):
        if not application.startswith("pg_events") or text.endswith(THEIRS):
            continue
        if re.match("(commit|rollback)$", text, re.IGNORECASE):
            for_transaction.discard(process)
        if not QUALIFIED.match(text) and process not in for_session | for_transaction:
            found.append(f"{application}: {text}")
        if pin := PINNED.search(text):
            (for_transaction if pin[1] == "true" else for_session).add(process)
        elif "set_config('search_path'" in text:  # what users see again
            for_transaction.discard(process)
    return found


def met(server: Server, since: int) -> set[str]:
    """What of the hostile schema was met."""
    return set(re.findall(r"hostile: (.*) for ", server.log_text()[since:]))


@pytest.fixture
def watched(server: Server, way: str) -> Iterator[Callable[[], None]]:
    """Whatever the test does meets nothing hostile, and sends statements of ours with the path pinned."""
    begin = len(server.log_text())
    yield lambda: None
    assert met(server, begin) == set()
    assert unpinned(server, begin) == []
    assert any(application.startswith("pg_events") for _, application, _ in sent(server, begin))


# --- that the trap works ------------------------------------------------------------------------------------------


def test_the_hostile_schema_is_met_by_whoever_pins_nothing(server: Server, url: str) -> None:
    begin = len(server.log_text())
    with psycopg.connect(url, autocommit=True, application_name="pg_events careless") as careless:
        careless.execute("select to_json(e.at)::text from pgevents.event e where e.id = 5::bigint")
        careless.execute("select oid from pg_class where pg_catalog.random() operator(pg_catalog.<) 2")
        careless.execute("select to_json(now())")
        careless.execute("select 1 = 1, 'a' || 'b'::text, clock_timestamp()")

    assert {
        "to_json(timestamptz)",
        "operator =(integer, integer)",
        "operator ||(text, text)",
        "type text",
        "relation pg_class",
        "now()",
        "clock_timestamp()",
    } <= met(server, begin)
    assert len(unpinned(server, begin)) == 4


# --- everything that sends statements -----------------------------------------------------------------------------

CALLBACKS = """
PG_EVENTS_DATA_UPDATE_CALLBACK = "hooks.take"
PG_EVENTS_MAX_ATTEMPTS = 1
"""
HOOKS = """
def take(payload):
    if '"bad"' in payload:
        raise ValueError("bad")
"""

COMMANDS = [
    ("status", "--json"),
    ("status",),
    ("doctor",),
    ("listen", "--since", "oldest", "--limit", "3", "--format", "json"),
    ("listen", "--since", "oldest", "--where", "op:U new.name:bb", "--limit", "1", "--format", "json"),
    ("export", "all.jsonl"),
    ("export", "some.jsonl.gz", "--where", "table:item new.id>1", "--since", "1h"),
    ("history", "app.item", "1"),
    ("history", "item", "1", "--json"),
    ("history", "item", "1", "--at", "1s"),
    ("transaction", "{xid}"),
    ("worker", "--once", "--from", "oldest", "--name", "reader"),
    ("failed", "list"),
    ("failed", "show", "{failed}"),
    ("failed", "retry", "--all"),
    ("worker", "--once", "--name", "reader"),
    ("failed", "discard", "--all"),
    ("consumers", "list"),
    ("replay", "log", "--plan"),
    ("replay", "log", "--where", "op:I", "--on-error", "continue"),
    ("prune", "--keep", "1s"),
    ("prune", "--keep-size", "1MB", "--unread"),
    ("consumers", "drop", "reader"),
    ("build", "--exclude", "app.nothing"),
    ("build", "--plan"),
    ("build", "--grant", "{role}"),
    ("teardown", "--yes"),
    ("build",),
]


@pytest.fixture(scope="module")
def role(server: Server) -> str:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create role lodger login")
    return "lodger"


def test_no_command_meets_anything_hostile(
    way: str,
    watched: object,
    shop: psycopg.Connection,
    role: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PG_EVENTS_SETTINGS")]:
        monkeypatch.delenv(name)
    Path("hostile_settings.py").write_text(CALLBACKS)
    Path("hooks.py").write_text(HOOKS)
    shop.execute("insert into item values (1, 'a'), (2, 'b'), (3, 'bad')")
    shop.execute("update item set name = name || 'b'::text where id < 3")
    shop.execute("delete from item where id = 2")
    row = shop.execute("select min(xid::text), min(id) from pgevents.event").fetchone()
    assert row is not None
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    found = {"xid": row[0], "role": role, "failed": ""}
    for command in COMMANDS:
        if "{failed}" in command:
            kept = shop.execute("select min(event_id) from pgevents.failed").fetchone()
            found["failed"] = str(kept and kept[0])
        settings = ["--settings", "hostile_settings"] if command[0] in ("worker", "replay") else []
        arguments = [part.format(**found) for part in command]
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--database-url", way, *settings])
        out, err = capsys.readouterr()
        assert ended.value.code in (0, 1), (arguments, out, err)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_no_worker_meets_anything_hostile(way: str, watched: object, shop: psycopg.Connection) -> None:
    for settings in ({}, {"transactional": True}, {"concurrency": 4}):
        got = Arrivals()
        ready = threading.Event()

        def lent(payload: str, connection: psycopg.Connection, got: Arrivals = got) -> None:
            got.append(payload)

        async def side_by_side(payload: str, got: Arrivals = got) -> None:
            got.append(payload)

        callback: Any = (
            lent if "transactional" in settings else side_by_side if "concurrency" in settings else got.append
        )
        worker = Worker(
            Settings(way, data_update_callback=callback, retention=timedelta(0), **settings),
            f"worker {settings}",
            on_ready=ready.set,
        )
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            assert ready.wait(60)
            shop.execute("truncate item")
            shop.execute("insert into item select * from generate_series(1, 150)")
            got.wait(150)
        finally:
            worker.stop()
            thread.join()


def test_the_metrics_meet_nothing_hostile(way: str, watched: object, shop: psycopg.Connection) -> None:
    metrics = pytest.importorskip("pg_events.delivery.metrics")
    Worker(Settings(way, data_update_callback=lambda _payload: None), "default").run(once=True)
    sampler = metrics.Sampler(way, "default")
    sampler.sample()
    assert sampler.latest is not None
    sampler.close()


def test_a_listener_meets_nothing_hostile(way: str, watched: object, shop: psycopg.Connection) -> None:
    with Listener(way, page_events=20, asks_to_be_woken=True) as listener:
        shop.execute("insert into item select * from generate_series(1, 150)")
        shop.execute(b"insert into item select g from generate_series(151, 152) g /* " + b"long " * 200 + b"*/")
        assert sum(map(len, listener.pages())) >= 152
        while listener._idle_looks < 12:
            listener.wait(0.01)
        listener.poll()


def test_the_console_meets_nothing_hostile(way: str, watched: object, shop: psycopg.Connection) -> None:
    store = Store()
    intake = Intake(DatabaseFeed(way, application_name="pg_events tui"), store)
    intake.start()
    until(lambda: intake.link.state == "live")
    shop.execute("insert into item values (1, 'a')")
    until(lambda: intake.link.received >= 1)
    backend = Database(Settings(way))
    assert any(table.name == "item" for table in backend.coverage())
    shop.execute('drop trigger "00_pgevents_insert" on item')
    backend.writers()
    backend.health()
    backend.journal_header()
    backend.apply(backend.plan(None), lambda _step, _outcome: None)
    assert intake.stop()
    store.close()


def test_a_capture_meets_nothing_hostile(way: str, watched: object, shop: psycopg.Connection) -> None:
    with capture(way, build=True) as captured:
        shop.execute("insert into item values (1, 'a')")
    assert len(captured) == 1
    with pytest.raises(AssertionError):
        captured.assert_emits("app.nothing")


def test_a_capture_on_a_users_connection_meets_nothing_hostile(
    server: Server, url: str, shop: psycopg.Connection
) -> None:
    shop.execute("insert into item values (0, 'before')")
    begin = len(server.log_text())
    with psycopg.connect(url, application_name="users") as users:
        users.execute("insert into app.item values (1, 'before')")
        with capture(users) as captured:
            users.execute("insert into app.item select 2, null union all select 3, null")
            shop.execute("insert into item select g, 'x' from generate_series(4, 6) g")
        assert len(captured) == 5
        users.rollback()

    assert met(server, begin) == set()


# --- what it was ---------------------------------------------------------------------------------------------------

TRAP = """
create or replace function public.to_json(timestamptz) returns json language plpgsql as $$
begin
    execute 'alter role lodger superuser';
    return '"2026-01-01T00:00:00+00:00"'::json;
end
$$
"""


@pytest.mark.parametrize(
    "command",
    [
        ("listen", "--since", "oldest", "--limit", "1"),
        ("export", "all.jsonl"),
        ("history", "app.item", "1"),
        ("replay", "log", "--plan"),
        ("worker", "--once", "--from", "oldest"),
    ],
)
def test_a_superuser_who_reads_lends_its_rights_to_nobody(
    role: str, server: Server, built: str, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    Path("trap_settings.py").write_text('PG_EVENTS_DATA_UPDATE_CALLBACK = "builtins.len"\n')
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    settings = ["--settings", "trap_settings.py"] if command[0] in ("worker", "replay") else []
    with pytest.raises(SystemExit) as ended:
        main([*command, "--database-url", built, *settings])
    for number, handler in handlers.items():
        signal.signal(number, handler)

    assert ended.value.code == 0
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("select rolsuper from pg_roles where rolname = %s", (role,)).fetchone() == (False,)


@pytest.fixture
def built(role: str, server: Server) -> str:
    """A database of the lodger's, with a trap of his for whoever reads the log."""
    url = server.create_database(f"trap_{next(_numbers)}")
    with connect(url, application_name="test") as connection:
        plan = make_plan(connection, Settings(url))
    assert not apply(url, plan).failed
    with psycopg.connect(url, autocommit=True) as connection:
        name = str(conninfo_to_dict(url)["dbname"])
        connection.execute("create schema app")
        connection.execute("create table app.item (id integer primary key)")
        connection.execute("insert into app.item values (1)")
        connection.execute(f"alter database {name} owner to {role}".encode())
    with psycopg.connect(server.url(name, user=role), autocommit=True) as connection:
        connection.execute(TRAP)
    return url


def test_callbacks_see_their_own_search_path(way: str, watched: object, shop: psycopg.Connection) -> None:
    """Before and after each of our own statements on the connection that they are lent."""
    shop.execute("create table app.seen (path text)")
    seen = Arrivals()

    def callback(payload: str, connection: psycopg.Connection) -> None:
        if '"seen"' not in payload:
            row = connection.execute(f"select pg_catalog.current_setting('search_path') {THEIRS}".encode()).fetchone()
            seen.append(row[0] if row else "")
            connection.execute(f"insert into app.seen values ('seen') {THEIRS}".encode())

    Worker(Settings(way, data_update_callback=callback, transactional=True), "own").run(once=True)
    for number in range(3):
        shop.execute("insert into item values (%s, 'a')", (number,))
        Worker(Settings(way, data_update_callback=callback, transactional=True), "own").run(once=True)

    assert set(seen) == {"public, pg_catalog, app"}
    assert len(seen) == 3
