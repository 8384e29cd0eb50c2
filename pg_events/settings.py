"""Settings: what a user wrote in `my_module/settings.py`, the environment and the options, checked and in one place."""

import difflib
import importlib
import importlib.util
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple, cast

from pg_events import amount
from pg_events.errors import UsageError
from pg_events.text import clean, describe_error

PREFIX: Final = "PG_EVENTS_"

FULL_QUERY: Final = 2**30
"""Characters kept with `PG_EVENTS_QUERY = "full"`: more than a text of PostgreSQL can have."""

LINK_SECONDS: Final = 30.0
"""How long the server may owe an answer before its silence counts as a lost link."""

TREATMENTS: Final = ("drop", "mask", "hash")
"""What `PG_EVENTS_REDACT` can do to a column."""


LOG_FORMATS: Final = ("text", "json")
"""How a worker's log lines are written: for people, or one JSON object a line."""

ON_FAILURE: Final = ("skip", "hold", "stop")
"""What becomes of later events when one has failed: go on, let those of its row wait, or stop the worker before it."""


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


class Address(NamedTuple):
    """Where something listens."""

    host: str
    port: int
    """0: any that is free."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Profile:
    """A database that the console can go to."""

    name: str
    database_url: str = field(repr=False)
    label: str
    """What its header says, for instance `PROD`."""
    colour: str = ""
    """Of that label: a name or `#cc3344`."""
    read_only: bool = False


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
    by_row: tuple[str, ...] = ()
    """`PG_EVENTS_BY_ROW`: patterns of tables whose rows are captured one by one; True is `*`."""
    query_characters: int = 8192
    """`PG_EVENTS_QUERY`: how much of the client's statement an event keeps. `"full"`, `"off"` (0) or a number."""
    wake_up: bool = True
    """`PG_EVENTS_WAKE_UP`: False when NOTIFY must not be used (two-phase commit, some poolers); readers then poll."""
    max_attempts: int = 5
    """`PG_EVENTS_MAX_ATTEMPTS`: calls of a callback before an event counts as failed; at least 1."""
    retry_seconds: float = 1.0
    """`PG_EVENTS_RETRY_SECONDS`: the pause before the second attempt; it doubles with each further one."""
    link_seconds: float = LINK_SECONDS
    """`PG_EVENTS_LINK_SECONDS`: how long the server may owe a reader an answer before the link is made anew."""
    only_database: bool = False
    """Nothing was said but the database: a build keeps what the last one was told."""
    time_limit_seconds: float | None = None
    """`PG_EVENTS_TIME_LIMIT_SECONDS`: how long one call of a callback may take. Ends async ones; others need `isolate`."""
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
    skip_own: bool = False
    """`PG_EVENTS_SKIP_OWN`: True when events are passed by that this consumer's own callbacks caused."""
    keep: timedelta | None = None
    """`PG_EVENTS_KEEP`: a worker deletes events that are older, such as `"30d"`. None: it deletes none for their age."""
    keep_bytes: int | None = None
    """`PG_EVENTS_KEEP_SIZE`: a worker deletes the oldest events as soon as all of them take more, such as `"10GB"`."""
    keep_unread: bool = True
    """`PG_EVENTS_KEEP_UNREAD`: False when it shall delete also what a consumer has not been given."""
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
        return replace(general, **own)  # pyright: ignore[reportArgumentType] - checked by _read


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
    _search_first(_current_directory())
    reference = settings or environ.get("PG_EVENTS_SETTINGS")
    module = _import(reference) if reference else None
    source = reference or ("--database-url" if database_url else "PG_EVENTS_DATABASE_URL")
    values = _read(module, source) if module else {}
    url = database_url or values.get("database_url") or environ.get("PG_EVENTS_DATABASE_URL") or None
    if url is None and require_database:
        raise UsageError(_no_database(module, source))
    return Settings(**values | {"database_url": url, "only_database": module is None, "source": source})  # pyright: ignore[reportArgumentType] - checked by _read


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


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory no longer exists; change into one that does") from None


def _search_first(folder: Path) -> None:
    """Make modules in the folder importable, before any other of the same name."""
    path = str(folder)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)


# --- the module or file -------------------------------------------------------------------------------------------


def _import(reference: str) -> ModuleType:
    is_file = reference.endswith(".py") or os.sep in reference
    return _import_file(reference) if is_file else _import_module(reference)


def _import_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"settings {clean(name)!r} is neither a module nor a file; write my_module.settings or path/to/settings.py"
        )
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"no settings module {name!r} ({error.name!r} not found from {_current_directory()}); "
                "go to the folder that holds it, or give the file: --settings path/to/settings.py"
            ) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _import_file(reference: str) -> ModuleType:
    path = _existing_file(reference)
    _search_first(path.parent)
    # Under its own name, so that a callback beside it which imports it meets the same module and not a second copy;
    # unless that name belongs to another module.
    name = path.stem
    if not name.isidentifier() or name in sys.stdlib_module_names or _is_other_module(name, path):
        name = f"pg_events_settings_{abs(hash(path))}"
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(reference, error) from error
    return module


def _existing_file(reference: str) -> Path:
    shown = clean(reference)
    try:
        path = Path(reference).expanduser().resolve()
        if path.is_file():
            path.open("rb").close()
            return path
        if path.is_dir():
            raise UsageError(f"settings {shown!r} is a folder; give the file: {shown.rstrip(os.sep)}/settings.py")
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"settings file {shown!r} cannot be read: {reason}") from error
    raise UsageError(f"no settings file {shown!r} (looked in {path.parent}); check the path given with --settings")


def _is_other_module(name: str, path: Path) -> bool:
    loaded = sys.modules.get(name)
    return loaded is not None and getattr(loaded, "__file__", None) != str(path)


def _broken(reference: str, error: BaseException) -> UsageError:
    return UsageError(f"settings {clean(reference)!r} cannot be loaded: {describe_error(error)}")


# --- the constants ------------------------------------------------------------------------------------------------


def _read(module: ModuleType, source: str) -> dict[str, object]:
    """Field of `Settings` -> checked value, for every constant the module sets."""
    values: dict[str, object] = {}
    for constant, value in vars(module).items():
        if not constant.startswith(PREFIX):
            continue
        if constant not in _CONSTANTS:
            raise UsageError(f"{source}: unknown setting {clean(constant)}; {_closest(constant)}")
        if value is None:
            continue
        name, check = _CONSTANTS[constant]
        try:
            checked = check(value)
        except UsageError as error:
            raise UsageError(f"{source}: {constant} must be {error}") from None
        owner, dot, key = name.partition(".")
        if dot:
            cast("dict[str, object]", values.setdefault(owner, {}))[key] = checked
        else:
            values[name] = checked
    return values


def _closest(constant: str) -> str:
    near = difflib.get_close_matches(constant, _CONSTANTS, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(_CONSTANTS))}"


# A check returns the field's value or raises with what the constant must be. Values are not quoted where
# one could hold a password.


def _url(value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"a string, not {_kind(value)}")
    return value.strip()


def _callback(value: object) -> object:
    if not (isinstance(value, str) or callable(value)):
        raise UsageError(f"'my_module.function' or the function itself, not {_kind(value)}")
    return value


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"a list of patterns such as ['public.*'], not {_kind(value)}")
    patterns = cast("list[object] | tuple[object, ...]", value)
    if not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise UsageError("a list of patterns such as ['public.*'], each a string")
    return tuple(cast("list[str]", patterns))


def _mapping(value: object) -> dict[str, object] | None:
    """What is written as a dict whose keys are names; None for anything else."""
    if not isinstance(value, Mapping):
        return None
    found = cast("Mapping[object, object]", value)
    return cast("dict[str, object]", dict(found)) if all(_is_text(key) for key in found) else None


def _by_table(value: object, example: str) -> dict[str, object]:
    found = _mapping(value)
    if found is None:
        raise UsageError(f"a dict such as {example}, not {_kind(value)}")
    return found


def _is_text(value: object) -> bool:
    """A string that PostgreSQL can have, and not an empty one."""
    return isinstance(value, str) and bool(value.strip()) and not re.search("[\0\ud800-\udfff]", value)


def _columns(value: object) -> Mapping[str, tuple[str, ...]]:
    example = "{'public.users': ['password_hash']}"
    found: dict[str, tuple[str, ...]] = {}
    for table, columns in _by_table(value, example).items():
        listed = cast("list[object] | tuple[object, ...]", columns) if isinstance(columns, list | tuple) else ()
        if not listed or not all(_is_text(column) for column in listed):
            raise UsageError(f"a dict such as {example}; {_shown(table)} has no list of columns")
        found[table] = tuple(cast("list[str]", listed))
    return found


def _treatments(value: object) -> Mapping[str, Mapping[str, str]]:
    example = "{'public.users': {'email': 'hash'}}"
    found: dict[str, Mapping[str, str]] = {}
    for table, columns in _by_table(value, example).items():
        treated = _mapping(columns)
        if not treated:
            raise UsageError(f"a dict such as {example}; {_shown(table)} has no dict of columns")
        for column, treatment in treated.items():
            if treatment not in TREATMENTS:
                raise UsageError(
                    f"a dict such as {example}; {_shown(column)} of {_shown(table)} can be 'drop', 'mask' or 'hash', "
                    f"not {_shown(treatment)}"
                )
        found[table] = cast("Mapping[str, str]", treated)
    return found


def _conditions(value: object) -> Mapping[str, str]:
    example = "{'public.orders': 'new.total > 100'}"
    found = _by_table(value, example)
    for table, condition in found.items():
        if not _is_text(condition):
            raise UsageError(f"a dict such as {example}; {_shown(table)} has no condition in SQL")
    return cast("Mapping[str, str]", found)


def _all_or_patterns(value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("*",) if value else ()
    if isinstance(value, list | tuple):
        return _patterns(cast("object", value))
    raise UsageError(f"True, False or a list of patterns such as ['public.*'], not {_shown(value)}")


def _query(value: object) -> int:
    if value == "full":
        return FULL_QUERY
    if value == "off":
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return min(value, FULL_QUERY)
    raise UsageError(f"'full', 'off' or a number of characters above 0, not {_shown(value)}")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"True or False, not {_shown(value)}")
    return value


def _at_least_one(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise UsageError(f"a whole number of at least 1, not {_shown(value)}")


def _on_failure(value: object) -> str:
    return _one_of(ON_FAILURE, value)


def _log_format(value: object) -> str:
    return _one_of(LOG_FORMATS, value)


def _one_of(choices: tuple[str, ...], value: object) -> str:
    if value in choices:
        return cast("str", value)
    raise UsageError(f"one of {', '.join(map(repr, choices))}, not {_shown(value)}")


def address(value: object) -> Address:
    """`9187`, `"0.0.0.0:9187"`, `"[::1]:9187"`; without a host this machine alone is meant. Raises `UsageError` with what
    it must be."""
    found = re.fullmatch(r"(?:(\[[0-9a-fA-F:.%]+\]|[^\s:\[\]]+):)?([0-9]{1,5})", str(value), re.ASCII)
    if isinstance(value, str | int) and not isinstance(value, bool) and found and int(found[2]) < 65536:
        return Address((found[1] or "127.0.0.1").strip("[]"), int(found[2]))
    raise UsageError(f"a port or HOST:PORT such as 9187 or 0.0.0.0:9187, not {_shown(value)}")


def _age(value: object) -> object:
    return _amount(amount.age, value)


def _size(value: object) -> object:
    return _amount(amount.size, value)


def _amount(read: Callable[[str], object], value: object) -> object:
    try:
        return read(str(value))
    except ValueError as error:
        raise UsageError(f"{error}, not {_shown(value)}") from None


def _lease(value: object) -> float:
    if (seconds := _seconds(value)) >= 1:
        return seconds
    raise UsageError(f"at least 1 second, not {_shown(value)}")


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    raise UsageError(f"a number of seconds, 0 or more, not {_shown(value)}")


def _link_seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 1:
        return float(value)
    raise UsageError(f"a number of seconds, 1 or more, not {_shown(value)}")


def _limit(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return float(value)
    raise UsageError(f"a number of seconds above 0, not {_shown(value)}; leave it out for no limit")


def _profiles(value: object) -> tuple[Profile, ...]:
    wanted = "a dict such as {'prod': {'database_url': '…', 'label': 'PROD', 'colour': 'red', 'read_only': True}}"
    if not isinstance(value, dict):
        raise UsageError(f"{wanted}, not {_kind(value)}")
    found: list[Profile] = []
    for name, told in cast("dict[object, object]", value).items():
        profile = {"database_url": told} if isinstance(told, str) else told
        if not isinstance(name, str) or not isinstance(profile, dict):
            raise UsageError(wanted)
        found.append(_profile(name, cast("dict[str, object]", profile)))
    return tuple(found)


def _profile(name: str, told: Mapping[str, object]) -> Profile:
    shown = clean(name)
    unknown = [key for key in told if key not in ("database_url", "label", "colour", "read_only")]
    if unknown:
        raise UsageError(
            f"without {clean(str(unknown[0]))} in {shown}: database_url, label, colour, read_only are known"
        )
    url, label, colour = told.get("database_url"), told.get("label", name), told.get("colour", "")
    if not isinstance(url, str) or not url.strip():
        raise UsageError(f"complete: {shown} has no database_url")
    if not isinstance(label, str) or not isinstance(colour, str):
        raise UsageError(f"of strings: label and colour of {shown}")
    if colour and not re.fullmatch(r"#[0-9a-fA-F]{6}|[a-z_]{3,30}", colour):
        raise UsageError(f"with a colour such as red or #cc3344 in {shown}, not {_shown(colour)}")
    return Profile(name, url.strip(), label, colour, _flag(told.get("read_only", False)))


def _keys(value: object) -> tuple[tuple[str, str], ...]:
    wanted = "a dict such as {'list.down': 'n,down'}"
    if not isinstance(value, dict):
        raise UsageError(f"{wanted}, not {_kind(value)}")
    found = cast("dict[object, object]", value)
    if not all(isinstance(name, str) and isinstance(keys, str) and keys.strip() for name, keys in found.items()):
        raise UsageError(f"{wanted}, each a string")
    return tuple(cast("dict[str, str]", found).items())


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _shown(value: object) -> str:
    """A short plain value as written, any other by its type."""
    if isinstance(value, str | int | float) and len(text := clean(repr(value))) <= 40:
        return text
    return _kind(value)


_POLICY: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
    "MAX_ATTEMPTS": ("max_attempts", _at_least_one),
    "RETRY_SECONDS": ("retry_seconds", _seconds),
    "RETRY_MAX_SECONDS": ("retry_max_seconds", _seconds),
    "ON_FAILURE": ("on_failure", _on_failure),
}
"""What can be set for every callback and for each: the constant's end -> field of `Policy` and the check of its value."""

_CONSTANTS: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
    "PG_EVENTS_DATABASE_URL": ("database_url", _url),
    "PG_EVENTS_DATA_UPDATE_CALLBACK": ("data_update_callback", _callback),
    "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK": ("db_schema_update_callback", _callback),
    "PG_EVENTS_INCLUDE": ("include", _patterns),
    "PG_EVENTS_EXCLUDE": ("exclude", _patterns),
    "PG_EVENTS_INCLUDE_COLUMNS": ("include_columns", _columns),
    "PG_EVENTS_EXCLUDE_COLUMNS": ("exclude_columns", _columns),
    "PG_EVENTS_REDACT": ("redact", _treatments),
    "PG_EVENTS_WHEN": ("when", _conditions),
    "PG_EVENTS_SKIP_UNCHANGED": ("skip_unchanged", _all_or_patterns),
    "PG_EVENTS_CAPTURE_REPLICATED": ("capture_replicated", _all_or_patterns),
    "PG_EVENTS_BY_ROW": ("by_row", _all_or_patterns),
    "PG_EVENTS_QUERY": ("query_characters", _query),
    "PG_EVENTS_WAKE_UP": ("wake_up", _flag),
    **{f"PG_EVENTS_{end}": entry for end, entry in _POLICY.items()},
    "PG_EVENTS_LEASE_SECONDS": ("lease_seconds", _lease),
    "PG_EVENTS_LINK_SECONDS": ("link_seconds", _link_seconds),
    "PG_EVENTS_TIME_LIMIT_SECONDS": ("time_limit_seconds", _limit),
    "PG_EVENTS_ISOLATE": ("isolate", _flag),
    "PG_EVENTS_SKIP_OWN": ("skip_own", _flag),
    "PG_EVENTS_KEEP": ("keep", _age),
    "PG_EVENTS_KEEP_SIZE": ("keep_bytes", _size),
    "PG_EVENTS_KEEP_UNREAD": ("keep_unread", _flag),
    "PG_EVENTS_CONCURRENCY": ("concurrency", _at_least_one),
    "PG_EVENTS_TRANSACTIONAL": ("transactional", _flag),
    "PG_EVENTS_LOG_FORMAT": ("log_format", _log_format),
    "PG_EVENTS_METRICS": ("metrics", address),
    "PG_EVENTS_STALLED_SECONDS": ("stalled_seconds", _link_seconds),
    "PG_EVENTS_PROFILES": ("profiles", _profiles),
    "PG_EVENTS_KEYS": ("keys", _keys),
    **{
        f"PG_EVENTS_{kind.upper()}_{end}": (f"{kind}_policy.{name}", check)
        for kind in ("data_update", "db_schema_update")
        for end, (name, check) in _POLICY.items()
    },
}
"""Constant in the settings -> field of `Settings` (after a dot the key in it) and the check of its value."""
