"""A role that owns all it may own in a database gains nothing when a superuser runs every command there.

It owns the database, `public`, a schema named like the superuser, types with casts, domains, operators, functions with the
names that pg_events uses, tables with triggers, rules, policies, statistics and default values. Whatever of it runs notes
as whom, and tries harm: SUPERUSER for itself, memberships, the functions and the schema of pg_events.
"""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pg_events.cli import main
from pg_events.config.settings import Settings
from pg_events.delivery.metrics import Sampler
from pg_events.log.listener import Listener
from pg_events.testing.capture import capture
from pg_events_tui.model.backend import Database, DatabaseFeed
from pg_events_tui.model.feed import Intake
from pg_events_tui.model.store import Store
from tests.security.ownership.conftest import Place
from tests.security.test_statements import words
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)
PINNED = "-c search_path=pg_catalog"

TRAP = """
create schema trap;
grant usage on schema trap to public;
create sequence trap.harmed;  -- counts what is rolled back, too
create table trap.seen (who name default current_user, session name default session_user, what text);
grant insert on trap.seen to public;
create function trap.harm(what text) returns void language plpgsql set search_path = pg_catalog as $$
declare
    command text;
begin
    if current_user <> '{mallory}' then
        perform nextval('trap.harmed');
        insert into trap.seen (what) values (what);
        foreach command in array array[
            'alter role {mallory} superuser createrole',
            'grant pg_execute_server_program, pg_read_all_data to {mallory}',
            'grant all on schema pgevents to {mallory}',
            'grant all on all tables in schema pgevents to {mallory}',
            'create function pgevents.evil() returns integer language sql as ''select 1''',
            'alter function pgevents.capture() owner to {mallory}',
            'alter function pgevents.seal(text) security definer'
        ] loop
            begin
                execute command;
            exception when others then
                null;
            end;
        end loop;
    end if;
    -- What it leaves in the session must not matter either.
    perform set_config('search_path', 'postgres, public, pg_catalog', false), set_config('array_nulls', 'off', false);
end
$$;
grant usage on sequence trap.harmed to public;
"""
MET = """
create function public.met(what text) returns boolean language plpgsql as
    $met$begin perform trap.harm(what); return true; end$met$;
"""
TYPES = """
create type trap.en as enum ('x', 'y');
create type trap.ra as range (subtype = float8);
create type trap.co as (a integer, e trap.en);
create function trap.checked(text) returns boolean language plpgsql immutable as
    $$begin perform trap.harm('check'); return true; end$$;
create domain trap.dom as text check (trap.checked(value));
create domain trap.den as trap.en;
create function trap.trigger() returns trigger language plpgsql as
    $$begin perform trap.harm(tg_name); return new; end$$;
"""
CASTS = """
create function trap.{name}_{to}(trap.{name}) returns {to} language plpgsql as
    $$begin perform trap.harm('cast'); return '1'; end$$;
create cast (trap.{name} as {to}) with function trap.{name}_{to}(trap.{name}) {how};
"""
TABLES = """
create table trap.wide (
    id integer primary key, e trap.en, es trap.en[], r trap.ra, c trap.co, cs trap.co[], d trap.dom, n trap.den, v text
        default trap.checked('x')::text
);
create table trap.by_row (id integer, e trap.en);
create trigger mine after insert or update or delete on trap.by_row for each row execute function trap.trigger();
create trigger mine before insert or update or delete on trap.wide for each row execute function trap.trigger();
create trigger "00_pgevents_mine" after truncate on trap.wide execute function trap.trigger();
create table trap.heir (more trap.en) inherits (trap.by_row);
create table trap.tree (k integer, e trap.en) partition by list (k);
create table trap.branch partition of trap.tree for values in (1);
create table trap.late (k integer);
create view trap.look as select * from trap.wide where trap.checked('view');
create rule also as on insert to trap.wide where new.id < 0 do also select trap.checked('rule');
alter table trap.wide enable row level security, force row level security;
create policy all_of_it on trap.wide using (trap.checked('policy'));
create index on trap.wide (trap.checked(v));
create statistics trap.known on (trap.checked(v)), id from trap.wide;
create materialized view trap.kept as select trap.checked('kept');
alter default privileges grant all on tables to public;
alter default privileges grant execute on functions to public;
"""
WRITES = [
    "insert into trap.wide values (1, 'x', '{x,y}', '[1,2)', row(1, 'x'), array[row(1, 'y')::trap.co], 'd', 'x')",
    "insert into trap.wide (id, e) select g, 'x' from generate_series(2, 5) g",
    "update trap.wide set e = 'y'",
    "insert into trap.by_row values (1, 'x'), (2, 'y'); insert into trap.heir values (3, 'x', 'y')",
    "insert into trap.tree values (1, 'x'); truncate trap.tree; delete from trap.by_row; truncate trap.wide",
    "create table trap.filled as select 1 as id, 'x'::trap.en as e, row(1, 'x')::trap.co as c",
    "do $$ begin insert into trap.by_row values (1, 'x'); alter table trap.by_row add column {new} trap.ra default '[1,2)';"
    " insert into trap.by_row values (1, 'x'); end $$ /* " + "long " * 60 + "*/",
    "drop table trap.filled",
    "do $$ declare name text; begin foreach name in array array['statement', 'truncated', 'ddl', 'covering', 'relation',"
    " 'building'] loop perform set_config('pgevents.' || name, 'on', false); end loop;"
    " insert into trap.tree values (1, 'y'); create table trap.more (e trap.en); drop table trap.more; end $$",
]

SETTINGS = """
PG_EVENTS_DATA_UPDATE_CALLBACK = "hostile_owner_hooks.take"
PG_EVENTS_MAX_ATTEMPTS = 1
PG_EVENTS_REDACT = {"trap.tree": {"e": "hash"}}
"""
HOOKS = """
def take(payload):
    if '"id":2' in payload or '"id": 2' in payload:
        raise ValueError("bad")
"""
COMMANDS = [
    ("build",),
    ("build", "--plan"),
    ("status", "--json"),
    ("status",),
    ("doctor",),
    ("listen", "--since", "oldest", "--limit", "3", "--format", "json"),
    ("export", "all.jsonl"),
    ("history", "trap.wide", "1"),
    ("transaction", "{xid}"),
    ("worker", "--once", "--from", "oldest", "--name", "reader"),
    ("failed", "list"),
    ("failed", "retry", "--all"),
    ("worker", "--once", "--name", "reader"),
    ("failed", "discard", "--all"),
    ("consumers", "list"),
    ("replay", "log", "--plan"),
    ("prune", "--keep", "1d"),
    ("consumers", "drop", "reader"),
]


class Hostile:
    """The database, as the role that owns it and as a superuser."""

    def __init__(self, place: Place) -> None:
        self.url, self.mallory = place.url, place.role("owner")
        self.database = place.prefix
        self.writer = psycopg.connect(make_conninfo(place.url_of("owner"), options=PINNED), autocommit=True)
        self.admin = psycopg.connect(make_conninfo(place.url, options=PINNED), autocommit=True)
        self.turn = 0

    def lie_in_wait(self) -> None:
        self.admin.execute(f"alter schema public owner to {self.mallory}".encode())
        self.do(TRAP.replace("{mallory}", self.mallory))
        self.do("create schema postgres; grant usage on schema postgres to public")
        self.do("create temporary table word (word text)")
        with self.writer.cursor() as cursor:
            cursor.executemany("insert into pg_temp.word values (%s)", [(word,) for word in words()])
        names = Path(__file__).with_name("hostile.sql").read_text()
        names = MET + names[names.index("grant execute on function public.met") :]
        for schema in ("public", "postgres"):
            self.do(names.replace("public.", f"{schema}.").replace("schema public", f"schema {schema}"))
        self.do(TYPES)
        for name in ("en", "ra", "co"):
            for to, how in (("json", ""), ("text", "as implicit"), ("jsonb", "as assignment")):
                self.do(CASTS.format(name=name, to=to, how=how))
        self.do(TABLES)
        if self.writer.info.server_version >= 180000:
            self.do("create table trap.virtual (id integer, e trap.en, w integer generated always as (id * 2) virtual)")
            self.do("insert into trap.virtual (id) values (1)")
        for setting in (
            "search_path = postgres, public, pg_catalog",
            "standard_conforming_strings = off",
            "row_security = off",
        ):
            self.do(f"alter database {self.database} set {setting}")

    def do(self, command: str) -> None:
        self.writer.execute(command.encode())
        self.writer.execute("set search_path = pg_catalog")

    def write(self) -> None:
        """All that a writer and owner does, and what a session with an old snapshot does after it."""
        self.turn += 1
        with psycopg.connect(make_conninfo(self.url, user=self.mallory, options=PINNED), autocommit=True) as old:
            old.execute("set debug_print_plan = on; begin isolation level repeatable read; select")
            for command in WRITES:
                self.do(command.replace("{new}", f"r{self.turn}"))
            for table in ("tree", "late", "by_row"):
                self.do(f"alter table trap.{table} add column e{self.turn} trap.en default 'x'")
            for table in ("tree (k)", "late (k)", "by_row (id)"):
                with contextlib.suppress(psycopg.errors.SerializationFailure):
                    old.execute(f"savepoint s; insert into trap.{table} values (1)".encode())
                old.execute("rollback to savepoint s")

    def harmed(self) -> list[Any]:
        """What ran with rights of others."""
        seen = self.admin.execute("select distinct who, session, what from trap.seen").fetchall()
        return [*seen, *self.admin.execute("select 'rolled back' from trap.harmed where is_called").fetchall()]

    def cluster(self) -> dict[str, list[Any]]:
        """Roles, memberships, owners, rights and functions, of the cluster."""
        return {
            question: self.admin.execute(question.encode()).fetchall()
            for question in (
                "select r.*::text from pg_roles r order by 1",
                "select roleid, member, grantor, admin_option from pg_auth_members order by 1, 2, 3",
                "select datname, datdba, datacl::text from pg_database where datname !~ '^test_' order by 1",
                "select setdatabase, setrole, setconfig from pg_db_role_setting order by 1, 2",
                "select nspname, nspowner, nspacl::text from pg_namespace where nspname !~ '^pg_t|^pgevents$' order by 1",
                "select oid, relowner, relacl::text from pg_class where oid < 16384 order by 1",
                "select md5(string_agg(p::text, '' order by oid)) from pg_proc p where oid < 16384",
                "select md5(string_agg(c::text, '' order by oid)) from pg_cast c where oid < 16384",
                "select defaclrole, defaclnamespace, defaclobjtype, defaclacl::text from pg_default_acl order by 1, 2, 3",
                "select tablespaceacl::text from (select spcacl as tablespaceacl from pg_tablespace) t order by 1",
            )
        }

    def schema(self) -> dict[str, list[Any]]:
        """Owners, rights and definitions of what is in `pgevents`, and the event triggers."""
        return {
            question: self.admin.execute(question.encode()).fetchall()
            for question in (
                "select nspowner, nspacl::text from pg_namespace where nspname = 'pgevents'",
                "select relname, relkind, relowner, relacl::text, relrowsecurity, relhasrules, relhassubclass"
                " from pg_class where relnamespace = 'pgevents'::regnamespace order by 1",
                "select p::text from pg_proc p where pronamespace = 'pgevents'::regnamespace order by 1",
                "select evtname, evtowner, evtfoid, evtenabled from pg_event_trigger order by 1",
                "select t.tgname, t.tgfoid from pg_trigger t join pg_class c on c.oid = t.tgrelid"
                " where c.relnamespace = 'pgevents'::regnamespace and not t.tgisinternal",
            )
        }

    def close(self) -> None:
        self.writer.close()
        self.admin.close()


@pytest.fixture
def hostile(place: Place) -> Iterator[Hostile]:
    found = Hostile(place)
    yield found
    found.close()


def test_a_hostile_owner_gains_nothing(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    Path("hostile_owner_settings.py").write_text(SETTINGS)
    Path("hostile_owner_hooks.py").write_text(HOOKS)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def call(*arguments: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--database-url", hostile.url])
        out, err = capsys.readouterr()
        assert ended.value.code in (0, 1), (arguments, out, err)

    hostile.lie_in_wait()
    before = hostile.cluster()
    call("build", "--settings", "hostile_owner_settings")
    built = hostile.schema()
    hostile.write()
    (xid,) = hostile.admin.execute("select min(xid::text) from pgevents.event").fetchone() or ("",)
    for command in COMMANDS:
        settings = ["--settings", "hostile_owner_settings"] if command[0] in ("worker", "replay") else []
        call(*(part.format(xid=xid) for part in command), *settings)
        hostile.do("insert into trap.by_row values (4, 'y')")
    the_rest_of_the_program(hostile)
    hostile.write()

    assert hostile.schema() == built
    assert hostile.harmed() == []
    call("teardown", "--yes")
    hostile.do("insert into trap.by_row values (5, 'x'); create table trap.last (e trap.en)")
    assert hostile.cluster() == before
    assert hostile.harmed() == []
    for number, handler in handlers.items():
        signal.signal(number, handler)


def the_rest_of_the_program(hostile: Hostile) -> None:
    """Metrics, a listener, a capture, and what the console asks and does."""
    sampler = Sampler(hostile.url, "default")
    sampler.sample()
    sampler.close()
    with Listener(hostile.url, page_events=20, asks_to_be_woken=True) as listener, capture(hostile.url) as captured:
        hostile.write()
        assert sum(map(len, listener.pages())) > 0
    assert len(captured) > 0
    store = Store()
    intake = Intake(DatabaseFeed(hostile.url, application_name="pg_events tui"), store)
    intake.start()
    until(lambda: intake.link.state == "live")
    hostile.do("insert into trap.by_row values (6, 'x')")
    until(lambda: intake.link.received >= 1)
    backend = Database(Settings(hostile.url))
    assert any(table.name == "wide" for table in backend.coverage())
    hostile.do('drop trigger "00_pgevents_insert" on trap.tree')
    backend.writers()
    backend.health()
    backend.journal_header()
    backend.apply(backend.plan(None), lambda _step, _outcome: None)
    assert intake.stop()
    store.close()


def test_the_trap_snaps(hostile: Hostile) -> None:
    """So that the test above tells something: who pins nothing, or writes himself, runs it all."""
    hostile.lie_in_wait()
    with psycopg.connect(hostile.url, autocommit=True) as careless:
        careless.execute("select to_json(now())")

    assert hostile.harmed() != []
    assert hostile.admin.execute("select rolsuper from pg_roles where rolname = %s", [hostile.mallory]).fetchone() == (
        True,
    )
    hostile.admin.execute(
        f"alter role {hostile.mallory} nosuperuser nocreaterole;"
        f"revoke pg_execute_server_program, pg_read_all_data from {hostile.mallory}".encode()
    )
