"""Health: state of the link, consumers and their lag, failed events, and blocking transactions."""

import resource
import sys
from collections.abc import Mapping
from time import monotonic
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from pg_events.text import one_line
from pg_events_tui.dialogs.questions import Choice, Option, Question
from pg_events_tui.model import state
from pg_events_tui.model.backend import Consumer, Failed
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.host import Host
from pg_events_tui.text import pipeline
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.text.pipeline import FACES, Numbers
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import FilterRow, Row
from pg_events_tui.widgets.text_pane import TextPane

RELOAD_SECONDS: Final = 5.0
DRAW_SECONDS: Final = 0.5
"""Interval of redrawing; numbers that change faster are unreadable."""


class HealthScreen(ConsoleScreen):
    """Two panes of facts, and below them one list at a time."""

    MODE: ClassVar[str] = "health"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("health")]

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.face = 0
        self._sort = "now"
        self._drawn_at = 0.0
        self._drawn: object = None
        self._detail_drawn: object = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="health-top"):
            yield TextPane(id="link")
            yield TextPane(id="pipeline")
        yield Row(id="faces")
        with Horizontal(id="body"):
            yield ItemList(id="rows")
            yield TextPane(id="detail")
        yield Row(id="preview")

    def on_mount(self) -> None:
        for name in ("#rows", "#detail"):
            self.query_one(name).add_class("pane")
        for name, title in (("#link", "Link"), ("#pipeline", "Pipeline")):
            self.query_one(name).can_focus = False
            self.titled(self.query_one(name), title)
        self.query_one("#rows").focus()
        self.set_interval(RELOAD_SECONDS, self._reload)

    def on_screen_resume(self) -> None:
        self._reload()

    def _reload(self) -> None:
        if self.app.screen is self and not self.host.database.absent:
            self.host.database.load_health()

    def to_remember(self) -> Mapping[str, Any]:
        return {"face": FACES[self.face], "sort": self._sort}

    def remember(self, values: Mapping[str, Any]) -> None:
        face, sort = state.text(values, "face"), state.text(values, "sort")
        self.face = FACES.index(face) if face in FACES else 0
        self._sort = sort if sort in pipeline.RATE_ORDER else "now"

    # ---- drawing

    def tick(self, health: Health) -> None:
        now = monotonic()
        told, problem = self.host.database.health
        rows = self.query_one("#rows", ItemList)
        drawn = (id(told), problem, self.face, self._sort, rows.size.width)
        if drawn != self._drawn or now - self._drawn_at > DRAW_SECONDS:
            self._drawn, self._drawn_at = drawn, now
            self._draw(health, rows)
        super().tick(health)

    def _draw(self, health: Health, rows: ItemList) -> None:
        told, problem = self.host.database.health
        numbers = Numbers(
            health, told, problem, self.host.stream.lags(), self.host.tick_seconds(), rss_bytes(), self.host.clock.zone
        )
        for name, make in (("#link", pipeline.link_lines), ("#pipeline", pipeline.pipeline_lines)):
            pane = self.query_one(name, TextPane)
            pane.show(make(numbers, max(1, pane.size.width)), keep_place=True)
        self.query_one("#faces", Row).show(pipeline.face_tabs(self.face, told), line(span("d next list ", "note")))
        at = health.now.timestamp()
        cells = max(20, rows.size.width - 1)
        heading, items = pipeline.rows_of(
            FACES[self.face], told, self.host.stream.rates, at, cells, self._sort, self.host.clock.zone
        )
        rows.empty = pipeline.empty_words(FACES[self.face], told, problem)
        rows.show(heading, items)
        self.titled(rows, FACES[self.face], "s sort" if FACES[self.face] == "Rates" else "")
        self._show_selected(keep_place=True)
        words = problem or "lag is counted from the statement's start until the event is here"
        self.query_one(FilterRow).words(line(span(f" {words}", "bad" if problem else "note")), ())

    def _show_selected(self, *, keep_place: bool = False) -> None:
        pane, preview = self.query_one("#detail", TextPane), self.query_one("#preview", Row)
        key = self.query_one("#rows", ItemList).selected_key
        told, at = self.host.database.health[0], self.host.clock.seconds
        title, text = pipeline.detail(
            FACES[self.face], key, told, self.host.stream.rates, at, max(10, pane.size.width), self.host.clock.zone
        )
        self.titled(pane, title)
        same = (self.face, key)
        pane.show(text, keep_place=keep_place and same == self._detail_drawn)
        self._detail_drawn = same
        preview.show(line(span(f" {title}")), line(span(" ⏎ detail ", "note")))

    def state_words(self) -> tuple[Line, Line]:
        words = {
            "Rates": " events since the console started, by table",
            "Failed": " events whose callback gave up; r delivers one again, X forgets it",
            "Consumers": " who reads the log, and how far behind; p pauses one and resumes it",
            "Transactions": " open for over 5 s, or waiting for a lock: a long one delays its own events",
        }[FACES[self.face]]
        return line(span(words, "note")), line(span("E event log ", "note"))

    # ---- keys

    @property
    def selected_failed(self) -> Failed | None:
        told, key = self.host.database.health[0], self.query_one("#rows", ItemList).selected_key
        if FACES[self.face] != "Failed" or told is None:
            return None
        return next((one for one in told.failed if (one.consumer, one.event_id) == key), None)

    @property
    def selected_consumer(self) -> Consumer | None:
        told, key = self.host.database.health[0], self.query_one("#rows", ItemList).selected_key
        if FACES[self.face] != "Consumers" or told is None:
            return None
        return next((consumer for consumer in told.consumers if consumer.name == key), None)

    def why_not(self, action: str) -> str:
        if action == "pause_consumer":
            if self.host.database.absent:
                return self.host.database.absent
            if self.host.database.read_only:
                return "changing is off: the console was started with --read-only"
            if self.selected_consumer is None:
                return "no consumer is selected; d goes on to Consumers"
        if action in ("discard", "retry"):
            if self.host.database.absent:
                return self.host.database.absent
            if self.host.database.read_only:
                return "changing is off: the console was started with --read-only"
            if self.selected_failed is None:
                return "no failed event is selected; d goes on to Failed"
        if action == "sort" and FACES[self.face] != "Rates":
            return "only Rates can be sorted"
        if action in ("open", "copy") and self.query_one("#rows", ItemList).selected_key is None:
            return "nothing is selected"
        if action == "table_events" and (FACES[self.face] != "Rates" or self._table is None):
            return "no table is selected"
        return super().why_not(action)

    @property
    def _table(self) -> str | None:
        key = self.query_one("#rows", ItemList).selected_key
        return key if isinstance(key, str) and "." in key else None

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self._show_selected()

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        if not self.refused("open"):
            self.open_detail()

    def action_face(self) -> None:
        self.face = (self.face + 1) % len(FACES)

    def action_last(self) -> None:
        self.query_one("#rows", ItemList).action_last()

    def action_leave(self) -> None:
        self.leave_zoom()
        self.query_one("#rows").focus()

    def leave_zoom(self) -> bool:
        was = super().leave_zoom()
        if was:
            self.query_one("#rows").focus()
        return was

    def action_reconnect(self) -> None:
        super().action_reconnect()
        self._reload()

    def action_sort(self) -> None:
        if self.refused("sort"):
            return

        def chosen(name: str | None) -> None:
            if name:
                self._sort = name

        options = [
            Option(str(number), words, name) for number, (name, words) in enumerate(pipeline.RATE_ORDER.items(), 1)
        ]
        self.app.push_screen(Choice("Sort rates by", options), chosen)

    def action_table_events(self) -> None:
        if not self.refused("table_events") and self._table:
            self.host.navigation.filter_live(f'table:"{self._table}"')

    def action_retry(self) -> None:
        one = self.selected_failed
        if self.refused("retry") or one is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.host.database.retry(one.consumer, one.event_id)

        text = [
            line(span("event     ", "label"), span(f"#{one.event_id} of consumer {one.consumer}", "strong")),
            line(span("error     ", "label"), span(one_line(one.error), "bad")),
            line(),
            line(span("The consumer's worker delivers it once more, as soon as it runs.", "note")),
        ]
        self.app.push_screen(Question("Deliver this failed event again?", text, "retry it"), answered)

    def action_discard(self) -> None:
        one = self.selected_failed
        if self.refused("discard") or one is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.host.database.discard(one.consumer, one.event_id)

        text = [
            line(span("event     ", "label"), span(f"#{one.event_id} of consumer {one.consumer}", "strong")),
            line(span("error     ", "label"), span(one_line(one.error), "bad")),
            line(),
            line(span("It stays in the log; the consumer will not be given it again.", "note")),
        ]
        self.app.push_screen(Question("Forget this failed event?", text, "forget it"), answered)

    def action_pause_consumer(self) -> None:
        consumer = self.selected_consumer
        if self.refused("pause_consumer") or consumer is None:
            return
        is_paused = consumer.is_paused

        def answered(yes: bool | None) -> None:
            if yes:
                self.host.database.set_paused(consumer.name, not is_paused)

        effect = (
            "Its workers go on from the saved cursor."
            if is_paused
            else "Its workers finish their current calls, save the cursor and wait. The log keeps its events."
        )
        text = [
            line(span("consumer  ", "label"), span(one_line(consumer.name), "strong")),
            line(span("behind    ", "label"), span(f"{consumer.behind_events:,} events")),
            line(),
            line(span(effect, "note")),
        ]
        title, verb = ("Resume this consumer?", "resume it") if is_paused else ("Pause this consumer?", "pause it")
        self.app.push_screen(Question(title, text, verb), answered)

    def copied(self) -> tuple[str, str] | None:
        one = self.selected_failed
        if one is not None:
            return f"payload of #{one.event_id}", one.payload
        found = self.query_one("#detail", TextPane).text
        return (f"{FACES[self.face].lower()}", found) if found.strip() else None


def rss_bytes() -> int:
    """Return the current memory of this process, or its maximum if the system does not report the current one."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a counter of the kernel, not a file
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
