"""Settings: what a user wrote in `my_module/settings.py`, the environment and the options, checked and in one place."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import ModuleType
from typing import Final

from pg_events.config.fields import Address, Profile, read
from pg_events.config.loader import current_directory, import_settings, search_first
from pg_events.errors import UsageError

SERVER_TIMEOUT_SECONDS: Final = 30.0
"""How long the server may owe an answer before its silence counts as a lost link."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done about a callback that fails."""

    max_attempts: int
    retry_seconds: float
    retry_max_seconds: float
    on_failure: str
    """One of `ON_FAILURE`."""

    def pause(self, attempts: int, chance: float) -> float:
        """Seconds to wait after so many failed attempts; `chance` from 0 to 1 takes up to half of it away."""
        doubled = self.retry_seconds * 2.0 ** min(attempts - 1, 64)
        return min(doubled, self.retry_max_seconds) * (1.0 - chance / 2)


@dataclass(frozen=True)
class Settings:
    """Every setting, with its default. `load()` makes it from what the user wrote; code may make it directly."""

    database_url: str | None = field(default=None, repr=False)
    """`PG_EVENTS_DATABASE_URL`: URL or `key=value` string of libpq. Not in the repr: it may hold a password."""
    data_update_callback: object | None = None
    """`PG_EVENTS_DATA_UPDATE_CALLBACK` as written: a name or the function; `callbacks.resolve` makes it callable."""
    db_schema_update_callback: object | None = None
    """`PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK` as written."""
    include: tuple[str, ...] = ()
    """`PG_EVENTS_INCLUDE`: globs such as `public.*`; a table must match one to be covered. Empty: every table."""
    exclude: tuple[str, ...] = ()
    """`PG_EVENTS_EXCLUDE`: globs of tables left out; stronger than `include`."""
    include_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """`PG_EVENTS_INCLUDE_COLUMNS`: pattern of tables -> patterns of columns; of such tables no other column is kept."""
    exclude_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """`PG_EVENTS_EXCLUDE_COLUMNS`: pattern of tables -> patterns of columns that are left out."""
    redact: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """`PG_EVENTS_REDACT`: pattern of tables -> pattern of columns -> `drop`, `mask` or `hash`."""
    when: Mapping[str, str] = field(default_factory=dict[str, str])
    """`PG_EVENTS_WHEN`: pattern of tables -> SQL condition over `old` and `new`; a change for which it is false is left out."""
    skip_unchanged: tuple[str, ...] = ()
    """`PG_EVENTS_SKIP_UNCHANGED`: patterns of tables whose updates that change nothing are left out; True is `*`."""
    capture_replicated: tuple[str, ...] = ()
    """`PG_EVENTS_CAPTURE_REPLICATED`: patterns of tables of which also those changes are captured that are applied from
    elsewhere (`session_replication_role = replica`, as of a subscription); True is `*`."""
    row_triggers: tuple[str, ...] = ()
    """`PG_EVENTS_ROW_TRIGGERS`: patterns of tables whose rows are captured one by one; True is `*`."""
    query_characters: int = 8192
    """`PG_EVENTS_QUERY_TEXT`: how much of the client's statement an event keeps. `"full"`, `"off"` (0) or a number."""
    notify: bool = True
    """`PG_EVENTS_NOTIFY`: False when NOTIFY must not be used (two-phase commit, some poolers); readers then poll."""
    max_attempts: int = 5
    """`PG_EVENTS_MAX_ATTEMPTS`: calls of a callback before an event counts as failed; at least 1."""
    retry_seconds: float = 1.0
    """`PG_EVENTS_RETRY_SECONDS`: the pause before the second attempt; it doubles with each further one."""
    server_timeout_seconds: float = SERVER_TIMEOUT_SECONDS
    """`PG_EVENTS_SERVER_TIMEOUT_SECONDS`: how long the server may owe a reader an answer before the link is made anew."""
    only_database: bool = False
    """Nothing was said but the database: a build keeps what the last one was told."""
    callback_timeout_seconds: float | None = None
    """`PG_EVENTS_CALLBACK_TIMEOUT_SECONDS`: how long one call of a callback may take. Ends async ones; others need `isolate`."""
    isolate: bool = False
    """`PG_EVENTS_ISOLATE`: callbacks run in a process of their own, which may hang, crash and be killed."""
    retry_max_seconds: float = 300.0
    """`PG_EVENTS_RETRY_MAX_SECONDS`: no pause is longer."""
    concurrency: int = 1
    """`PG_EVENTS_CONCURRENCY`: so many calls of async callbacks run side by side at most; those of one row never do."""
    transactional: bool = False
    """`PG_EVENTS_TRANSACTIONAL`: callbacks get a connection whose writes commit together with the cursor."""
    on_failure: str = "skip"
    """`PG_EVENTS_ON_FAILURE`: one of `ON_FAILURE`."""
    data_update_policy: Mapping[str, object] = field(default_factory=dict[str, object])
    """What `PG_EVENTS_DATA_UPDATE_MAX_ATTEMPTS` and the like say for that callback alone: field of `Policy` -> value."""
    db_schema_update_policy: Mapping[str, object] = field(default_factory=dict[str, object])
    """The same of `PG_EVENTS_DB_SCHEMA_UPDATE_MAX_ATTEMPTS` and the like."""
    lease_seconds: float = 60.0
    """`PG_EVENTS_LEASE_SECONDS`: how long a worker that says nothing is believed to run."""
    ignore_own_changes: bool | tuple[str, ...] = False
    """`PG_EVENTS_IGNORE_OWN_CHANGES`: True skips the events that the callbacks of this consumer caused, logged in
    as the worker's role; a list names the roles that they log in as instead."""
    retention: timedelta | None = None
    """`PG_EVENTS_RETENTION`: a worker deletes events that are older, such as `"30d"`. None: it deletes none for their age."""
    retention_bytes: int | None = None
    """`PG_EVENTS_RETENTION_SIZE`: a worker deletes the oldest events as soon as all of them take more, such as `"10GB"`."""
    retain_unread: bool = True
    """`PG_EVENTS_RETAIN_UNREAD`: False when it shall delete also what a consumer has not been given."""
    log_format: str = "text"
    """`PG_EVENTS_LOG_FORMAT`: one of `LOG_FORMATS`."""
    metrics: Address | None = None
    """`PG_EVENTS_METRICS`: where a worker serves `/metrics` and `/healthz`; None: nowhere."""
    stalled_seconds: float = 60.0
    """`PG_EVENTS_STALLED_SECONDS`: how long a worker may take for an event before the log and `/healthz` say so."""
    profiles: tuple[Profile, ...] = ()
    """`PG_EVENTS_PROFILES`: databases that the console can go to."""
    keys: tuple[tuple[str, str], ...] = ()
    """`PG_EVENTS_KEYS`: the ids of the console's keys, and the keys that they shall have."""
    source: str = ""
    """Where these came from, for messages: a module, a file, an option or an environment variable."""

    def policy(self, *, schema: bool) -> Policy:
        """What is done about a failing callback, for data or for schema events."""
        general = Policy(self.max_attempts, self.retry_seconds, self.retry_max_seconds, self.on_failure)
        own = self.db_schema_update_policy if schema else self.data_update_policy
        return replace(general, **own)  # pyright: ignore[reportArgumentType] - checked by read


def load(
    settings: str | None,
    database_url: str | None = None,
    environ: Mapping[str, str] = os.environ,
    require_database: bool = True,
) -> Settings:
    """The settings a command works with.

    `settings` is a module (`my_module.settings`) or a file (`path/to/settings.py`), else `PG_EVENTS_SETTINGS`, else
    none. The database is `database_url`, else the constant in the settings, else `PG_EVENTS_DATABASE_URL`.

    Puts the current directory, and before it a file's own folder, in front of `sys.path`, so that callbacks named in
    the settings can be imported. Raises `UsageError` of one line; with `require_database` also when there is none.
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
    if url is None and require_database:
        raise UsageError(_no_database(module, source))
    return Settings(**values | {"database_url": url, "only_database": module is None, "source": source})  # pyright: ignore[reportArgumentType] - checked by read


def _no_database(module: ModuleType | None, source: str) -> str:
    if module is None:
        return (
            "no database: give --database-url, set the environment variable PG_EVENTS_DATABASE_URL, "
            "or name your settings with --settings"
        )
    names = [name for name in vars(module) if name.isupper()]
    near = difflib.get_close_matches("PG_EVENTS_DATABASE_URL", names, n=1, cutoff=0.55)
    found = f" (it has {near[0]})" if near else ""
    return f"{source} sets no PG_EVENTS_DATABASE_URL{found}; add it, or give --database-url"
