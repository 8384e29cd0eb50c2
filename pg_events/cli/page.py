"""What people see on stdout: tables, in colour on a terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from pg_events.cli.terminal import is_terminal

_UNLIMITED = 10_000


class Page(Console):
    """Stdout for people: colours and the terminal's width on a terminal, neither in a pipe."""

    def __init__(self, **options: Any) -> None:
        width = None if is_terminal(sys.stdout) else _UNLIMITED
        super().__init__(width=width, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """The commands' entry deals with it. Rich would exit with 1."""
        raise


def table(*headers: str) -> Table:
    """Columns without lines between them."""
    return Table(*headers, box=None, header_style="bold", pad_edge=False)
