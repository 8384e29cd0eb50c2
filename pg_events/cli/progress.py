"""Progress bar on stderr for long operations."""

import io
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from pg_events.cli.terminal import is_terminal


@contextmanager
def progress(count: ProgressColumn, is_wanted: bool = True) -> Generator[Progress]:
    """Show a description, a bar and the progress, only on a terminal and until the block ends.

    Output printed to the terminal meanwhile appears above the bar.
    """
    console = Console(stderr=True)
    shown = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        count,
        console=console,
        transient=True,
        redirect_stdout=False,  # see `_AboveBar`
        redirect_stderr=False,
        disable=not (console.is_terminal and is_wanted),
    )
    with ExitStack() as stack:
        if not shown.disable:
            stack.enter_context(redirect_stderr(stack.enter_context(_AboveBar(sys.stderr, console))))
            if is_terminal(sys.stdout):
                stack.enter_context(redirect_stdout(stack.enter_context(_AboveBar(sys.stdout, console))))
        yield stack.enter_context(shown)


class _AboveBar(io.TextIOBase):
    """Stream to a terminal that shows a bar; whole lines are printed unchanged.

    Rich itself would wrap them again, and redirect stdout to stderr.
    """

    def __init__(self, stream: TextIO, console: Console) -> None:
        self.rich_proxied_file = stream  # the stream that the console itself writes to
        self._console = console
        self._begun = ""

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.rich_proxied_file.encoding

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        if lines:
            self._console.print(Text("\n".join(lines)), soft_wrap=True)
        return len(text)

    def close(self) -> None:
        """Print an incomplete line once the bar is gone."""
        if not self.closed:
            self.rich_proxied_file.write(self._begun)
            self.rich_proxied_file.flush()
        super().close()
