"""What people see: tables on stdout, a bar on stderr while something takes long."""

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
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


def progress(count: ProgressColumn, is_wanted: bool = True) -> Progress:
    """What is being done, a bar, and how far it is; on a terminal only, and gone when it is done."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        count,
        console=console,
        transient=True,
        disable=not (console.is_terminal and is_wanted),
    )
