"""Connections: the only way to open them, and one-line messages for their errors.

A database URL holds a password, and libpq quotes the URL in its errors. No message here repeats the URL.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus, unquote

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import Row
from psycopg.sql import Composable
from psycopg.types.string import TextBinaryLoader, TextLoader

from pg_events.db import trust
from pg_events.db.link import SETTINGS, Cursor, Link
from pg_events.errors import (
    DatabaseUnreachable,
    NotInstalled,
    NotPermitted,
    PgEventsError,
    PoolerUnsupported,
    UsageError,
)
from pg_events.text import MASK, message, one_line, shorten, without_passwords

_TCP: Final[Mapping[str, int]] = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""TCP settings that detect a vanished server within a minute, instead of the kernel's two hours."""


def connect(
    database_url: str,
    *,
    application_name: str,
    autocommit: bool = True,
    connect_timeout: float = 10,
    silence_seconds: float | None = None,
    plain: bool = False,
    checks_owner: bool = True,
) -> Link:
    """Connect with the settings of pg_events: UTF-8, UTC, ISO dates, and a pinned `search_path`; `json` and `jsonb` as text.

    `connect_timeout` (seconds, at least 2, for each address tried) and the TCP settings can be overridden in the URL.
    Of several hosts the primary is used, unless the URL's `target_session_attrs` says otherwise. Statements are not
    prepared automatically, so that a transaction pooler is safe. `silence_seconds`: see `Link`. With `plain`, session and
    types are as psycopg and the role define them, for statements of the user. Callers that check the owner of the schema
    `pgevents` themselves pass `checks_owner` False, see `trust`; plain connections come after such a check.

    Raises `UsageError` for a URL that cannot be read, `NotPermitted` if the server rejects the role or the role must not
    use the objects of the schema, `DatabaseUnreachable` for everything else, including a missing database.
    """
    database_url = stripped(database_url)
    parameters = _parameters(database_url)
    wanted: dict[str, int | str] = {**_TCP, "connect_timeout": max(2, math.ceil(connect_timeout))}
    if "," in parameters.get("host", parameters.get("hostaddr", "")):
        wanted["target_session_attrs"] = "primary"
    missing = {name: value for name, value in wanted.items() if name not in parameters}
    try:
        connection = Link.connect(
            database_url,
            autocommit=True,
            prepare_threshold=None,
            application_name=application_name,
            **missing,  # pyright: ignore[reportArgumentType] - they are none of the named parameters
        )
    except psycopg.ProgrammingError:
        unreadable = UsageError(_UNREADABLE)
    except UnicodeError:
        unreadable = UsageError("the host in the database URL is not a host name")
    except psycopg.Error as error:
        raise _refused(error, database_url) from error
    else:
        connection.database_url = database_url
        connection.silence_seconds = silence_seconds
        try:
            if not plain:
                _prepare_session(connection)
            if checks_owner and not plain:
                trust.check(connection)
            connection.autocommit = autocommit
        except psycopg.Error as error:
            connection.close()
            raise translate(error, database_url) from error
        except NotPermitted:
            connection.close()
            raise
        return connection
    raise unreadable  # here, outside `except`, so that the error quoting the URL is not chained


def _prepare_session(connection: Link) -> None:
    # A server without an encoding stores any bytes, but rejects invalid ones if the client asks for UTF-8. One bad byte
    # must not stop the log, so bytes are received unchanged and decoded leniently here.
    lenient = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
    connection.cursor_factory = _Utf8Cursor if lenient else Cursor
    # After connecting, not with the start-up parameter `options`, which PgBouncer rejects; it carries these three over
    # from one server connection to the next. Every name is qualified: nothing is pinned yet.
    number, *_ = connection.ask_first(
        "select pg_catalog.pg_backend_pid(),"
        " pg_catalog.set_config('client_encoding', %s, false),"
        " pg_catalog.set_config('TimeZone', 'UTC', false),"
        " pg_catalog.set_config('DateStyle', 'ISO', false)",
        "SQL_ASCII" if lenient else "UTF8",
    )
    # Behind a pooler or proxy the server process has another pid than the one reported at start-up.
    connection.is_proxied = number != connection.info.backend_pid
    connection.has_session = not connection.is_proxied
    if connection.is_proxied:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.settle(SETTINGS)
    _register_loaders(connection, lenient)


class _Utf8Cursor(Cursor[Row]):
    """Cursor that sends queries as UTF-8 on a server without an encoding, where psycopg would require ASCII."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        if isinstance(query, str):
            query = query.encode()
        elif isinstance(query, Composable):
            query = query.as_bytes(None)
        return super().execute(query, *args, **kwargs)


class _LenientLoader(Loader):
    """Loader of UTF-8 text; invalid bytes become U+FFFD."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


class _LenientBinaryLoader(_LenientLoader):
    format = pq.Format.BINARY


class _JsonbBinaryLoader(_LenientBinaryLoader):
    """Loader of binary `jsonb`: a version byte followed by its text."""

    def load(self, data: Buffer) -> str:
        return super().load(bytes(data)[1:])


def _register_loaders(connection: psycopg.Connection, lenient: bool) -> None:
    """Load JSON as the exact text of the server, and all text leniently if the server has no encoding."""
    adapters = connection.adapters
    text, binary = (_LenientLoader, _LenientBinaryLoader) if lenient else (TextLoader, TextBinaryLoader)
    adapters.register_loader("json", text)
    adapters.register_loader("json", binary)
    adapters.register_loader("jsonb", text)
    adapters.register_loader("jsonb", _JsonbBinaryLoader)
    if lenient:
        adapters.register_loader(0, text)  # a type psycopg does not know: an enum, a domain
        for name in ("bpchar", "name", "text", "varchar", '"char"'):
            adapters.register_loader(name, text)
            adapters.register_loader(name, binary)


# --- reading the URL ----------------------------------------------------------------------------------------------

_UNREADABLE: Final = (
    "the database URL cannot be read; use postgresql://user:password@host:port/dbname, special characters of the "
    "password percent-encoded ('@' as %40, '/' as %2F, '%' as %25)"
)
_UNREADABLE_WORDS: Final = (
    "the database URL cannot be read; it is not a URL, and as keyword=value it has a keyword unknown to libpq, or an "
    "unquoted value with blanks: use host=… port=… dbname=… user=… password='…'"
)
_UNESCAPED: Final = (
    "the database URL has an '@' or '/' in the wrong place, perhaps in its password; "
    "write '@' as %40 and '/' as %2F there"
)


def stripped(database_url: str) -> str:
    """Strip the URL of a trailing line end, and of SQLAlchemy's driver name, as in `postgresql+asyncpg://…`."""
    database_url = database_url.strip(" \t\r\n" if "://" in database_url else "\r\n")
    return _DRIVER.sub(r"\1", database_url)


_DRIVER: Final = re.compile(r"\A(postgres(?:ql)?)\+[a-z0-9_]{1,40}(?=://)")


def _parameters(database_url: str) -> dict[str, str]:
    """Parse the URL as libpq does; return values by keyword. Raises `UsageError` without quoting the URL."""
    database_url = stripped(database_url)
    scheme = re.match(r"\s*([a-z][a-z0-9+.-]*)://(.*)", database_url, re.IGNORECASE | re.DOTALL)
    if scheme and scheme[1] not in ("postgresql", "postgres"):
        raise UsageError("the database URL must begin with postgresql://")
    if scheme and "@" in _behind_credentials(scheme[2]):
        raise UsageError(_UNESCAPED)
    try:
        values = conninfo_to_dict(database_url)
    except (psycopg.Error, ValueError):
        values = None
    if values is None or "\0" in database_url:
        raise UsageError(_UNREADABLE if "://" in database_url else _UNREADABLE_WORDS)
    parameters = {name: str(value) for name, value in values.items()}
    ports = parameters.get("port", "").split(",")
    if any(port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536) for port in ports):
        raise UsageError(
            "the port in the database URL is not a number from 1 to 65535; "
            "special characters of the password must be percent-encoded ('/' as %2F)"
        )
    if "@" in parameters.get("host", ""):
        raise UsageError(_UNESCAPED)
    return parameters


def _behind_credentials(rest: str) -> str:
    """Hosts and path of a URL without its scheme. Like libpq, splits at the first '@' before any '/'."""
    end = re.search("[@/]", rest)
    if end and end[0] == "@":
        rest = rest[end.end() :]
    return rest.partition("?")[0]


def describe(database_url: str) -> str:
    """Describe a URL as `dbname@host:port`, without password: `shop@db1:5432,db2:5432`, `shop@/run/postgresql:5432`.

    Missing parts come from the environment, as in libpq. Raises `UsageError` for an unreadable URL.
    """
    return _describe(_parameters(database_url))


def _describe(given: Mapping[str, str]) -> str:
    parameters = {**_defaults(), **given}
    if "service" in given and "host" not in given:
        return one_line(f"{given['dbname']}@service {given['service']}" if "dbname" in given else given["service"])
    hosts = (parameters.get("host") or parameters.get("hostaddr") or "local").split(",")
    ports = (parameters.get("port") or "5432").split(",")
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    name = parameters.get("dbname") or parameters.get("user") or ""
    return one_line(f"{name}@{','.join(_address(*pair) for pair in zip(hosts, ports, strict=True))}")


def _address(host: str, port: str) -> str:
    bracketed = f"[{host}]" if ":" in host and not host.startswith("/") else host or "local"
    return f"{bracketed}:{port or '5432'}"


def _defaults() -> dict[str, str]:
    """Defaults of libpq, including the environment (`PGHOST` and so on)."""
    options = pq.Conninfo.get_defaults()
    return {option.keyword.decode(): option.val.decode(errors="replace") for option in options if option.val}


# --- passwords ----------------------------------------------------------------------------------------------------


def mask(text: str, database_url: str) -> str:
    """Mask the URL's password in a text, whether plain, percent-encoded or quoted. Never raises.

    A password equal to the name of user, database or host is kept where nothing marks it as a password.
    """
    for secret in sorted(_secrets(database_url), key=len, reverse=True):
        # A password of one or two characters is masked only as a word; masking every "a" would reveal more than it hides.
        pattern = re.escape(secret) if len(secret) > 2 else rf"(?<!\w){re.escape(secret)}(?!\w)"
        text = re.sub(pattern, MASK, text)
    return without_passwords(text)


def _secrets(database_url: str) -> set[str]:
    passwords: set[str] = set()
    known: set[str] = set()
    try:
        parameters = _parameters(database_url)
    except UsageError:
        passwords.update(_guessed_passwords(database_url))
    else:
        passwords.update(parameters[name] for name in ("password", "sslpassword") if name in parameters)
        known.update(value for name, value in parameters.items() if name in ("user", "dbname", "host"))
    return {spelling for password in passwords for spelling in _spellings(password)} - known - {""}


def _guessed_passwords(database_url: str) -> Iterator[str]:
    """Possible passwords, or parts of one, in a URL that cannot be read."""
    if found := re.search(r"://[^:/@]*:(.*)@", database_url, re.DOTALL):
        yield from {found[1], unquote(found[1]), *(piece for piece in re.split("[@/?#]", found[1]) if len(piece) > 2)}
    if found := re.search(r"password\s*=\s*(.*)", database_url, re.DOTALL):
        yield from (piece for piece in re.split(r"[\s']+", found[1]) if len(piece) > 2)


def _spellings(password: str) -> Iterator[str]:
    yield password
    for encoded in (quote(password, safe="", errors="replace"), quote(password, errors="replace")):
        yield encoded
        yield re.sub("%..", lambda code: code[0].lower(), encoded)
    yield quote_plus(password, errors="replace")
    yield repr(password)[1:-1]
    yield re.sub(r"([\\'])", r"\\\1", password)


# --- errors -------------------------------------------------------------------------------------------------------

# While connecting, libpq reports the server's text but not its SQLSTATE.
_NO_ADMITTANCE: Final = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role .* does not exist|not permitted to log in"
    r"|permission denied|CONNECT privilege|no such user|auth failed|requires a valid client certificate",
    re.IGNORECASE,
)
_IS_IT_THERE: Final = "; is the server running there? check host and port in the database URL"
_WHAT_TO_CHECK: Final = (
    (
        re.compile("resolve host|translate host|name or service not known|name resolution", re.IGNORECASE),
        "; check the host in the database URL",
    ),
    (
        re.compile("connection refused|^no such file|timeout|timed out|no route|unreachable", re.IGNORECASE),
        _IS_IT_THERE,
    ),
    (re.compile('database ".*" does not exist'), "; check the database's name in the database URL"),
)
"""Patterns of reasons for an unreachable server, and their remedies."""
_LIBPQ_PREFIX: Final = re.compile(
    r"^(?:connection (?:failed|is bad): |consuming input failed: )?"
    r"(?:connection to server (?:at|on socket) \"[^\"]*\"(?: \([^)]*\))?(?:, port \d+)? failed: )?(?:[A-Z]+: +)?"
)


def _refused(error: psycopg.Error, database_url: str) -> PgEventsError:
    """Translate the error of a failed attempt to connect."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return DatabaseUnreachable(
            f"{describe(database_url)}: no answer in time; is the server running there? check host and port in the database URL"
        )
    lines = message(error).splitlines() or [type(error).__name__]
    no_admittance = next((line for line in lines if _NO_ADMITTANCE.search(line)), None)
    reason = _LIBPQ_PREFIX.sub("", (no_admittance or lines[0]).removeprefix("- "))
    text = f"{describe(database_url)}: {_safe(reason, database_url)}"
    needs_password = error.pgconn is not None and error.pgconn.needs_password
    if no_admittance or needs_password:
        return NotPermitted(f"{text}; check user and password in the database URL")
    if "server is in hot standby mode" in message(error):  # one of several hosts answered, the others did not
        return DatabaseUnreachable(
            f"{describe(database_url)}: only a standby answers; the primary is down, or missing in the database URL"
        )
    remedy = next((remedy for pattern, remedy in _WHAT_TO_CHECK if pattern.search(reason)), "")
    return DatabaseUnreachable(text + remedy)


_LOST: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "53300", "3D000"})
"""SQLSTATEs of a lost connection, besides class 08: shut down, crashed, starting, idle timeouts, limits, no database."""
_PASSING: Final = frozenset({"40001", "40P01", "57014", "53100", "53200"})
"""SQLSTATEs of temporary errors, after which a worker reconnects: serialisation, deadlock, cancelled, disk or memory full."""

_DENIED: Final = frozenset({"42501", "28000", "28P01"})
_ABSENT: Final = frozenset({"3F000", "42P01", "42883", "42703"})
"""SQLSTATEs of a missing schema, table, function or column."""


def translate(error: psycopg.Error, database_url: str) -> PgEventsError:
    """Translate an error of an established connection, for `raise translate(error, url) from error`.

    Returns `DatabaseUnreachable` if the connection is lost or the cause may be temporary, `NotPermitted` if a privilege is
    missing, `NotInstalled` if the schema `pgevents` or a part of it is missing, else a plain `PgEventsError`. The message
    is one line, without the password.
    """
    if "statement pooling mode" in message(error):
        return PoolerUnsupported(
            f"{describe(database_url)}: a pooler in statement mode, which does not support transactions; connect to the "
            "server directly, or use transaction mode"
        )
    state = error.sqlstate or ""
    reason = error.diag.message_primary or next(iter(message(error).splitlines()), type(error).__name__)
    text = f"{describe(database_url)}: {_safe(_LIBPQ_PREFIX.sub('', reason), database_url)}"
    if state[:2] == "08" or state in _LOST | _PASSING or (isinstance(error, psycopg.OperationalError) and not state):
        return DatabaseUnreachable(text)
    if state in _DENIED:
        return NotPermitted(text + _remedy(reason, database_url))
    if state in _ABSENT and re.search(r"\bpgevents\b", reason):
        return NotInstalled(f"{text}; run pg_events build")
    if state == "25006":
        return PgEventsError(f"{text}; this server is read-only (a standby?); use the address of the primary")
    return PgEventsError(text)


def _remedy(reason: str, database_url: str) -> str:
    if not reason.startswith("permission denied"):
        return ""  # "must be owner of table …" is sufficient
    role = one_line(_parameters(database_url).get("user") or _defaults().get("user", "ROLE"))
    return f"; remedy: pg_events build --grant-reader {role}, or --grant-worker {role}, as the schema's owner"


def _safe(reason: str, database_url: str) -> str:
    return shorten(one_line(mask(reason, database_url)), 300)
