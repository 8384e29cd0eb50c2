"""A page of the documentation, laid out for a terminal."""

import re
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, MarkdownElement, TableElement
from rich.table import Table


def laid_out(text: str) -> Markdown:
    """Return a page without pictures, whose links name the command that shows their target."""
    text = re.sub(r"^!\[[^]]*\]\([^)]*\)\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^]]+)\]\((\w+)\.md(?:#[^)]*)?\)", r"\1 (`pg_events docs \2`)", text)
    return _Page(re.sub(r"\[([^]]+)\]\(#[^)]*\)", r"\1", text), hyperlinks=False)


class _Table(TableElement):
    """A table that folds long words instead of cutting them: names of settings are to be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table):
                for column in part.columns:
                    column.overflow = "fold"
            yield part


class _Page(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "table_open": _Table}
