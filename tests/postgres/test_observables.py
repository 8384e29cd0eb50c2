"""What an application can see is the same with capture and without it, statement by statement.

The scripts beside this file, in `observables/`, run on a plain and on a captured database: as superuser, as the tables'
owner and as a role that may only write, for each way of capture. After each statement its result (command tag, rows,
notices, error with all its fields) and the state of the session (see `observables/probe.sql`) are compared.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from tests.conftest import fresh_database
from tests.installcheck import disjoint
from tests.postgres.choosing import Build

HERE = Path(__file__).with_name("observables")
SCRIPTS = ("writes", "sequences", "plpgsql", "transactions", "errors", "settings", "ddl")
EVERY_TABLE = ("*",)
WAYS: dict[str, dict[str, Any]] = {
    "by statement": {},
    "by row": {"row_triggers": EVERY_TABLE},
    "chosen": {
        "exclude_columns": {"public.person": ("password",), "public.made": ("v",)},
        "redact": {"public.person": {"email": "hash"}, "public.item": {"v": "mask"}, "public.rich": {"span": "drop"}},
        "when": {"public.parent": "new.v is distinct from 'q'", "public.tree": "old.id > 0 or new.id > 0"},
    },
    "chosen by row": {"row_triggers": EVERY_TABLE, "redact": {"*": {"v": "hash"}}},
    "changes alone": {"skip_unchanged": EVERY_TABLE, "query_characters": 0, "notify": False},
    "replicated": {"capture_replicated": EVERY_TABLE},
}
CASES = [(way, writer) for way in WAYS for writer in ("owner", "app")]
CASES += [("by statement", "postgres"), ("replicated", "postgres")]
PARAMETERS = (
    *("application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "in_hot_standby"),
    *("IntervalStyle", "is_superuser", "search_path", "session_authorization", "standard_conforming_strings"),
    "TimeZone",
)
"""What the server reports to a driver by itself."""
SETTINGS = "select name, setting from pg_settings"
FIELDS = (
    *("severity_nonlocalized", "sqlstate", "message_primary", "message_detail", "message_hint", "context"),
    *("statement_position", "internal_query", "internal_position", "schema_name", "table_name", "column_name"),
    *("datatype_name", "constraint_name"),
)

Seen = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two databases that differ in nothing but capture, and who uses them."""

    plain: str
    captured: str
    owner: str
    app: str

    def urls(self, writer: str) -> tuple[str, str]:
        """The plain and the captured one, for a writer of `CASES`."""
        user = {"owner": self.owner, "app": self.app}.get(writer, writer)
        options = f"-c app.owner={self.owner}"
        plain, captured = (make_conninfo(url, user=user, options=options) for url in (self.plain, self.captured))
        return plain, captured


@pytest.fixture(scope="module")
def owner(server: Any) -> Iterator[str]:
    yield from new_role(server, "owner")


@pytest.fixture(scope="module")
def app(server: Any) -> Iterator[str]:
    yield from new_role(server, "app")


def new_role(server: Any, kind: str) -> Iterator[str]:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        name = f"{kind}_{connection.info.backend_pid}"
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def plain_template(server: Any, owner: str, app: str) -> Iterator[str]:
    """Name of a database with the tables of `setup.sql`. Copy it, do not connect to it."""
    with fresh_database(server) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("alter schema public owner to {}").format(sql.Identifier(owner)))
        with psycopg.connect(make_conninfo(url, user=owner), autocommit=True) as connection:
            connection.execute((HERE / "setup.sql").read_bytes())
        yield database_name(url)


@pytest.fixture
def pair_of(
    server: Any, build: Build, plain_template: str, owner: str, app: str
) -> Iterator[Callable[[dict[str, Any]], Pair]]:
    """`pair_of(settings)` makes a `Pair` whose captured half was built with those settings."""
    with fresh_database(server, plain_template) as plain, fresh_database(server, plain_template) as captured:

        def pair_of(settings: dict[str, Any]) -> Pair:
            assert not build(captured, **settings).failed
            return Pair(plain, captured, owner, app)

        yield pair_of


def database_name(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def statements(script: str) -> list[str]:
    """The paragraphs of a script."""
    return (HERE / f"{script}.sql").read_text().strip().split("\n\n")


# --- looking ------------------------------------------------------------------------------------------------------


class Session:
    """A connection that notes what comes back."""

    def __init__(self, url: str, **options: Any) -> None:
        self.connection = psycopg.connect(url, autocommit=True, prepare_threshold=None, **options)
        self._notices: list[Seen] = []
        self.connection.add_notice_handler(lambda notice: self._notices.append(self._fields(notice)))

    def run(self, statement: str) -> Seen:
        """What a statement answered."""
        self._notices.clear()
        seen: Seen = {"error": None}
        try:
            seen |= self._copied(statement) if statement.startswith("copy ") else self._executed(statement)
        except psycopg.Error as error:
            seen["error"] = self._fields(error.diag)
        seen["notices"] = list(self._notices)
        seen["notifications"] = [(one.channel, one.payload) for one in self.connection.notifies(timeout=0)]
        return seen

    def state(self) -> Seen:
        """What the session is like now; of a failed transaction less can be known.

        All settings take half of the time. Those that a statement leaves behind are seen at the end of a script at the
        latest, unless they are the transaction's.
        """
        status = self.connection.info.transaction_status
        pgconn = self.connection.pgconn
        seen: Seen = {"transaction": status.name}
        if status != pq.TransactionStatus.INERROR:
            with self.connection.cursor(row_factory=dict_row) as cursor:
                (row,) = cursor.execute((HERE / "probe.sql").read_bytes()).fetchall()
            seen |= {f"{name}.{key}": one for name in row for key, one in entries(row[name])}
            if status == pq.TransactionStatus.INTRANS:
                seen |= self.settings()
        return seen | {f"parameter {name}": pgconn.parameter_status(name.encode()) for name in PARAMETERS}

    def settings(self) -> Seen:
        return {f"setting {name}": value for name, value in self.connection.execute(SETTINGS).fetchall()}

    def _executed(self, statement: str) -> Seen:
        with self.connection.cursor() as cursor:
            cursor.execute(statement.encode())
            answer = cursor.pgresult
            assert answer
            rows = [[answer.get_value(row, at) for at in range(answer.nfields)] for row in range(answer.ntuples)]
            columns = [answer.fname(at) for at in range(answer.nfields)]
            return {"tag": cursor.statusmessage, "count": cursor.rowcount, "columns": columns, "rows": rows}

    def _copied(self, statement: str) -> Seen:
        command, _, data = statement.partition("\n")
        with self.connection.cursor() as cursor:
            with cursor.copy(command.encode()) as copy:
                if command.endswith("from stdin"):
                    copy.write(data)
                    rows = None
                else:
                    rows = [bytes(row) for row in copy]
            return {"tag": cursor.statusmessage, "count": cursor.rowcount, "rows": rows}

    def _fields(self, diagnostic: psycopg.errors.Diagnostic) -> Seen:
        """The fields that are set; the two databases have different names."""
        found = {name: getattr(diagnostic, name) for name in FIELDS}
        own = self.connection.info.dbname
        return {name: value.replace(own, "DATABASE") for name, value in found.items() if value is not None}


def entries(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else [("", value)]


def contents(url: str) -> Seen:
    """Every row of every table and where it lies."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
            " order by 1"
        ).fetchall()
        return {
            name: connection.execute(
                sql.SQL("select ctid::text, t::text from {} t order by ctid").format(sql.Identifier(name))
            ).fetchall()
            for (name,) in tables
        }


def differences(plain: Seen, captured: Seen) -> Iterator[str]:
    """A line for each; where one side alone failed, what follows from that is left out."""
    for name in plain | captured:
        if plain.get(name) != captured.get(name):
            yield f"{name}: plain {plain.get(name)!r}, captured {captured.get(name)!r}"
            if name in ("error", "transaction"):
                return


def compare(script: str, steps: list[str], plain: Session, captured: Session) -> Iterator[str]:
    """A line for each difference that a statement of the script makes; one that lasts is told once."""
    known: set[str] = set()
    for statement in steps:
        found = list(differences(plain.run(statement), captured.run(statement)))
        states = list(differences(plain.state(), captured.state()))
        for difference in (*found, *(one for one in states if one not in known)):
            yield f"{script}: {statement}\n    {difference}"
        known = set(states)
    for difference in differences(plain.settings(), captured.settings()):
        yield f"{script}, at the end: {difference}"


def compare_script(script: str, urls: tuple[str, str], steps: list[str] | None = None) -> list[str]:
    """The differences; the statements are those of the file of that name unless others are given."""
    plain, captured = (Session(url) for url in urls)
    with plain.connection, captured.connection:
        return list(compare(script, steps or statements(script), plain, captured))


def events(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from pgevents.log").fetchone()
    assert row
    return row[0]


# --- the tests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "writer"), CASES)
def test_an_application_sees_the_same(pair_of: Callable[[dict[str, Any]], Pair], way: str, writer: str) -> None:
    pair = pair_of(WAYS[way])
    scripts = (*SCRIPTS, "replica") if writer == "postgres" else SCRIPTS

    found = [line for script in scripts for line in compare_script(script, pair.urls(writer))]

    assert not found, "\n" + "\n".join(found)
    assert not list(differences(contents(pair.plain), contents(pair.captured)))
    assert events(pair.captured) > 100


SLIPS = {
    "perform nextval('other')": "lastval",
    "raise notice 'seen'": "notices",
    "perform set_config('work_mem', '65kB', false)": "setting work_mem",
    "perform set_config('work_mem', '65kB', true)": "setting work_mem",
    "perform set_config('TimeZone', 'Asia/Tokyo', false)": "parameter TimeZone",
    "perform set_config('search_path', 'public', true)": "search_path",
    "perform set_config('app.user', 'another', true)": "custom_setting",
    "create temporary table if not exists seen (id integer)": "temporary",
    "perform pg_advisory_lock(1)": "advisory_locks",
    "perform from parent": "locks.public.parent",
    "listen pgevents": "channels",
    "perform pg_current_xact_id()": "has_xid",
    "raise exception 'no' using errcode = 'P0099'": "error",
    "perform pg_notify('app', 'x')": "notifications",
    "execute 'prepare seen as select 1'": "prepared",
}
"""What a trigger could leave behind, and where this is noticed."""


@pytest.mark.parametrize("slip", SLIPS)
def test_what_a_trigger_leaves_behind_is_noticed(
    server: Any, plain_template: str, owner: str, app: str, slip: str
) -> None:
    with fresh_database(server, plain_template) as plain, fresh_database(server, plain_template) as slipping:
        for url in (plain, slipping):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("create sequence other")
        with psycopg.connect(slipping, autocommit=True) as connection:
            connection.execute(
                f"create function slip() returns trigger language plpgsql as $$begin {slip}; return null; end$$;"
                "create trigger slip after update on item for each statement execute function slip()".encode()
            )
        urls = Pair(plain, slipping, owner, app).urls("postgres")
        steps = ["listen app", "begin", "update item set n = 1 where false", "commit", "select 1"]

        found = compare_script("a slip", urls, steps)

    assert any(SLIPS[slip] in line for line in found), found


@pytest.mark.parametrize("way", ["by statement", "changes alone"])
def test_a_transaction_can_be_prepared(pair_of: Callable[[dict[str, Any]], Pair], way: str) -> None:
    pair = pair_of(WAYS[way])

    for url in pair.urls("app"):
        with psycopg.connect(url) as connection:
            name = connection.xid(1, database_name(url), "observed")
            connection.tpc_begin(name)
            connection.execute("insert into item (v) values ('prepared')")
            connection.execute("insert into ruled select n, 'x' from generate_series(1, 9) n")
            connection.tpc_prepare()
            connection.tpc_commit()
            assert connection.execute("select count(*) from item where v = 'prepared'").fetchone() == (1,)


WRITES = (
    ("update item set n = n + 1", "update parent set v = 'x'"),
    ("update item set n = 2 where v = 'first'", "update item set n = 3 where v = 'second'"),
    ("insert into item (v) select 'a' || n from generate_series(1, 200) n", "insert into item (v) values ('b'), ('c')"),
    ("insert into parent (v) values ('same'), ('text')", "insert into parent (v) values ('same'), ('text')"),
    ("truncate ruled", "truncate person"),
    ("create table one (id integer)", "create table two (id integer)"),
    ("alter table person add column w text", "alter table base add column w text"),
    ("drop table ruled", "drop table late_child"),
)
"""Statements of two open transactions, neither of which waits for the other."""


@pytest.mark.parametrize("way", WAYS)
def test_a_writer_waits_for_nobody(pair_of: Callable[[dict[str, Any]], Pair], way: str) -> None:
    pair = pair_of(WAYS[way])

    for url in pair.urls("owner"):
        with psycopg.connect(url) as first, psycopg.connect(url) as second:
            second.execute("set lock_timeout = '5s'")
            second.commit()
            for one, other in WRITES:
                for _ in range(2):  # the second time there is something to look up
                    first.execute(one.encode())
                    second.execute(other.encode())
                    first.rollback()
                    second.rollback()


@pytest.mark.parametrize("writer", ["owner", "app"])
def test_others_see_the_same_of_a_session(pair_of: Callable[[dict[str, Any]], Pair], writer: str) -> None:
    pair = pair_of({})
    seen: list[list[Any]] = []

    for url in pair.urls(writer):
        with psycopg.connect(url, application_name="an application") as writing, psycopg.connect(pair.plain) as looking:
            seen.append([])
            for statement in (
                "select 1",
                "update item set n = 2",
                "insert into ruled select n from generate_series(1, 9) n",
            ):
                writing.execute(statement.encode())
                row = looking.execute(
                    "select query, state, application_name, usename, backend_xid is null"
                    " from pg_stat_activity where pid = %s",
                    [writing.info.backend_pid],
                ).fetchone()
                looking.commit()
                seen[-1].append(row)

    assert seen[0] == seen[1]
    assert seen[0][1][:3] == ("update item set n = 2", "idle in transaction", "an application")


def test_prepared_statements_answer_the_same(pair_of: Callable[[dict[str, Any]], Pair]) -> None:
    pair = pair_of({})
    seen: list[list[Any]] = []

    for url in pair.urls("app"):
        with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
            seen.append([])
            for number in range(12):  # more than five: a generic plan comes
                cursor = connection.execute("insert into item (v) values (%s) returning v, n", [f"p{number}"])
                seen[-1].append((cursor.statusmessage, cursor.fetchall()))
                cursor = connection.execute("update item set n = %s where v = %s", [number, f"p{number}"])
                seen[-1].append((cursor.statusmessage, cursor.rowcount))
                with connection.pipeline():
                    cursors = [connection.execute("delete from item where v = %s", [f"p{number}"]) for _ in range(2)]
                seen[-1].append([cursor.rowcount for cursor in cursors])
            seen[-1].append(connection.execute("select count(*) from pg_prepared_statements").fetchone())

    assert seen[0] == seen[1]
    assert seen[0][:3] == [("INSERT 0 1", [("p0", 1)]), ("UPDATE 1", 1), [1, 0]]


# --- SERIALIZABLE -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disjoint_url(server: Any, build: Build) -> Iterator[str]:
    """A captured database with the tables of `tests.installcheck.disjoint` for two clients."""
    with fresh_database(server) as url:
        disjoint.prepare(url, clients=2)
        assert not build(url, row_triggers=disjoint.SETTINGS.row_triggers, redact=disjoint.SETTINGS.redact).failed
        yield url


@pytest.mark.parametrize("kind", disjoint.kinds())
def test_serializable_transactions_that_share_no_table_both_commit(disjoint_url: str, kind: str) -> None:
    with psycopg.connect(disjoint_url) as first, psycopg.connect(disjoint_url) as second:
        for number, connection in enumerate((first, second), 1):
            disjoint.enter(connection, number)
            connection.execute("set lock_timeout = '5s'")
            connection.commit()
            connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        for _ in range(3):
            for statement in disjoint.kinds()[kind]:
                first.execute(statement.encode())
                second.execute(statement.encode())
            first.commit()
            second.commit()
