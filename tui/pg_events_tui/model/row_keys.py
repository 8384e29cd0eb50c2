"""Row keys of tables: the primary keys in the catalog of the shown database. Independent of Textual."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pg_events.diff import changes


class RowKey(NamedTuple):
    """Key columns of a row, and their values."""

    columns: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def words(self) -> str:
        """Key as text: `order_id = 29, position = 1`."""
        return ", ".join(
            f"{name} = {changes.spelled(value)}" for name, value in zip(self.columns, self.values, strict=True)
        )

    @property
    def short(self) -> str:
        """Key as short text: `29·1`."""
        return "·".join(map(changes.spelled, self.values))


_known: Final[dict[tuple[str, str], tuple[str, ...]]] = {}
"""Key columns by table of the shown database; empty for a saved log."""


def learn(tables: Iterable[tuple[str, str, Iterable[str]]]) -> None:
    """Set the keys of the shown database: schema, table and columns of the primary key, empty without one."""
    found = {(schema, name): tuple(columns) for schema, name, columns in tables}
    _known.clear()
    _known.update(found)


def forget() -> None:
    """Clear the keys, when another database or a saved log is shown."""
    _known.clear()


def is_keyless(schema: str | None, table: str | None) -> bool:
    """Return True if the table has no key according to the catalog, so that its rows are indistinguishable."""
    return _known.get((schema or "", table or "")) == ()


def of_row(schema: str | None, table: str | None, row: Mapping[str, Any]) -> RowKey | None:
    """Return the key of a row; None if it is indistinguishable.

    For a table that is not in the catalog, as in a saved log, it is the most likely column: `id`, `<table>_id`, or else the
    first one.
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
