"""The database of a Django project, from its settings; imports no Django."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pg_events.errors import UsageError
from pg_events.text import clean

_PARTS: Final = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


def database_url(database: Mapping[str, Any], name: str = "DATABASES['default']") -> str:
    """Connection string of one of `DATABASES`. Raises `UsageError` if it is not a PostgreSQL."""
    from psycopg import pq  # not for every command
    from psycopg.conninfo import make_conninfo

    engine = str(database.get("ENGINE", ""))
    if "postg" not in engine:
        raise UsageError(
            f"{name} is {clean(engine)!r}, not PostgreSQL; set PG_EVENTS_DATABASE_URL, or pass --database-url"
        )
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    # Others are for psycopg, or for Django: a pool, an isolation level.
    options = cast("Mapping[str, Any]", database.get("OPTIONS") or {})
    parts: dict[str, Any] = {
        key: value for key, value in options.items() if key in known and isinstance(value, str | int)
    }
    parts |= {keyword: str(database[key]) for key, keyword in _PARTS.items() if database.get(key)}
    return make_conninfo(**parts)
