"""Settings from `my_module/settings.py`, the environment and the options, validated and in one place."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import ModuleType
from typing import Final, cast

from pg_events.config import django
from pg_events.config.fields import Address, Profile, read
from pg_events.config.loader import current_directory, import_settings, search_first
from pg_events.errors import UsageError

SERVER_TIMEOUT_SECONDS: Final = 30.0
"""Time to wait for an answer of the server before the connection counts as lost."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Policy for a failing callback."""

    max_attempts: int
    retry_seconds: float
    retry_max_seconds: float
    on_failure: str
    """Treatment of later events, one of `ON_FAILURE`."""
    retry_after_max_seconds: float = 3600.0
    """Maximum time, in total, that an event waits because of `RetryAfter`; after it, that is a failed attempt."""
    retry_on: tuple[object, ...] = ()
    """Exception classes, or their names, that are retried; empty: all."""
    give_up_on: tuple[object, ...] = ()
    """Exception classes, or their names, that are never retried; wins over `retry_on`."""

    def pause(self, attempts: int, chance: float) -> float:
        """Seconds to wait after a number of failed attempts; `chance`, from 0 to 1, subtracts up to half of it."""
        doubled = self.retry_seconds * 2.0 ** min(attempts - 1, 64)
        return min(doubled, self.retry_max_seconds) * (1.0 - chance / 2)


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults. `load()` creates it from a user's settings; code may create it directly."""

    database_url: str | None = field(default=None, repr=False)
    """`PG_EVENTS_DATABASE_URL`: URL or `key=value` string of libpq. Not in the repr: it may hold a password."""
    data_update_callback: object | None = None
    """`PG_EVENTS_DATA_UPDATE_CALLBACK` as written: a name or the function; `callbacks.resolve` makes it callable."""
    db_schema_update_callback: object | None = None
    """`PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK` as written."""
    include: tuple[str, ...] = ()
    """`PG_EVENTS_INCLUDE`: globs such as `public.*`; a table must match one to be covered. Empty: every table."""
    exclude: tuple[str, ...] = ()
    """`PG_EVENTS_EXCLUDE`: globs of excluded tables; wins over `include`."""
    include_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """`PG_EVENTS_INCLUDE_COLUMNS`: patterns of the only columns to keep, by pattern of tables."""
    exclude_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """`PG_EVENTS_EXCLUDE_COLUMNS`: patterns of excluded columns, by pattern of tables."""
    redact: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """`PG_EVENTS_REDACT`: `drop`, `mask` or `hash` by pattern of columns, by pattern of tables."""
    when: Mapping[str, str] = field(default_factory=dict[str, str])
    """`PG_EVENTS_WHEN`: SQL condition over `old` and `new`, by pattern of tables; changes for which it is false are skipped."""
    skip_unchanged: tuple[str, ...] = ()
    """`PG_EVENTS_SKIP_UNCHANGED`: patterns of tables whose no-op updates are skipped; True is `*`."""
    capture_replicated: tuple[str, ...] = ()
    """`PG_EVENTS_CAPTURE_REPLICATED`: patterns of tables whose replicated changes are captured, too; True is `*`.

    Replicated changes run with `session_replication_role = replica`, as those of a subscription do.
    """
    row_triggers: tuple[str, ...] = ()
    """`PG_EVENTS_ROW_TRIGGERS`: patterns of tables captured by row triggers; True is `*`."""
    query_characters: int = 8192
    """`PG_EVENTS_QUERY_TEXT`: characters of the client's statement that an event keeps; `"full"`, `"off"` (0) or a number."""
    notify: bool = True
    """`PG_EVENTS_NOTIFY`: False if NOTIFY must not be used (two-phase commit, some poolers); readers then poll."""
    max_attempts: int = 5
    """`PG_EVENTS_MAX_ATTEMPTS`: calls of a callback before an event counts as failed; minimum 1."""
    retry_seconds: float = 1.0
    """`PG_EVENTS_RETRY_SECONDS`: pause before the first retry; doubles with each further one."""
    server_timeout_seconds: float = SERVER_TIMEOUT_SECONDS
    """`PG_EVENTS_SERVER_TIMEOUT_SECONDS`: time that a reader waits for an answer before it reconnects."""
    only_database: bool = False
    """True if only the database was given: a build then keeps the options of the last one."""
    callback_timeout_seconds: float | None = None
    """`PG_EVENTS_CALLBACK_TIMEOUT_SECONDS`: maximum duration of one call. Cancels async callbacks; others need `isolate`."""
    isolate: bool = False
    """`PG_EVENTS_ISOLATE`: run callbacks in a separate process, so that they may hang, crash or be killed."""
    retry_max_seconds: float = 300.0
    """`PG_EVENTS_RETRY_MAX_SECONDS`: maximum pause before a retry."""
    retry_after_max_seconds: float = 3600.0
    """`PG_EVENTS_RETRY_AFTER_MAX_SECONDS`: maximum time, in total, that an event waits because of `RetryAfter`."""
    retry_on: tuple[object, ...] = ()
    """`PG_EVENTS_RETRY_ON`: exception classes, or their names, that are retried; empty: all."""
    give_up_on: tuple[object, ...] = ()
    """`PG_EVENTS_GIVE_UP_ON`: exception classes, or their names, that are never retried."""
    on_give_up: object | None = None
    """`PG_EVENTS_ON_GIVE_UP` as written: a function, or its name, that is called when an event is given up."""
    middleware: tuple[object, ...] = ()
    """`PG_EVENTS_MIDDLEWARE` as written: functions, or their names, that surround each call of a callback."""
    rate_limit: float | None = None
    """`PG_EVENTS_RATE_LIMIT`: maximum calls a second of a consumer, over all its workers; None for no limit."""
    concurrency: int = 1
    """`PG_EVENTS_CONCURRENCY`: maximum concurrent calls of async callbacks; events of one row stay sequential."""
    batch_size: int = 1000
    """`PG_EVENTS_BATCH_SIZE`: maximum events of a call of a batch callback."""
    batch_seconds: float = 0.0
    """`PG_EVENTS_BATCH_SECONDS`: maximum time to wait until a batch is full; 0 passes on what is there."""
    transactional: bool = False
    """`PG_EVENTS_TRANSACTIONAL`: pass callbacks a connection whose writes commit together with the cursor."""
    on_failure: str = "skip"
    """`PG_EVENTS_ON_FAILURE`: one of `ON_FAILURE`."""
    data_update_policy: Mapping[str, object] = field(default_factory=dict[str, object])
    """Overrides for this callback, such as `PG_EVENTS_DATA_UPDATE_MAX_ATTEMPTS`: value by field of `Policy`."""
    db_schema_update_policy: Mapping[str, object] = field(default_factory=dict[str, object])
    """Overrides for this callback, such as `PG_EVENTS_DB_SCHEMA_UPDATE_MAX_ATTEMPTS`: value by field of `Policy`."""
    lease_seconds: float = 60.0
    """`PG_EVENTS_LEASE_SECONDS`: time without a heartbeat before a worker is considered dead."""
    ignore_own_changes: bool | tuple[str, ...] = False
    """`PG_EVENTS_IGNORE_OWN_CHANGES`: True skips events caused by this consumer's own callbacks.

    They are recognised by the worker's role; a list names the roles that the callbacks use instead.
    """
    max_causes: int = 100
    """`PG_EVENTS_MAX_CAUSES`: maximum number of callbacks in a row that cause each other's events; one more is a loop."""
    retention: timedelta | None = None
    """`PG_EVENTS_RETENTION`: age such as `"30d"` beyond which a worker deletes events; None keeps them."""
    retention_bytes: int | None = None
    """`PG_EVENTS_RETENTION_SIZE`: size such as `"10GB"` of the log beyond which a worker deletes the oldest events."""
    retain_unread: bool = True
    """`PG_EVENTS_RETAIN_UNREAD`: False to also delete events that some consumer has not received yet."""
    log_format: str = "text"
    """`PG_EVENTS_LOG_FORMAT`: one of `LOG_FORMATS`."""
    metrics: Address | None = None
    """`PG_EVENTS_METRICS`: address at which a worker serves `/metrics` and `/healthz`; None for no server."""
    stalled_seconds: float = 60.0
    """`PG_EVENTS_STALLED_SECONDS`: time for one event after which the log and `/healthz` report a stall."""
    profiles: tuple[Profile, ...] = ()
    """`PG_EVENTS_PROFILES`: databases that the console can connect to."""
    keys: tuple[tuple[str, str], ...] = ()
    """`PG_EVENTS_KEYS`: keys of the console by id of the binding."""
    source: str = ""
    """Source of the settings, for messages: a module, a file, an option or an environment variable."""

    def policy(self, *, schema: bool) -> Policy:
        """Policy for a failing callback of data or schema events."""
        general = Policy(
            self.max_attempts,
            self.retry_seconds,
            self.retry_max_seconds,
            self.on_failure,
            self.retry_after_max_seconds,
            self.retry_on,
            self.give_up_on,
        )
        own = self.db_schema_update_policy if schema else self.data_update_policy
        return replace(general, **own)  # pyright: ignore[reportArgumentType] - checked by read


def load(
    settings: str | None,
    database_url: str | None = None,
    environ: Mapping[str, str] = os.environ,
    require_database: bool = True,
) -> Settings:
    """Load the settings of a command.

    `settings` is a module (`my_module.settings`) or a file (`path/to/settings.py`), else `PG_EVENTS_SETTINGS`, else
    none. The database is `database_url`, else the constant in the settings, else `PG_EVENTS_DATABASE_URL`, else the default
    database of the settings of a Django project.

    Puts the current directory, and before it a file's own folder, in front of `sys.path`, so that callbacks named in
    the settings can be imported. Raises `UsageError` of one line; with `require_database` also if none is given.
    """
    search_first(current_directory())
    reference = settings or environ.get("PG_EVENTS_SETTINGS")
    try:
        module = import_settings(reference) if reference else None
    except UsageError as error:
        if settings:
            raise
        raise UsageError(f"PG_EVENTS_SETTINGS: {error}") from error
    source = reference or ("--database-url" if database_url else "PG_EVENTS_DATABASE_URL")
    values = read(module, source) if module else {}
    url = database_url or values.get("database_url") or environ.get("PG_EVENTS_DATABASE_URL") or None
    if url is None and module is not None:
        url = _of_django(module)
    if url is None and require_database:
        raise UsageError(_no_database(module, source))
    return Settings(**values | {"database_url": url, "only_database": module is None, "source": source})  # pyright: ignore[reportArgumentType] - checked by read


def _of_django(module: ModuleType) -> str | None:
    """Connection string of the default database, if the module holds the settings of a Django project."""
    databases = getattr(module, "DATABASES", None)
    default: object = cast("Mapping[str, object]", databases).get("default") if isinstance(databases, Mapping) else None
    return django.database_url(cast("Mapping[str, object]", default)) if isinstance(default, Mapping) else None


def _no_database(module: ModuleType | None, source: str) -> str:
    if module is None:
        return (
            "no database: pass --database-url, set the environment variable PG_EVENTS_DATABASE_URL, "
            "or name your settings with --settings"
        )
    names = [name for name in vars(module) if name.isupper()]
    near = difflib.get_close_matches("PG_EVENTS_DATABASE_URL", names, n=1, cutoff=0.55)
    found = f" (it has {near[0]})" if near else ""
    return f"{source} sets no PG_EVENTS_DATABASE_URL{found}; add it, or pass --database-url"
