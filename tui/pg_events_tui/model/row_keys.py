"""What tells the rows of a table apart: its primary key, as the catalog of the database on show says. Knows no Textual."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pg_events.diff import changes


class RowKey(NamedTuple):
    """The columns that tell a row from others, and their values."""

    columns: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def words(self) -> str:
        """`order_id = 29, position = 1`."""
        return ", ".join(
            f"{name} = {changes.spelled(value)}" for name, value in zip(self.columns, self.values, strict=True)
        )

    @property
    def short(self) -> str:
        """`29·1`."""
        return "·".join(map(changes.spelled, self.values))


_known: Final[dict[tuple[str, str], tuple[str, ...]]] = {}
"""Of the one database that a console shows at a time; nothing is known of a saved log's."""


def learn(tables: Iterable[tuple[str, str, Iterable[str]]]) -> None:
    """Schema, table and columns of the primary key, none of one without: of the database that is shown from now on."""
    found = {(schema, name): tuple(columns) for schema, name, columns in tables}
    _known.clear()
    _known.update(found)


def forget() -> None:
    """Another database, or a saved log, is shown."""
    _known.clear()


def is_keyless(schema: str | None, table: str | None) -> bool:
    """The catalog says that the table has no key: its rows cannot be told apart."""
    return _known.get((schema or "", table or "")) == ()


def of_row(schema: str | None, table: str | None, row: Mapping[str, Any]) -> RowKey | None:
    """The row's key; None when nothing tells it from others.

    Of a table that the catalog does not know, as in a saved log, the column that most likely does: `id`, `<table>_id`, then
    the first one.
    """
    columns = _known.get((schema or "", table or ""))
    if columns is None:
        return _likely(table or "", row)
    if not columns or not all(name in row for name in columns):
        return None
    return RowKey(columns, tuple(row[name] for name in columns))


def _likely(table: str, row: Mapping[str, Any]) -> RowKey | None:
    for name in ("id", f"{table}_id", f"{table.removesuffix('s')}_id"):
        if name in row:
            return RowKey((name,), (row[name],))
    first = next(iter(row.items()), None)
    return None if first is None or isinstance(first[1], dict | list) else RowKey((first[0],), (first[1],))
