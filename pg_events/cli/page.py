"""Tables on stdout, in colour on a terminal."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pg_events.cli.terminal import is_terminal

_UNLIMITED = 10_000


class Page(Console):
    """Console on stdout: colours and the terminal's width on a terminal, neither in a pipe."""

    def __init__(self, **options: Any) -> None:
        width = None if is_terminal(sys.stdout) else _UNLIMITED
        super().__init__(width=width, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Leave the error to the entry point of the commands; Rich would exit with 1."""
        raise


def plain(headers: Sequence[str], rows: Sequence[Sequence[Text]]) -> str:
    """Print the columns of `table` to a pipe, where Rich has no style or width to apply."""
    lines = [[*headers], *([cell.plain for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(set_cell_size(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def table(*headers: str) -> Table:
    """Table without lines between its columns."""
    return Table(*headers, box=None, header_style="bold", pad_edge=False)
