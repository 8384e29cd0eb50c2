"""Mistakes: one line that names the remedy, the right exit code, never the password, never a traceback."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

PASSWORD = "Sup3r%s/cr@t"
URL = "postgresql://bob@127.0.0.1:1/shop"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("bild", "no command 'bild'; did you mean 'build'?"),
        ("xyzzy", "no command 'xyzzy' (help: "),
        ("failed lst", "did you mean 'list'?"),
        ("build --plann", "--plan"),
        ("build --settings", "'--settings' requires an argument"),
        ("build extra", "(extra) (help: "),
        ("listen --limit 0", "0 is not in the range x>=1"),
        (
            "listen --limit many",
            "invalid value for '--limit': 'many' is not a whole number; pass one such as 10 (help: ",
        ),
        ("listen --format xml", "'xml' is not one of 'pretty', 'json'"),
        ("worker --from yesterday --database-url x=", "--from 'yesterday' is not a valid start"),
        ("worker --database-url postgresql:///shop", "a worker needs settings (--settings)"),
        ("failed retry", "select the events by exactly one of"),
        ("failed discard 3 --all", "exactly one of ids, --where FILTER or --all"),
        ("failed show", "missing argument 'EVENT_ID'"),
        ("failed discard x", "'x' is not a valid integer"),
        ("demo --rate -1", "-1.0 is not in the range"),
        ("demo --seconds 0", "0.0 is not in the range"),
        ("demo --seconds x", "invalid value for '--seconds': 'x' is not a number; pass one such as 0.5 or 10 (help: "),
        ("demo --seconds nan", "'nan' is not a number"),
        ("demo --seconds inf", "inf is not in the range"),
        ("demo --rate ten", "'ten' is not a number"),
        ("replay f --max-gap 5s", "'5s' is not a number"),
        ("replay f --times 1.5", "'1.5' is not a whole number"),
    ],
)
def test_wrong_usage_is_one_line_and_2(call, arguments, words) -> None:
    answer = call(*arguments.split())

    assert answer.code == 2
    assert words in answer.line
    assert answer.line.startswith("pg_events: ")


@pytest.mark.parametrize(
    "command", ["build", "teardown", "worker", "tui", "listen", "export f", "status", "failed list"]
)
def test_every_command_says_what_it_lacks_when_there_is_no_database(call, command) -> None:
    answer = call(*command.split())

    assert answer.code == 2
    assert all(remedy in answer.line for remedy in ("--database-url", "PG_EVENTS_DATABASE_URL", "--settings"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("nosuch", "no settings module 'nosuch'"),
        ("nosuch.py", "no settings file 'nosuch.py'"),
        ("no/such.py", "no settings file 'no/such.py'"),
        ("./", "is a folder"),
        ("a-b", "neither a module nor a file"),
    ],
)
def test_settings_that_are_not_there(call, settings, words) -> None:
    answer = call("status", "--settings", settings)

    assert answer.code == 2
    assert words in answer.line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "sets no PG_EVENTS_DATABASE_URL"),
        ("PG_EVENTS_DATABSE_URL = 'x'", "did you mean PG_EVENTS_DATABASE_URL?"),
        ("DATABASE_URL = 'x'", "it has DATABASE_URL"),
        ("PG_EVENTS_DATABASE_URL = 5", "must be a string, not int"),
        ("PG_EVENTS_INCLUDE = 'public.*'", "a list of patterns"),
        ("PG_EVENTS_QUERY_TEXT = 'some'", "'full', 'off' or a number"),
        ("PG_EVENTS_MAX_ATTEMPTS = 0", "at least 1, not 0"),
        ("PG_EVENTS_RETRY_SECONDS = 'soon'", "a number of seconds"),
        ("PG_EVENTS_NOTIFY = 'no'", "True or False, not 'no'"),
        ("def broken(:", ":1: SyntaxError"),
        ("1 / 0", ":1: ZeroDivisionError"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise SystemExit('away')", "SystemExit: away"),
        ("PG_EVENTS_DATABASE_URL = 'postgresql://bob:' + undefined", "NameError"),
    ],
)
def test_settings_that_are_wrong(call, tmp_path: Path, content, words) -> None:
    (tmp_path / "wrong.py").write_text(content)

    answer = call("status", "--settings", "wrong.py")

    assert answer.code == 2
    assert words in answer.line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "PG_EVENTS_DATA_UPDATE_CALLBACK"),
        ("PG_EVENTS_DATA_UPDATE_CALLBACK = 5", "not int"),
        ("PG_EVENTS_DATA_UPDATE_CALLBACK = 'nosuch.function'", "nosuch"),
        ("PG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.nosuch'", "nosuch"),
        ("PG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.NUMBER'", "not callable"),
        ("PG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks:no_parameter'", "payload"),
        ("PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = 'broken_hooks.f'", "ZeroDivisionError"),
        ("PG_EVENTS_DATA_UPDATE_CALLBACK = ''", "PG_EVENTS_DATA_UPDATE_CALLBACK"),
    ],
)
def test_callbacks_that_cannot_be_used(call, tmp_path: Path, content, words) -> None:
    (tmp_path / "hooks.py").write_text("NUMBER = 5\ndef no_parameter(): pass\n")
    (tmp_path / "broken_hooks.py").write_text("1 / 0")
    (tmp_path / "wrong.py").write_text(f"PG_EVENTS_DATABASE_URL = {URL!r}\n{content}")

    answer = call("worker", "--settings", "wrong")

    assert answer.code == 2
    assert words in answer.line


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://bob:{}@127.0.0.1:1/shop", 3),
        ("postgresql://bob:{}@no-such-host.invalid/shop", 3),
        ("postgresql://bob:{}@/shop?host=/nowhere", 3),
        ("host=127.0.0.1 port=1 user=bob dbname=shop password='{}'", 3),
        ("mysql://bob:{}@localhost/shop", 2),
        ("bob:{}@localhost/shop", 2),
        ("postgresql://bob:{}@localhost:port/shop", 2),
        ("postgresql://bob:{}@localhost/shop?nosuch=1", 2),
    ],
)
@pytest.mark.parametrize("encode", [lambda text: quote(text, safe=""), str], ids=["encoded", "as it is"])
def test_a_database_that_cannot_be_reached_or_read(call, url, code, encode) -> None:
    answer = call("status", "--database-url", url.format(encode(PASSWORD)))

    # Not encoded, a password may make any URL one that cannot be read.
    assert answer.code in ((code,) if encode is not str else (2, code))
    assert answer.code == 2 or "; check the host" in answer.line or "? check host and port" in answer.line
    assert_no_password(answer.line)


def test_a_database_that_does_not_exist(call, server) -> None:
    answer = call("status", "--database-url", server.url("no such database"))

    assert answer.code == 3
    assert 'database "no such database" does not exist' in answer.line


@pytest.fixture(scope="module")
def locked(server) -> Iterator[str]:
    """A role that the server asks for its password."""
    rules = server.directory / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all locked scram-sha-256\n{before}")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"create role locked login password '{PASSWORD}'")
        connection.execute("select pg_reload_conf()")
        # The server takes the rules up with its next connection at the earliest.
        while connection.execute("select count(*) from pg_hba_file_rules where user_name = '{locked}'").fetchone() != (
            1,
        ) or connects(server.url("postgres", "locked")):
            pass
    yield "locked"
    rules.write_text(before)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("drop role locked")
        connection.execute("select pg_reload_conf()")


def connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("password", [None, f"not {PASSWORD}"], ids=["none", "wrong"])
@pytest.mark.parametrize("command", ["status", "listen", "build", "teardown", "failed list", "worker"])
def test_a_wrong_password_is_4_and_never_told(call, server, locked, tmp_path, command, password) -> None:
    url = server.url("postgres", locked)
    if password is not None:
        url = url.replace("locked@", f"locked:{quote(password, safe='')}@")
    (tmp_path / "shop.py").write_text(
        f"PG_EVENTS_DATABASE_URL = {url!r}\nPG_EVENTS_DATA_UPDATE_CALLBACK = 'builtins.print'\n"
    )

    answer = call(*command.split(), "--settings", "shop.py")

    assert answer.code == 4
    assert "check user and password" in answer.line
    assert_no_password(answer.line)


def test_the_right_password_is_not_told_either(call, server, locked, database_url) -> None:
    database = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    url = server.url(database, locked).replace("locked@", f"locked:{quote(PASSWORD, safe='')}@")

    for command, code in (("status", 1), ("build", 4), ("build --plan", 4), ("teardown --plan", 0), ("listen", 1)):
        answer = call(*command.split(), "--database-url", url)

        assert answer.code == code, answer
        assert_no_password(answer.out + answer.err)


def assert_no_password(text: str) -> None:
    assert "Traceback" not in text
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "Sup3r", "cr@t", "cr%40t"):
        assert secret not in text


@pytest.mark.parametrize("command", ["status", "listen", "failed list", "failed show 1", "failed discard 1"])
def test_a_database_without_pg_events_names_the_command_that_helps(call, database_url, command) -> None:
    answer = call(*command.split(), "--database-url", database_url)

    assert answer.code == 1
    assert "run: pg_events build" in answer.line or "run pg_events build" in answer.line


@pytest.mark.parametrize(
    "command",
    ["status", "status --json", "listen", "failed list", "failed show 1", "build", "build --plan", "teardown"],
)
def test_a_role_without_rights_is_told_so(call, server, url, stranger, command) -> None:
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]

    answer = call(*command.split(), "--database-url", server.url(database, stranger))

    assert answer.code == 4
    assert stranger in answer.line


def test_a_role_that_may_not_create_a_schema_is_told_the_grant(call, server, database_url, stranger) -> None:
    database = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]

    answer = call("build", "--database-url", server.url(database, stranger))

    assert answer.code == 4
    assert f'grant create on database "{database}" to "{stranger}"' in answer.line


@pytest.mark.parametrize("command", ["status", "listen --since oldest --limit 1", "failed list"])
def test_the_granted_right_suffices_to_read(call, server, url, stranger, execute, command) -> None:
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    assert call("build", "--grant", stranger, "--database-url", url).code == 0
    execute(url, "insert into note values (1)")

    assert call(*command.split(), "--database-url", server.url(database, stranger)).code == 0


def test_a_grant_to_nobody_is_wrong_usage_and_changes_nothing(call, database_url, execute) -> None:
    answer = call("build", "--grant", "nosuch", "--database-url", database_url)

    assert answer.code == 2
    assert "no role 'nosuch'" in answer.line
    assert execute(database_url, "select count(*) from pg_namespace where nspname = 'pgevents'") == [(0,)]


def test_a_filter_is_shown_with_the_place_of_the_mistake(call) -> None:
    answer = call("listen", "--database-url", URL, "--where", "table:orders )")

    assert answer.code == 2
    said, text, caret = answer.err.splitlines()
    assert said.startswith("pg_events: ")
    assert text[caret.index("^")] == ")"


@pytest.mark.parametrize("since", ["yesterday", "5q", "", '5m" or table:x', "2026-13-01"])
def test_a_time_that_is_none(call, since) -> None:
    answer = call("listen", "--database-url", URL, "--since", since)

    assert answer.code == 2
    assert answer.line.startswith("pg_events: --since: ")


def test_the_console_without_a_terminal_sends_to_listen(run, database_url) -> None:
    answer = run("tui", "--database-url", database_url)

    assert answer.code == 2
    assert answer.line == "pg_events: the console needs a terminal; for a pipe or a file use: pg_events listen"


@pytest.mark.parametrize("name", ["", " "])
def test_a_consumer_has_a_name(call, name) -> None:
    answer = call("worker", "--name", name, "--database-url", URL)

    assert answer.code == 2
    assert "--name" in answer.line


@pytest.mark.parametrize("command", ["tui", "demo"])
def test_the_console_does_not_draw_into_a_file(in_terminal, database_url, command, tmp_path) -> None:
    where = () if command == "demo" else ("--database-url", database_url)
    with (tmp_path / "errors").open("wb") as file:
        terminal = in_terminal(command, *where, stderr=file)
        assert terminal.end() == 2

    assert terminal.raw == ""
    assert (tmp_path / "errors").read_text() == (
        "pg_events: the console draws on stderr, which must be the terminal: leave out 2> and 2>&1 |\n"
    )


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}])
def test_the_console_draws_in_utf_8_whatever_the_locale(in_terminal, built_database_url, environment) -> None:
    terminal = in_terminal("tui", "--database-url", built_database_url, environment=environment)
    terminal.until("LIVE")

    assert "●" in terminal.raw
    assert "\\u25cf" not in terminal.raw


def test_a_long_message_is_wrapped_between_words(in_terminal) -> None:
    terminal = in_terminal("status", columns=60)

    assert terminal.end() == 2
    assert max(map(len, terminal.screen)) <= 60
    assert "PG_EVENTS_DATABASE_URL" in " ".join(terminal.screen)
    assert len([line for line in terminal.screen if line]) == 3


def test_a_bug_prints_everything(call, monkeypatch) -> None:
    monkeypatch.setattr("pg_events.cli.status.load", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        call("status")
