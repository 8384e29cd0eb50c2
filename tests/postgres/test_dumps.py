"""What dumps and copies make of a log, form by form and where they are restored: the table of pg_events/docs/dumps.md."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.delivery.worker import Worker
from pg_events.demo.server import FAST, Server
from pg_events.errors import ForeignCursor, NotInstalled
from pg_events.triggers.build import apply, make_plan, teardown_plan
from tests.conftest import adopt

DOCUMENT = Path(__file__).parents[2] / "pg_events/docs/dumps.md"
TABLES = (
    "create table users (id integer primary key, email text, card text, password text)",
    "create table users_parted (id integer, email text, card text, password text) partition by range (id)",
    "create table users_part partition of users_parted for values from (0) to (1000)",
    "create table audit_old (id integer)",
)
CHOSEN: Mapping[str, Any] = {
    "redact": {"users*": {"email": "hash", "card": "mask"}},
    "exclude_columns": {"users*": ("password",)},
    "exclude": ("audit_*",),
    "max_attempts": 1,
}
_numbers = count(1)


@dataclass(frozen=True)
class Form:
    """A way to dump and to restore."""

    dump: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    """Options of pg_restore, for the custom format."""


FORMS = {
    "plain": Form(),
    "--inserts": Form(("--inserts",)),
    "custom": Form(("-Fc",)),
    "--clean": Form(("--clean", "--if-exists")),
    "custom --clean": Form(("-Fc",), ("--clean", "--if-exists")),
    "--single-transaction": Form(("-Fc",), ("--single-transaction",)),
    "-s": Form(("-s",)),
    "-t": Form(("-t", "users*")),
    "-n": Form(("-n", "public")),
    "-N": Form(("-N", "pgevents")),
    "--exclude-table-data of the schema": Form(("--exclude-table-data=pgevents.*",)),
    "--exclude-table-data of the events": Form(
        ("--exclude-table-data=pgevents.event", "--exclude-table-data=pgevents.statement")
    ),
    "--data-only": Form(("-Fc", "--data-only")),
    "--data-only -N": Form(("-Fc", "--data-only", "-N", "pgevents")),
}

THERE = "already there"
NO_SCHEMA = "no schema pgevents"
NO_TABLE = "no table"
REFUSED = "refused by the log"
ANOTHER = "events of another log"
DUPLICATE = "rows already there"
ERRORS = {
    r'invalid input value for enum pgevents\.origin: "[0-9a-f]{8}"': ANOTHER,
    r'schema "pgevents" does not exist|event trigger ".*" does not exist': NO_SCHEMA,
    r'relation ".*" does not exist': NO_TABLE,
    r"already exists|multiple primary keys|is already a partition": THERE,
    r'constraint "written_here"|"(secret_one|migration_pkey|setting_pkey|installed_pkey)"': REFUSED,
    r"duplicate key": DUPLICATE,
}

# What the schema is then, before anything is done about it.
OWN, COPY, ELSEWHERE, BARE, NONE = "own", "copy", "elsewhere", "bare", "none"

RESULTS: Mapping[tuple[str, str], tuple[str, set[str]]] = {
    ("plain", "empty"): (COPY, set()),
    ("plain", "other"): (ELSEWHERE, set()),
    ("plain", "built"): (OWN, {THERE, REFUSED, ANOTHER}),
    ("plain", "same"): (OWN, {THERE, REFUSED, DUPLICATE}),
    ("--inserts", "empty"): (COPY, set()),
    ("--inserts", "built"): (OWN, {THERE, REFUSED, ANOTHER}),
    ("--inserts", "same"): (OWN, {THERE, REFUSED, DUPLICATE}),
    ("custom", "empty"): (COPY, set()),
    ("custom", "other"): (ELSEWHERE, set()),
    ("custom", "built"): (OWN, {THERE, REFUSED, ANOTHER}),
    ("custom", "same"): (OWN, {THERE, REFUSED, DUPLICATE}),
    ("--clean", "empty"): (COPY, set()),
    ("--clean", "other"): (ELSEWHERE, set()),
    ("--clean", "built"): (COPY, set()),
    ("--clean", "same"): (OWN, set()),
    ("custom --clean", "built"): (COPY, set()),
    ("custom --clean", "same"): (OWN, set()),
    ("--single-transaction", "empty"): (COPY, set()),
    ("--single-transaction", "built"): (OWN, {THERE}),
    ("--single-transaction", "same"): (OWN, {THERE}),
    ("-s", "empty"): (BARE, set()),
    ("-s", "other"): (BARE, set()),
    ("-s", "built"): (OWN, {THERE}),
    ("-s", "same"): (OWN, {THERE}),
    ("-t", "empty"): (NONE, {NO_SCHEMA}),
    ("-t", "built"): (OWN, {THERE}),
    ("-t", "same"): (OWN, {THERE, DUPLICATE}),
    ("-n", "empty"): (NONE, {NO_SCHEMA, THERE}),
    ("-n", "built"): (OWN, {THERE}),
    ("-n", "same"): (OWN, {THERE, DUPLICATE}),
    ("-N", "empty"): (NONE, {NO_SCHEMA}),
    ("-N", "built"): (OWN, {THERE}),
    ("-N", "same"): (OWN, {THERE, DUPLICATE}),
    ("--exclude-table-data of the schema", "empty"): (BARE, set()),
    ("--exclude-table-data of the schema", "other"): (BARE, set()),
    ("--exclude-table-data of the schema", "built"): (OWN, {THERE}),
    ("--exclude-table-data of the schema", "same"): (OWN, {THERE, DUPLICATE}),
    ("--exclude-table-data of the events", "empty"): (COPY, set()),
    ("--exclude-table-data of the events", "other"): (ELSEWHERE, set()),
    ("--exclude-table-data of the events", "built"): (OWN, {THERE, REFUSED}),
    ("--data-only", "empty"): (NONE, {NO_SCHEMA, NO_TABLE}),
    ("--data-only", "built"): (OWN, {REFUSED, ANOTHER}),
    ("--data-only", "same"): (OWN, {REFUSED, DUPLICATE}),
    ("--data-only -N", "built"): (OWN, set()),
    ("--data-only -N", "same"): (OWN, {DUPLICATE}),
}


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def numbers(url: str, question: str) -> set[int]:
    return {number for (number,) in execute(url, question)}


def settings(url: str, callback: Callable[[str], None] | None = None) -> Settings:
    return Settings(url, callback, **CHOSEN)


def build(url: str) -> None:
    with connect(url, application_name="test", checks_owner=False) as connection:
        while (plan := make_plan(connection, settings(url))).is_first_part:
            assert not apply(url, plan).failed
    assert not apply(url, plan).failed


def delivered(url: str) -> list[int]:
    """The ids of the events that a worker delivers."""
    found: list[int] = []

    def keep(payload: str) -> None:
        number = re.match(r'\{"id": (\d+)', payload)
        assert number is not None
        found.append(int(number[1]))

    Worker(settings(url, keep)).run(once=True)
    return found


def write(url: str, number: int) -> None:
    """Write what is to be redacted, and DDL that could lose the redaction or bear on new tables."""
    execute(
        url,
        f"insert into users values ({number}, 'secret-a', 'secret-b', 'secret-c')",
        f"insert into users_parted values ({number}, 'secret-a', 'secret-b', 'secret-c')",
        f"alter table users add column added_{number} text",
        f"alter table users_parted add column added_{number} text",
        f"create table users_{number} (id integer, email text default 'secret-d', card text, password text)",
        f"insert into users_{number} values (1, 'secret-a', 'secret-b', 'secret-c')",
        f"create table audit_{number} (id integer)",
        f"insert into audit_{number} values (1)",
        f"update users set card = 'secret-e' where id = {number}",
    )


def leaks(url: str) -> list[tuple[Any, ...]]:
    """What of the log tells a value that is to be kept out, or is of a table that is."""
    if execute(url, "select to_regclass('pgevents.event')") == [(None,)]:
        return []
    return execute(
        url,
        "select kind::text, table_name, coalesce(query, new_data::text, new_rows, ddl::text) from pgevents.event e"
        " where row_to_json(e)::text like '%secret-%' or kind <> 'S' and table_name like 'audit%'"
        " union all select 'text', '', query from pgevents.statement where query like '%secret-%'",
    )


@dataclass(frozen=True)
class Source:
    """A database with an event that waits, one that failed and is to be tried again, and a consumer of another name."""

    server: Server
    url: str
    name: str

    def dump(self, form: Form, url: str | None = None) -> bytes:
        command = (self.server._binaries / "pg_dump", "--dbname", url or self.url, *form.dump)
        return subprocess.run(command, capture_output=True, check=True).stdout


def programs_missing(server: Any) -> bool:
    return not all((server._binaries / name).exists() for name in ("pg_dump", "pg_restore", "psql"))


@pytest.fixture(scope="module")
def source(server: Server) -> Iterator[Source]:
    if programs_missing(server):
        pytest.skip("needs pg_dump, pg_restore and psql")
    name = f"test_dumps_{next(_numbers)}"
    url = server.create_database(name)
    execute(url, *TABLES)
    build(url)
    assert delivered(url) == []
    execute(url, "insert into users values (1, 'secret-a', 'secret-b', 'secret-c')")

    def refuse(_: str) -> None:
        raise ValueError

    Worker(settings(url, refuse)).run(once=True)
    execute(
        url,
        "insert into users values (2, 'secret-a', 'secret-b', 'secret-c')",
        "update pgevents.failed set state = 'retry'",
        "insert into pgevents.consumer (name, system_identifier) select 'second', system_identifier from pgevents.consumer",
        "insert into pgevents.share (consumer, slots, snapshot)"
        " select 'second', slots, snapshot from pgevents.share where consumer = 'default'",
    )
    yield Source(server, url, name)
    drop(server, name)


@pytest.fixture(scope="module")
def other(server: Server) -> Iterator[Server]:
    with Server(server._binaries, settings=FAST) as other:
        yield other


def drop(server: Server, name: str) -> None:
    execute(server.url(), sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)).as_string())


@pytest.fixture
def make(server: Server) -> Iterator[Callable[..., str]]:
    """`make(server, template)`: URL of a new database, dropped afterwards if it is this session's server's."""
    made: list[str] = []

    def make(at: Server, template: str | None = None) -> str:
        name = f"test_dumps_{next(_numbers)}"
        if at is server:
            made.append(name)
        return at.create_database(name, template)

    yield make
    for name in made:
        drop(server, name)


def restore(server: Server, url: str, form: Form, content: bytes) -> set[str]:
    """The kinds of errors."""
    if "-Fc" in form.dump:
        command = (server._binaries / "pg_restore", "--dbname", url, *form.restore)
    else:
        command = (server._binaries / "psql", "--dbname", url, "--no-psqlrc", "--quiet")
    ended = subprocess.run(command, input=content, capture_output=True)
    found = [line for line in ended.stderr.decode().splitlines() if re.search(r"\bERROR:", line)]
    return {
        next((kind for pattern, kind in ERRORS.items() if re.search(pattern, line)), line)
        for line in found
        if "current transaction is aborted" not in line
    }


def check_state(url: str, state: str) -> None:
    """Workers and builds say what the log is, where it is not this database's own."""
    words = {
        COPY: (ForeignCursor, "is a copy of another one.*pg_events build"),
        ELSEWHERE: (ForeignCursor, "created on another cluster.*pg_events teardown and pg_events build"),
        BARE: (NotInstalled, "was restored without its data; run: pg_events build"),
        NONE: (NotInstalled, "no pg_events in database .*; run: pg_events build"),
    }
    if state == OWN:
        return
    error, text = words[state]
    with pytest.raises(error, match=text):
        delivered(url)
    if state == ELSEWHERE:
        with pytest.raises(ForeignCursor, match="pg_events teardown, then pg_events build"):
            build(url)
        with connect(url, application_name="test", checks_owner=False) as connection:
            plan = teardown_plan(connection)
        assert not apply(url, plan).failed


@pytest.mark.parametrize(("form", "target"), RESULTS, ids=[f"{form} into {target}" for form, target in RESULTS])
def test_a_dump_keeps_redaction_and_delivers_nothing_of_the_original(
    source: Source, other: Server, server: Server, make: Callable[..., str], form: str, target: str
) -> None:
    state, errors = RESULTS[form, target]
    way = FORMS[form]
    at = other if target == "other" else server
    if target == "same":
        url = make(at, source.name)
        adopt(url)
        content = source.dump(way, url)
    else:
        url, content = make(at), source.dump(way)
    if target == "built":
        build(url)
        if "--data-only" in form or "--clean" in form:
            execute(url, *TABLES)
        assert delivered(url) == []
    original = numbers(source.url, "select id from pgevents.event union select event_id from pgevents.failed")

    assert restore(server, url, way, content) == errors

    if execute(url, "select to_regclass('users')") == [(None,)]:
        execute(url, *TABLES)
    write(url, 100)
    assert leaks(url) == []
    check_state(url, state)
    build(url)
    given = set(delivered(url))
    if target == "same":
        assert given >= original, "its own log was lost"
    else:
        assert not given & original, "events of the original were delivered"
    check_new_events(url)


def check_new_events(url: str) -> None:
    """What is written now is delivered, once, in its order, behind all that is there, and redacted."""
    newest = max(numbers(url, "select id from pgevents.log"), default=0)
    write(url, 200)
    assert leaks(url) == []
    latest = delivered(url)
    assert latest == sorted(numbers(url, f"select id from pgevents.log where id > {newest} and kind <> 'S'"))
    assert len(latest) == 4, "new events have ids below those of the restored log"
    assert execute(
        url,
        "select length(new_data ->> 'email'), new_data ->> 'card', new_data ->> 'password'"
        " from pgevents.log where table_name = 'users' and new_data ->> 'id' = '200' and kind = 'I'",
    ) == [(32, "***", None)]
    assert added_columns(url) == [["added_200"], ["added_200"]]
    with connect(url, application_name="test", checks_owner=False) as connection:
        assert make_plan(connection, settings(url)).steps == ()


def added_columns(url: str) -> list[list[str]]:
    """The columns that the last changes of two tables tell of."""
    return [
        names
        for (names,) in execute(
            url,
            "select array(select c ->> 'name' from json_array_elements(ddl -> 'columns' -> 'added') c) from pgevents.log"
            " where kind = 'S' and ddl ->> 'command_tag' = 'ALTER TABLE' order by id desc limit 2",
        )
    ]


def test_a_copy_in_the_cluster_and_its_original_deliver_each_its_own(
    source: Source, server: Server, make: Callable[..., str]
) -> None:
    one = make(server, source.name)
    adopt(one)
    copy = make(server, str(conninfo_to_dict(one)["dbname"]))
    original = numbers(source.url, "select id from pgevents.event union select event_id from pgevents.failed")
    write(copy, 100)
    assert leaks(copy) == []

    check_state(copy, COPY)
    assert set(delivered(one)) == original
    write(one, 100)
    build(copy)
    assert delivered(copy) == []
    check_new_events(copy)

    assert len(delivered(one)) == len(numbers(one, "select id from pgevents.log where kind <> 'S'")) - len(original)
    check_new_events(one)


def test_tables_made_after_the_dump_keep_the_functions_that_a_clean_restore_drops(
    source: Source, server: Server, make: Callable[..., str]
) -> None:
    url = make(server, source.name)
    adopt(url)
    content = source.dump(FORMS["--clean"], url)
    execute(url, "create table later (id integer)")

    errors = restore(server, url, FORMS["--clean"], content)

    assert {re.sub(r" function .*| schema .*", "", error.partition("ERROR:  ")[2] or error) for error in errors} == {
        "cannot drop", THERE,
    }  # fmt: skip
    build(url)
    delivered(url)
    execute(url, "insert into later values (1)")
    assert len(delivered(url)) == 1
    check_new_events(url)


@pytest.mark.parametrize("target", ["built", "same"])
def test_psql_runs_no_text_of_the_events_that_are_refused(
    source: Source, server: Server, make: Callable[..., str], target: str
) -> None:
    """Where a COPY cannot begin, psql takes the lines of its data as SQL."""
    one, url = make(server, source.name), make(server)
    adopt(one)
    execute(one, "create table other (note text)", "delete from pgevents.event")
    execute(
        one,
        "set application_name = '; create table public.was_run ();'",
        f"insert into other select 'note' from generate_series(1, 300) /* {'long ' * 1000} */",
    )
    assert execute(one, "select count(*) from pgevents.event where statement_id is not null") != [(0,)]
    content = source.dump(FORMS["plain"], one)
    if target == "same":
        url = one
    else:
        build(url)

    restore(server, url, FORMS["plain"], content)

    assert execute(url, "select to_regclass('public.was_run')") == [(None,)]


@pytest.mark.parametrize("target", ["empty", "other"])
def test_a_schema_and_then_its_data_are_a_copy_and_deliver_nothing_of_it(
    source: Source, other: Server, server: Server, make: Callable[..., str], target: str
) -> None:
    at = other if target == "other" else server
    url = make(at)
    original = numbers(source.url, "select id from pgevents.event union select event_id from pgevents.failed")
    assert restore(at, url, FORMS["-s"], source.dump(FORMS["-s"])) == set()

    assert restore(at, url, FORMS["--data-only"], source.dump(FORMS["--data-only"])) == {REFUSED}

    assert numbers(url, "select id from pgevents.event") >= numbers(source.url, "select id from pgevents.event")
    write(url, 100)
    assert leaks(url) == []
    check_state(url, ELSEWHERE if target == "other" else COPY)
    build(url)
    assert not set(delivered(url)) & original
    check_new_events(url)


LABELS = "select unnest(enum_range(null::pgevents.origin))::text"


@pytest.mark.parametrize("form", ["-s", "plain"])
def test_a_build_of_a_copy_has_the_events_of_the_original_refused_from_then_on(
    source: Source, server: Server, make: Callable[..., str], form: str
) -> None:
    url = make(server)
    assert restore(server, url, FORMS[form], source.dump(FORMS[form])) == set()
    assert execute(url, LABELS) == execute(source.url, LABELS)
    build(url)
    assert delivered(url) == []
    (label,) = execute(url, LABELS)
    assert [label] != execute(source.url, LABELS)
    assert set(execute(url, "select origin::text from pgevents.event")) == {label}
    execute(url, "delete from pgevents.event")

    errors = restore(server, url, FORMS["--data-only"], source.dump(FORMS["--data-only"]))

    assert errors - {DUPLICATE} == {REFUSED, ANOTHER}
    original = numbers(source.url, "select id from pgevents.event union select event_id from pgevents.failed")
    assert not set(delivered(url)) & original
    check_new_events(url)
    assert execute(url, LABELS) == [label]


def test_a_build_of_a_copied_database_gives_its_events_a_label_of_their_own(
    source: Source, server: Server, make: Callable[..., str]
) -> None:
    url = make(server, source.name)

    build(url)

    assert len(execute(url, LABELS)) == 1
    assert execute(url, LABELS) != execute(source.url, LABELS)


def test_pruned_events_that_a_dump_of_this_database_brings_back_are_not_delivered_again(
    source: Source, server: Server, make: Callable[..., str]
) -> None:
    url = make(server, source.name)
    adopt(url)
    assert delivered(url) != []
    content = source.dump(FORMS["--data-only"], url)
    kept = numbers(url, "select id from pgevents.event")
    execute(url, "truncate pgevents.event, users")

    assert restore(server, url, FORMS["--data-only"], content) == {REFUSED}

    back = numbers(url, "select id from pgevents.event")
    assert back > kept, "the rows of tables are captured"
    assert set(delivered(url)) == numbers(url, "select id from pgevents.log where kind <> 'S'") - kept
    check_new_events(url)


def test_data_of_a_log_leaves_consumers_and_shares_as_they_are(
    source: Source, server: Server, make: Callable[..., str]
) -> None:
    url = make(server)
    build(url)
    execute(url, *TABLES)
    consumers = "select c.name, s.snapshot::text, s.position from pgevents.consumer c join pgevents.share s on s.consumer = c.name"
    for name in ("default", "third", "fourth"):
        Worker(settings(url, print), name).run(once=True)
    before = execute(url, consumers)

    restore(server, url, FORMS["--data-only"], source.dump(FORMS["--data-only"]))

    assert execute(url, consumers) == before
    Worker(settings(url, print), "fifth").run(once=True)
    assert len(execute(url, consumers)) == 4


def test_what_a_database_chose_holds_for_tables_that_are_restored_into_it(
    source: Source, server: Server, make: Callable[..., str]
) -> None:
    """A dump of tables does not bring the choice: it is in the settings, which are not in it."""
    url = make(server)
    with connect(url, application_name="test", checks_owner=False) as connection:
        plan = make_plan(connection, Settings(url, redact={"users": {"email": "mask"}}))
    assert not apply(url, plan).failed

    assert restore(server, url, FORMS["-t"], source.dump(FORMS["-t"])) == {THERE}

    found = execute(
        url, "select distinct new_data ->> 'email', new_data ->> 'card' from pgevents.log where table_name = 'users'"
    )
    assert [row for row in found if row[1]] == [("***", "secret-b")]


def test_every_form_of_this_matrix_and_every_word_of_its_errors_is_in_the_document() -> None:
    text = DOCUMENT.read_text("utf-8")
    words = [word for form in FORMS for word in form.split() if word.startswith("-")]
    words += [
        "createdb -T",
        "written_here",
        "invalid input value for enum pgevents.origin",
        "secret_one",
        "migration_pkey",
        "setting_pkey",
        "installed_pkey",
        "already exists",
    ]
    assert [word for word in words if word not in text] == []
