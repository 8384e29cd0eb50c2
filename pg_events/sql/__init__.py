"""The SQL that is run or installed: one object, query or command a file.

`queries` are run, `steps` are what a build runs, `install` holds the functions it installs and `migrations` the tables; `parts`
are text that several of these have in common.

Queries have numbered parameters (`$1`), so that they run in psql too, and through `RawCursor` here; `{name}` in a file is
where a part, an identifier or a literal goes.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, LiteralString, cast

_FOLDER = files(__package__ or "pg_events.sql")
_FOLDERS: Final = ("queries", "steps", "parts")


@cache
def text(name: str) -> LiteralString:
    """The text of a packaged file: a query, step or part by its name (`text("window.sql")`), others by their path.

    What ships in the package is as literal as the code: this is the one place that says so.
    """
    folder = next((folder for folder in _FOLDERS if _FOLDER.joinpath(folder, name).is_file()), "")
    return cast("LiteralString", _FOLDER.joinpath(folder, name).read_text("utf-8"))


_PARTS = ("rights", "rights_wanted", "detach", "describe", "describe_functions", "compare", "rename_origin")


@cache
def whole(name: str) -> LiteralString:
    """The text of a file in which others stand by name, as `{rights}`: what several questions have in common."""
    return cast(
        "LiteralString",
        re.sub(
            r"\{(\w+)\}", lambda part: whole(f"{part[1]}.sql").strip() if part[1] in _PARTS else part[0], text(name)
        ),
    )


@cache
def names(folder: str) -> tuple[str, ...]:
    """The files of a folder in their order, for example `migrations/0001_log.sql`."""
    found = (entry.name for entry in _FOLDER.joinpath(folder).iterdir() if entry.name.endswith(".sql"))
    return tuple(f"{folder}/{name}" for name in sorted(found))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values into `{name}` of a packaged file; other braces are SQL's own."""
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)


_ALL_TABLES: Final = MappingProxyType(
    {
        "is_asked": "($3::oid[] is null or c.oid = any ($3::oid[]))",
        "is_trigger_near": "true",
        "is_parent_near": "true",
        "is_key_near": "true",
        "is_foreign_near": "true",
    }
)
_SOME_TABLES: Final = MappingProxyType(
    {
        "is_asked": "c.oid = any ($3::oid[])",
        "is_trigger_near": "t.tgrelid = any ($5::oid[])",
        # Taken apart, so that an index finds either. Partitions matter to nothing here, and can be thousands.
        "is_parent_near": """i.inhrelid = any (array(
            select x.inhrelid from pg_catalog.pg_inherits x where x.inhrelid = any ($5::oid[])
            union all
            select x.inhrelid
            from pg_catalog.pg_inherits x
            where x.inhparent = any (array(
                select k.oid from pg_catalog.pg_class k where k.oid = any ($5::oid[]) and k.relkind <> 'p'
            ))
        ))""",
        "is_key_near": "f.conrelid = any ($5::oid[])",
        "is_foreign_near": "c.oid = any ($5::oid[])",
    }
)


@cache
def coverage(*, with_patterns: bool = True, with_options: bool = True, of_all_tables: bool = False) -> LiteralString:
    """The question of `coverage.sql`: with or without the parts about patterns and choices, of all tables or of a few.

    That of a few takes their OIDs in `$3`, and in `$5` those whose triggers, keys and relatives are looked at: what is not
    null for certain can be found by an index.
    """
    values = dict(_ALL_TABLES if of_all_tables else _SOME_TABLES)
    values["is_plain"] = text("coverage_is_plain.sql").strip()
    for name, wanted in (("patterns", with_patterns), ("options", with_options)):
        values[name] = fill(text(f"coverage_{name}.sql" if wanted else f"coverage_no_{name}.sql").strip(), values)
    return cast("LiteralString", fill(text("coverage.sql").strip(), values))
