"""Constants of a settings file: their names, valid values and error messages."""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final, NamedTuple, cast

from pg_events.config import units
from pg_events.errors import UsageError
from pg_events.text import clean

PREFIX: Final = "PG_EVENTS_"

FULL_QUERY: Final = 2**30
"""Number of characters for `PG_EVENTS_QUERY_TEXT = "full"`, more than a PostgreSQL text can hold."""

TREATMENTS: Final = ("drop", "mask", "hash")
"""Treatments of a column by `PG_EVENTS_REDACT`."""


LOG_FORMATS: Final = ("text", "json")
"""Formats of a worker's log: text, or one JSON object per line."""

ON_FAILURE: Final = ("skip", "hold", "stop")
"""Policies for the events after a failed one: deliver them, block those of its row, or stop the worker."""


class Address(NamedTuple):
    """Address of a listening socket."""

    host: str
    port: int
    """Port number; 0 picks any free port."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Profile:
    """Database that the console can connect to."""

    name: str
    database_url: str = field(repr=False)
    label: str
    """Label in the header, for example `PROD`."""
    colour: str = ""
    """Colour of the label: a name or `#cc3344`."""
    read_only: bool = False


def read(module: ModuleType, source: str) -> dict[str, object]:
    """Validate every constant of the module; return values by field of `Settings`. Raises `UsageError` of one line."""
    values: dict[str, object] = {}
    for constant, value in vars(module).items():
        if not constant.startswith(PREFIX):
            continue
        if constant in _RENAMED:
            raise UsageError(f"{source}: {constant} is now {_RENAMED[constant]}")
        if constant not in CONSTANTS:
            raise UsageError(f"{source}: unknown setting {clean(constant)}; {_closest(constant)}")
        if value is None:
            continue
        name, check = CONSTANTS[constant]
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
    near = difflib.get_close_matches(constant, CONSTANTS, n=1)
    return f"did you mean {near[0]}?" if near else f"known settings: {', '.join(sorted(CONSTANTS))}"


# A check returns the field's value or raises a description of valid values. Values are not quoted where they
# could hold a password.


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
    """The value as a dict whose keys are names; None for anything else."""
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
    """True for a non-empty string that PostgreSQL can store."""
    return isinstance(value, str) and bool(value.strip()) and not re.search("[\0\ud800-\udfff]", value)


def _columns(value: object) -> Mapping[str, tuple[str, ...]]:
    example = "{'public.users': ['password_hash']}"
    found: dict[str, tuple[str, ...]] = {}
    for table, columns in _by_table(value, example).items():
        listed = cast("list[object] | tuple[object, ...]", columns) if isinstance(columns, list | tuple) else ()
        if not listed or not all(_is_text(column) for column in listed):
            raise UsageError(f"a dict such as {example}; {_shown(table)} needs a list of columns")
        found[table] = tuple(cast("list[str]", listed))
    return found


def _treatments(value: object) -> Mapping[str, Mapping[str, str]]:
    example = "{'public.users': {'email': 'hash'}}"
    found: dict[str, Mapping[str, str]] = {}
    for table, columns in _by_table(value, example).items():
        treated = _mapping(columns)
        if not treated:
            raise UsageError(f"a dict such as {example}; {_shown(table)} needs a dict of columns")
        for column, treatment in treated.items():
            if treatment not in TREATMENTS:
                raise UsageError(
                    f"a dict such as {example}; {_shown(column)} of {_shown(table)} must be 'drop', 'mask' or 'hash', "
                    f"not {_shown(treatment)}"
                )
        found[table] = cast("Mapping[str, str]", treated)
    return found


def _conditions(value: object) -> Mapping[str, str]:
    example = "{'public.orders': 'new.total > 100'}"
    found = _by_table(value, example)
    for table, condition in found.items():
        if not _is_text(condition):
            raise UsageError(f"a dict such as {example}; {_shown(table)} needs an SQL condition")
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


def _flag_or_roles(value: object) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    roles = tuple(cast("list[object]", value)) if isinstance(value, list | tuple) else ()
    if not roles or not all(isinstance(role, str) and role for role in roles):
        raise UsageError(f"True, False or a list of roles such as ['app'], not {_shown(cast('object', value))}")
    return cast("tuple[str, ...]", roles)


def _exceptions(value: object) -> tuple[object, ...]:
    listed = cast("list[object] | tuple[object, ...]", value) if isinstance(value, list | tuple) else None
    if listed is None or not all(_is_text(each) or _is_exception(each) for each in listed):
        raise UsageError(
            f"a list of exception classes or their names such as ['TimeoutError'], not {_shown(cast('object', value))}"
        )
    return tuple(listed)


def _callbacks(value: object) -> tuple[object, ...]:
    listed = cast("list[object] | tuple[object, ...]", value) if isinstance(value, list | tuple) else None
    if listed is None or not all(_is_text(each) or callable(each) for each in listed):
        raise UsageError(
            f"a list of functions or their names such as ['my_module.function'], not {_shown(cast('object', value))}"
        )
    return tuple(listed)


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _at_least_one(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise UsageError(f"a whole number of at least 1, not {_shown(value)}")


def _batch_size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_BATCH:
        return value
    raise UsageError(f"a whole number from 1 to {_MAX_BATCH:,}, not {_shown(value)}")


_MAX_BATCH: Final = 10_000
"""Maximum events of a batch: they are all in memory."""


def _batch_seconds(value: object) -> float:
    seconds = _seconds(value)
    if seconds <= _MAX_BATCH_SECONDS:
        return seconds
    raise UsageError(f"a number of seconds, 0 to {_MAX_BATCH_SECONDS:g}, not {_shown(value)}")


_MAX_BATCH_SECONDS: Final = 10.0
"""Maximum time to wait for a batch: meanwhile the worker looks for no other worker."""


def _on_failure(value: object) -> str:
    return _one_of(ON_FAILURE, value)


def _log_format(value: object) -> str:
    return _one_of(LOG_FORMATS, value)


def _one_of(choices: tuple[str, ...], value: object) -> str:
    if value in choices:
        return cast("str", value)
    raise UsageError(f"one of {', '.join(map(repr, choices))}, not {_shown(value)}")


def address(value: object) -> Address:
    """Parse `9187`, `"0.0.0.0:9187"` or `"[::1]:9187"`; the default host is the loopback address.

    Raises `UsageError` with a description of valid values.
    """
    found = re.fullmatch(r"(?:(\[[0-9a-fA-F:.%]+\]|[^\s:\[\]]+):)?([0-9]{1,5})", str(value), re.ASCII)
    if isinstance(value, str | int) and not isinstance(value, bool) and found and int(found[2]) < 65536:
        return Address((found[1] or "127.0.0.1").strip("[]"), int(found[2]))
    raise UsageError(f"a port or HOST:PORT such as 9187 or 0.0.0.0:9187, not {_shown(value)}")


def _age(value: object) -> object:
    return _amount(units.age, value)


def _size(value: object) -> object:
    return _amount(units.size, value)


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


def _rate(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0.001:
        return float(value)
    raise UsageError(f"a number of calls a second, 0.001 or more, not {_shown(value)}; leave it out for no limit")


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
            f"a dict of profiles; {shown} has the unknown key {clean(str(unknown[0]))} "
            "(known: database_url, label, colour, read_only)"
        )
    url, label, colour = told.get("database_url"), told.get("label", name), told.get("colour", "")
    if not isinstance(url, str) or not url.strip():
        raise UsageError(f"a dict of profiles; {shown} needs a database_url")
    if not isinstance(label, str) or not isinstance(colour, str):
        raise UsageError(f"a dict of profiles; label and colour of {shown} must be strings")
    if colour and not re.fullmatch(r"#[0-9a-fA-F]{6}|[a-z_]{3,30}", colour):
        raise UsageError(
            f"a dict of profiles; colour of {shown} must be one such as red or #cc3344, not {_shown(colour)}"
        )
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
    """Text of a value for a message: a short plain value as written, any other by its type."""
    if isinstance(value, str | int | float) and len(text := clean(repr(value))) <= 40:
        return text
    return _kind(value)


_POLICY: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
    "MAX_ATTEMPTS": ("max_attempts", _at_least_one),
    "RETRY_SECONDS": ("retry_seconds", _seconds),
    "RETRY_MAX_SECONDS": ("retry_max_seconds", _seconds),
    "RETRY_AFTER_MAX_SECONDS": ("retry_after_max_seconds", _seconds),
    "RETRY_ON": ("retry_on", _exceptions),
    "GIVE_UP_ON": ("give_up_on", _exceptions),
    "ON_FAILURE": ("on_failure", _on_failure),
}
"""Settings that exist for all callbacks and for each: field of `Policy` and check, by suffix of the constant."""

CONSTANTS: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
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
    "PG_EVENTS_ROW_TRIGGERS": ("row_triggers", _all_or_patterns),
    "PG_EVENTS_QUERY_TEXT": ("query_characters", _query),
    "PG_EVENTS_NOTIFY": ("notify", _flag),
    **{f"PG_EVENTS_{end}": entry for end, entry in _POLICY.items()},
    "PG_EVENTS_ON_GIVE_UP": ("on_give_up", _callback),
    "PG_EVENTS_MIDDLEWARE": ("middleware", _callbacks),
    "PG_EVENTS_RATE_LIMIT": ("rate_limit", _rate),
    "PG_EVENTS_LEASE_SECONDS": ("lease_seconds", _lease),
    "PG_EVENTS_SERVER_TIMEOUT_SECONDS": ("server_timeout_seconds", _link_seconds),
    "PG_EVENTS_CALLBACK_TIMEOUT_SECONDS": ("callback_timeout_seconds", _limit),
    "PG_EVENTS_ISOLATE": ("isolate", _flag),
    "PG_EVENTS_IGNORE_OWN_CHANGES": ("ignore_own_changes", _flag_or_roles),
    "PG_EVENTS_MAX_CAUSES": ("max_causes", _at_least_one),
    "PG_EVENTS_RETENTION": ("retention", _age),
    "PG_EVENTS_RETENTION_SIZE": ("retention_bytes", _size),
    "PG_EVENTS_RETAIN_UNREAD": ("retain_unread", _flag),
    "PG_EVENTS_CONCURRENCY": ("concurrency", _at_least_one),
    "PG_EVENTS_BATCH_SIZE": ("batch_size", _batch_size),
    "PG_EVENTS_BATCH_SECONDS": ("batch_seconds", _batch_seconds),
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
"""Field of `Settings` (after a dot the key in it) and check of the value, by constant."""

_RENAMED: Final[Mapping[str, str]] = {
    "PG_EVENTS_KEEP_UNREAD": "PG_EVENTS_RETAIN_UNREAD",
    "PG_EVENTS_KEEP_SIZE": "PG_EVENTS_RETENTION_SIZE",
    "PG_EVENTS_KEEP": "PG_EVENTS_RETENTION",
    "PG_EVENTS_SKIP_OWN": "PG_EVENTS_IGNORE_OWN_CHANGES",
    "PG_EVENTS_WAKE_UP": "PG_EVENTS_NOTIFY",
    "PG_EVENTS_BY_ROW": "PG_EVENTS_ROW_TRIGGERS",
    "PG_EVENTS_QUERY": "PG_EVENTS_QUERY_TEXT",
    "PG_EVENTS_LINK_SECONDS": "PG_EVENTS_SERVER_TIMEOUT_SECONDS",
    "PG_EVENTS_TIME_LIMIT_SECONDS": "PG_EVENTS_CALLBACK_TIMEOUT_SECONDS",
}
"""Current name by constant of an earlier release."""
