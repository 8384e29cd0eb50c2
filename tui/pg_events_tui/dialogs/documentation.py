"""Documentation: its topics, a page, and the lines that contain a word."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Markdown
from textual.widgets.markdown import MarkdownBlock

from pg_events.text import clean, counted, pages
from pg_events.text.pages import Match
from pg_events_tui.text.lines import Line, fit, line, span
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import Row
from pg_events_tui.widgets.short_input import ShortInput

Place = tuple[str, int]
"""Topic and line, from 1."""

_LIST_KEYS: Final = (("⏎", "open"), ("/", "search"), ("esc", "close"))
_PAGE_KEYS: Final = (("j k g G", "move"), ("/", "search"), ("esc", "back to the topics"))
_SEARCH_KEYS: Final = (("⏎", "search"), ("esc", "cancel"))


class PageScroll(VerticalScroll, can_focus=True):
    """Scrolls a page with the keys of the other panes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", show=False),
        Binding("k", "scroll_up", "up", show=False),
        Binding("ctrl+d", "page_down", "page down", show=False),
        Binding("ctrl+u", "page_up", "page up", show=False),
        Binding("g", "scroll_home", "first", show=False),
        Binding("G", "scroll_end", "last", show=False),
    ]


class Documentation(ModalScreen[None]):
    """List of topics or of matching lines, and the page of the selected one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", show=False),
        Binding("escape", "back", "back", show=False),
        Binding("q", "close", "close", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._keys: Sequence[tuple[str, str]] = _LIST_KEYS
        self._places: Sequence[Place] = ()
        self._matches: Sequence[Match] | None = None
        """Lines that contain the searched word; None if all topics are listed."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-tall") as box:
            box.border_title = Content("Documentation")
            yield ShortInput("", compact=True, id="docs-search", placeholder="word", select_on_focus=False)
            yield ItemList(id="docs-topics")
            with PageScroll(id="docs-page"):
                yield Markdown(open_links=False)
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        self.query_one("#docs-search").display = False
        self._list_topics()

    # ---- what is shown

    def _list_topics(self) -> None:
        self._matches = None
        topics = pages.topics()
        cells = max(map(len, topics)) + 2
        rows = [
            ((topic, 1), line(span(f" {fit(topic, cells)}", "key"), span(pages.summary(topic).replace("`", ""))))
            for topic in topics
        ]
        self._show_list("Documentation", rows)

    def _list_matches(self, word: str) -> None:
        self._matches = found = pages.search(word, pages.topics())
        rows = [((one.topic, one.number), line(span(f" {one.topic}: ", "key"), span(clean(one.text)))) for one in found]
        self._show_list(f"Documentation: {counted(len(found), 'line')} with {clean(word)}", rows)

    def _show_list(self, title: str, rows: Sequence[tuple[Place, Line]]) -> None:
        self.query_one("#dialog").border_title = Content(title)
        self.query_one("#docs-page").display = False
        listed = self.query_one("#docs-topics", ItemList)
        listed.display = True
        listed.empty = "no line contains this word"
        self._places = [place for place, _ in rows]
        listed.show((), [(number, row) for number, (_, row) in enumerate(rows)])
        listed.focus()
        self._show_keys(_LIST_KEYS)

    async def _show_page(self, topic: str, number: int) -> None:
        self.query_one("#dialog").border_title = Content(f"Documentation: {topic}")
        self.query_one("#docs-topics").display = False
        scroll = self.query_one("#docs-page", PageScroll)
        scroll.display = True
        scroll.focus()
        self._show_keys(_PAGE_KEYS)
        text = self.query_one(Markdown)
        await text.update(pages.page(topic))
        scroll.scroll_home(animate=False)
        if number > 1:
            self.call_after_refresh(self._scroll_to_text, pages.page(topic).splitlines()[number - 1].strip())

    def _scroll_to_text(self, text: str) -> None:
        """Show the smallest block that contains a line at the top."""
        blocks = [block for block in self.query(MarkdownBlock) if text in (block.source or "")]
        if blocks:
            smallest = min(blocks, key=lambda block: len(block.source or ""))
            self.query_one(PageScroll).scroll_to_widget(smallest, animate=False, top=True)

    def _show_keys(self, keys: Sequence[tuple[str, str]]) -> None:
        parts = [part for key, word in keys for part in (span(f" {key}", "key"), span(f" {word}   "))]
        self.query_one("#dialog-keys", Row).show(line(*parts))

    # ---- events

    async def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        await self.action_open()

    async def key_enter(self) -> None:
        if not self.query_one("#docs-search").display:
            await self.action_open()

    async def action_open(self) -> None:
        number = self.query_one("#docs-topics", ItemList).selected_key
        if isinstance(number, int):
            await self._show_page(*self._places[number])

    async def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Open a linked page; other links would leave the console."""
        event.stop()
        topic = event.href.partition("#")[0].removesuffix(".md")
        if topic in pages.topics():
            await self._show_page(topic, 1)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#docs-search").display = False
        word = event.value.strip()
        if word:
            self._list_matches(word)
        else:
            self._list_topics()

    # ---- keys

    def action_search(self) -> None:
        field = self.query_one("#docs-search", ShortInput)
        field.display = True
        field.value = ""
        field.focus()
        self._show_keys(_SEARCH_KEYS)

    def action_back(self) -> None:
        """Leave the field, the page, the matching lines or the dialog, whichever is innermost."""
        field, page = self.query_one("#docs-search"), self.query_one("#docs-page")
        if field.display:
            field.display = False
            if page.display:
                page.focus()
                self._show_keys(_PAGE_KEYS)
                return
            self.query_one("#docs-topics").focus()
            self._show_keys(_LIST_KEYS)
        elif page.display:
            page.display = False
            listed = self.query_one("#docs-topics", ItemList)
            listed.display = True
            listed.focus()
            self._show_keys(_LIST_KEYS)
        elif self._matches is not None:
            self._list_topics()
        else:
            self.dismiss(None)

    def action_close(self) -> None:
        self.dismiss(None)
