"""Everything about connections that needs no server: URLs, passwords, and what errors mean."""

import logging
import socket
from urllib.parse import quote

import psycopg
import pytest
from psycopg import errors

from pg_events.db.connection import Link, connect, describe, mask, translate
from pg_events.errors import DatabaseUnreachable, NotInstalled, NotPermitted, PgEventsError, UsageError

URL = "postgresql://shop:hunter2@db.example:5433/market"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSERVICE", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)


# --- URLs that cannot be read -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("database_url", "says"),
    [
        ("postgresql://shop:hun@ter2@db/market", "write '@' as %40"),
        ("postgresql://shop:hun/ter2@db/market", "write '@' as %40"),
        ("postgresql://shop:12/hunter2@db/market", "write '@' as %40"),
        ("postgresql://shop:hun%ter2@db/market", "'%' as %25"),
        ("postgresql://shop:hunter2%00@db/market", "cannot be read"),
        ("postgresql://shop:hun@ter2?x@db/market", "cannot be read"),
        ("postgresql://db/market?hunter2=1", "cannot be read"),
        ("postgresql://db/market?connect_timeout=hunter2", "cannot be read"),
        ("postgresql://db:hunter2/market", "port"),
        ("host=db port=0", "port"),
        ("host=db password=hun ter2", "cannot be read"),
        ("host=db password='hunter2", "cannot be read"),
        ("host=hun@ter2", "'@'"),
        ("mysql://shop:hunter2@db/market", "must begin with postgresql://"),
        ("hunter2", "cannot be read"),
        ("host=db\0hunter2", "cannot be read"),
        ("host=db password=hunter2\udc80", "cannot be read"),
        (f"postgresql://shop:hunter2@{'h' * 70}/market", "not a host name"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(database_url: str, says: str) -> None:
    with pytest.raises(UsageError, match="database URL") as caught:
        connect(database_url, application_name="test")

    error: BaseException | None = caught.value
    assert says in str(error)
    while error is not None:
        assert "ter2" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "database_url",
    [
        "postgresql://shop:hun%40ter2%2F@db/market",
        "postgresql://shop:hun?ter2#:[@db/market",
        "postgres://shop@db/market?user=me@server",
        "host=db password='hun ter2@/'",
        "",
    ],
)
def test_an_unusual_url_that_libpq_reads_is_read(database_url: str) -> None:
    assert "ter2" not in describe(database_url)


@pytest.mark.parametrize("database_url", [f"{URL}\n", f"{URL}\r\n", f"\n{URL} \n", f"{URL}?port=6518\n"])
def test_a_line_end_behind_the_url_is_left_out(database_url: str) -> None:
    assert describe(database_url).startswith("market@db.example:")
    assert "\n" not in describe(database_url)
    assert "hunter2" not in mask("got hunter2", database_url)


# --- names for display --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("database_url", "shown"),
    [
        (URL, "market@db.example:5433"),
        ("postgresql://shop:hunter2@db", "shop@db:5432"),
        ("postgresql://shop@one:1,two:2/market", "market@one:1,two:2"),
        ("postgresql://shop@one,two/market?port=7", "market@one:7,two:7"),
        ("postgresql://shop@one,two:2/market", "market@one:5432,two:2"),
        ("postgresql://shop@[::1]:5433/market", "market@[::1]:5433"),
        ("host=/run/postgresql dbname=market", "market@/run/postgresql:5432"),
        ("postgresql:///market?host=/run/postgresql", "market@/run/postgresql:5432"),
        ("hostaddr=10.0.0.1 dbname=market", "market@10.0.0.1:5432"),
        ("dbname=market", "market@local:5432"),
        ("service=shop", "shop"),
        ("service=shop dbname=market", "market@service shop"),
        ("postgresql://db/mar%1b%0aket", "mar␛ ket@db:5432"),
    ],
)
def test_a_database_is_shown_by_name_and_place(database_url: str, shown: str) -> None:
    assert describe(database_url) == shown


def test_what_the_url_leaves_out_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGDATABASE", "market")

    assert describe("user=shop") == "market@elsewhere:5432"


# --- passwords ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password", ["hunter2", "hun@ter2", "hun/ter2:%", "hun'ter2\\", "hün ter2", "a+b ter2", "(ter2", "ter2" * 50]
)
def test_a_password_is_masked_in_every_spelling(password: str) -> None:
    database_url = f"postgresql://shop:{quote(password, safe='')}@db/market"
    lower = database_url.replace("%2F", "%2f").replace("%3A", "%3a")
    text = f"plain {password} quoted {password!r} url {database_url} {lower} dsn password={password}"

    assert "ter2" not in mask(text, database_url)
    assert "market" in mask("market", database_url)


def test_a_password_in_a_key_value_string_is_masked() -> None:
    assert mask("got: hun ter2!", "host=db password='hun ter2'") == "got: ***!"


def test_a_short_password_is_masked_only_where_it_stands_alone() -> None:
    assert mask("a database at a:a", "postgresql://shop:a@db/market") == "*** database at ***:***"


def test_a_password_that_is_also_a_name_leaves_the_name_readable() -> None:
    database_url = "postgresql://postgres:postgres@db/market"

    text = mask(f"role postgres does not exist in {database_url}", database_url)

    assert text == "role postgres does not exist in postgresql://postgres:***@db/market"


@pytest.mark.parametrize(
    "database_url", ["postgresql://shop:hun@ter2/x@db/market", "host=db password=hun ter2", "mysql://shop:ter2@db"]
)
def test_a_url_that_cannot_be_read_is_masked_as_well_as_can_be(database_url: str) -> None:
    assert "ter2" not in mask(f"could not translate host name ter2 of {database_url}", database_url)


# --- what errors mean ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "means", "says"),
    [
        (errors.InsufficientPrivilege("permission denied for table event"), NotPermitted, "build --grant-reader shop"),
        (errors.InsufficientPrivilege("must be owner of table orders"), NotPermitted, "must be owner of table orders"),
        (errors.InvalidPassword("password authentication failed"), NotPermitted, "password authentication failed"),
        (errors.UndefinedTable('relation "pgevents.event" does not exist'), NotInstalled, "run pg_events build"),
        (errors.InvalidSchemaName('schema "pgevents" does not exist'), NotInstalled, "run pg_events build"),
        (errors.UndefinedTable('relation "orders" does not exist'), PgEventsError, '"orders" does not exist'),
        (errors.InvalidCatalogName('database "market" does not exist'), DatabaseUnreachable, "does not exist"),
        (errors.AdminShutdown("terminating connection"), DatabaseUnreachable, "terminating connection"),
        (errors.CannotConnectNow("the database system is starting up"), DatabaseUnreachable, "starting up"),
        (errors.TooManyConnections("too many clients already"), DatabaseUnreachable, "too many clients"),
        (errors.ConnectionFailure("gone"), DatabaseUnreachable, "gone"),
        (psycopg.OperationalError("the connection is closed"), DatabaseUnreachable, "the connection is closed"),
        (errors.LockNotAvailable("canceling statement due to lock timeout"), PgEventsError, "lock timeout"),
        (errors.ReadOnlySqlTransaction("cannot execute INSERT"), PgEventsError, "the primary"),
        (psycopg.ProgrammingError("odd"), PgEventsError, "odd"),
        (psycopg.InterfaceError(), PgEventsError, "InterfaceError"),
    ],
)
def test_an_error_of_the_database_has_its_class(error: psycopg.Error, means: type, says: str) -> None:
    meant = translate(error, URL)

    assert type(meant) is means
    assert says in str(meant)
    assert str(meant).startswith("market@db.example:5433: ")


def test_an_error_is_one_clean_line_without_the_password() -> None:
    error = psycopg.OperationalError("broken \x1b[2J hunter2\n\tand more")

    assert str(translate(error, URL)) == "market@db.example:5433: broken ␛[2J ***"


# --- connecting, to nobody ----------------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_nobody_listening_is_one_line_with_the_place(closed_port: int) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        connect(f"postgresql://shop:hunter2@127.0.0.1:{closed_port}/market", application_name="test")

    assert str(caught.value) == (
        f"market@127.0.0.1:{closed_port}: Connection refused; is the server running there? "
        "check host and port in the database URL"
    )


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]

        with pytest.raises(DatabaseUnreachable, match="no answer in time; is the server running"):
            connect(f"postgresql://shop@127.0.0.1:{port}/market", application_name="test", connect_timeout=1)


REFUSALS = [
    ('FATAL:  password authentication failed for user "shop"', NotPermitted),
    ("fe_sendauth: no password supplied", NotPermitted),
    ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "shop", database "market"', NotPermitted),
    ('FATAL:  role "shop" does not exist', NotPermitted),
    ('FATAL:  role "shop" is not permitted to log in', NotPermitted),
    ('FATAL:  permission denied for database "market"', NotPermitted),
    ('FATAL:  database "market" does not exist', DatabaseUnreachable),
    ("FATAL:  the database system is starting up", DatabaseUnreachable),
    ("Connection refused\n\tIs the server running on that host?", DatabaseUnreachable),
]


@pytest.mark.parametrize(("reason", "means"), REFUSALS)
def test_a_refusal_by_the_server_has_its_class(
    monkeypatch: pytest.MonkeyPatch, reason: str, means: type[PgEventsError]
) -> None:
    text = f'connection failed: connection to server at "10.0.0.1" (10.0.0.1), port 5433 failed: {reason}'
    _refuse(monkeypatch, psycopg.OperationalError(text))

    with pytest.raises(means) as caught:
        connect(URL, application_name="test")

    expected = reason.splitlines()[0].removeprefix("FATAL:  ")
    assert str(caught.value).startswith(f"market@db.example:5433: {expected}")


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("failed to resolve host 'db.example': [Errno -2] Name or service not known", "; check the host in"),
        ('could not translate host name "db.example" to address: Unknown host', "; check the host in"),
        ("No such file or directory\n\tIs the server running locally?", "? check host and port in"),
        ("timeout expired", "? check host and port in"),
        ("No route to host", "? check host and port in"),
        ('FATAL:  database "market" does not exist', "; check the database's name in"),
        ("FATAL:  the database system is starting up", ""),
    ],
)
def test_where_nobody_answers_the_remedy_is_named_and_no_password(
    monkeypatch: pytest.MonkeyPatch, reason: str, remedy: str
) -> None:
    _refuse(monkeypatch, psycopg.OperationalError(f"{reason.splitlines()[0]} (password hunter2)"))

    with pytest.raises(DatabaseUnreachable) as caught:
        connect(URL, application_name="test")

    assert str(caught.value).endswith(f"{remedy} the database URL" if remedy else "(password ***)")
    assert "hunter2" not in str(caught.value)


def test_of_many_addresses_the_one_that_asked_for_a_password_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        'connection failed: connection to server at "10.0.0.2", port 2 failed: Connection refused\n'
        "Multiple connection attempts failed. All failures were:\n"
        "- host: 'one', port: '1', hostaddr: '10.0.0.1': connection failed: "
        'connection to server at "10.0.0.1", port 1 failed: FATAL:  password authentication failed for user "shop"\n'
    )
    _refuse(monkeypatch, psycopg.OperationalError(text))

    with pytest.raises(NotPermitted, match="password authentication failed for user"):
        connect(URL, application_name="test")


def _refuse(monkeypatch: pytest.MonkeyPatch, error: psycopg.Error) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Link, "connect", refuse)


def test_the_url_has_the_last_word_on_time_and_keepalives(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    def remember(_: str, **parameters: object) -> None:
        given.update(parameters)
        raise psycopg.OperationalError("no")

    monkeypatch.setattr(Link, "connect", remember)

    with pytest.raises(DatabaseUnreachable):
        connect(f"{URL}?connect_timeout=3&keepalives_idle=5", application_name="pg_events test")

    assert given["application_name"] == "pg_events test"
    assert given["tcp_user_timeout"] == 60_000
    assert not {"connect_timeout", "keepalives_idle"} & given.keys()


def test_psycopg_logs_no_password(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(DatabaseUnreachable):
        connect(f"postgresql://shop:hunter2@127.0.0.1:{closed_port}/market", application_name="test")

    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://db/market", None),
        ("postgresql://one,two/market", "primary"),
        ("postgresql://one,two/market?target_session_attrs=any", None),
    ],
)
def test_of_several_hosts_the_primary_is_asked_for(
    url: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def remember(_: str, **parameters: object) -> None:
        given.update(parameters)
        raise psycopg.OperationalError("no")

    monkeypatch.setattr(Link, "connect", remember)

    with pytest.raises(DatabaseUnreachable):
        connect(url, application_name="test")

    assert given.get("target_session_attrs") == wanted


# --- URLs of SQLAlchemy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scheme", ["postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2", "postgres+pg8000"]
)
def test_a_url_of_sqlalchemy_is_taken_without_its_driver(scheme: str) -> None:
    url = URL.replace("postgresql", scheme)

    assert describe(url) == "market@db.example:5433"
    assert mask(f"no hunter2 in {url}", url).count("hunter2") == 0


@pytest.mark.parametrize("scheme", ["mysql+psycopg", "postgresql+", "postgresql+a b", "+psycopg"])
def test_the_url_of_another_database_is_not(scheme: str) -> None:
    with pytest.raises(UsageError):
        describe(URL.replace("postgresql", scheme))


def test_one_connects_with_the_url_of_sqlalchemy(database_url: str) -> None:
    with connect(database_url.replace("postgresql:", "postgresql+asyncpg:", 1), application_name="test") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("words", ["hots=db dbname=market", "host=db password=hun ter2", "market"])
def test_words_that_libpq_does_not_know_are_told_without_repeating_them(words: str) -> None:
    with pytest.raises(UsageError, match="as keyword=value it has a keyword unknown to libpq") as caught:
        describe(words)

    assert "hots" not in str(caught.value)
    assert "ter2" not in str(caught.value)
