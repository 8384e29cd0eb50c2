"""Coverage: would I see a change to this table right now?"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from time import monotonic
from typing import Any, ClassVar, Final

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from pg_events.text import counted
from pg_events.triggers.catalog import OPERATIONS, Table
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model import state
from pg_events_tui.model.rates import Series
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.coverage_plans import CoveragePlans
from pg_events_tui.screens.host import Host
from pg_events_tui.text.lines import HANG, Line, Span, fit, line, plot, span, sparkline, width, wrap
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import FilterRow, Row
from pg_events_tui.widgets.text_pane import TextPane

LETTERS: Final = {
    "yes": ("✓", "good"),
    "no": ("-", "bad"),
    "disabled": ("o", "warning"),
    "outdated": ("~", "warning"),
    "-": ("·", "note"),
}
"""Sign and role of each state of an operation."""
STATES: Final = {
    "missing": ("MISSING", "bad"),
    "partial": ("PARTIAL", "bad"),
    "disabled": ("DISABLED", "warning"),
    "outdated": ("OUTDATED", "warning"),
    "covered": ("covered", "good"),
    "excluded": ("excluded", "note"),
    "unsupported": ("unsupported", "note"),
}
"""Word and role of each state, in the order of the list."""
PROBLEMS: Final = ("missing", "partial", "disabled", "outdated")
RELOAD_SECONDS: Final = 10.0
DRAW_SECONDS: Final = 1.0
"""Interval of redrawing, because rates change by themselves."""


class CoverageScreen(ConsoleScreen):
    """Tables, problems first."""

    MODE: ClassVar[str] = "coverage"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("coverage")]

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.plans = CoveragePlans(self, host)
        self.filter_text = ""
        self.filter_on = False
        self._filter_before = ("", False)
        self._only_problems = False
        self._sort = "problems"
        self._wanted_name = ""
        self._drawn_at = 0.0
        self._shown: tuple[object, ...] | None = None
        self._detail_drawn: object = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield ItemList(id="tables", empty="asking the database …")
            yield TextPane(id="detail")
        yield Row(id="preview")

    def on_mount(self) -> None:
        self.query_one("#tables").add_class("pane")
        self.query_one("#detail").add_class("pane")
        self.query_one("#tables").focus()
        self.set_interval(RELOAD_SECONDS, self._reload)

    def on_screen_resume(self) -> None:
        self._reload()

    def _reload(self) -> None:
        if self.app.screen is self and not self.host.database.absent:
            self.host.database.load_coverage()

    def to_remember(self) -> Mapping[str, Any]:
        return {"filter": self.filter_text, "on": self.filter_on, "problems": self._only_problems, "sort": self._sort}

    def remember(self, values: Mapping[str, Any]) -> None:
        self.filter_text, self.filter_on = state.text(values, "filter"), state.flag(values, "on")
        self._only_problems = state.flag(values, "problems")
        sort = state.text(values, "sort")
        self._sort = sort if sort in ORDERS else "problems"

    # ---- drawing

    def tick(self, health: Health) -> None:
        tables, problem = self.host.database.coverage
        width = self.query_one("#tables").size.width
        drawn = (
            id(tables), problem, self.filter_text, self.filter_on, self._only_problems, self._sort, width,
            frozenset(self.plans.marks),
        )  # fmt: skip
        if drawn != self._shown or monotonic() - self._drawn_at > DRAW_SECONDS:
            self._shown, self._drawn_at = drawn, monotonic()
            self._draw(tables)
        super().tick(health)

    def _draw(self, tables: Sequence[Table] | None) -> None:
        found = self.query_one("#tables", ItemList)
        problem = self.host.database.coverage[1]
        if self.host.database.absent:
            found.empty = (problem, "pg_events tui on the database itself shows which tables are covered")
        elif tables is None:
            found.empty = ("cannot ask the database", problem) if problem else "asking the database …"
        else:
            found.empty = "no table matches" if tables else "no tables in this database"
        shown = [table for table in tables or () if self._is_shown(table)]
        now = self.host.clock.seconds
        rates = self.host.stream.rates.tables
        shown.sort(key=lambda table: ORDERS[self._sort](table, rates.get(table.identity), now))
        names = max([cell_len(span(table.identity).text) for table in shown] or [10])
        room = max(20, found.scrollable_content_region.width - 1)  # beside the mark
        cells = min(max(names, 10), max(16, room - 46))
        wide = room >= cells + 74  # for the last hour and the count, beside a reason
        few = room < cells + 46
        rest = " " * 10 + "1 h" + " " * 13 + "events  " if wide else " " * (3 if few else 9)
        head = fit("table", cells) + f"  I U D T  state        last    1 min{rest}"
        drawn = partial(table_line, cells=cells, now=now, wide=wide, few=few)
        lines = {table.oid: partial(drawn, table, series=rates.get(table.identity)) for table in shown}
        told = {table.oid: reason_lines(table, lines[table.oid](), cells, room) for table in shown if table.reason}
        found.marks = self.plans.marks
        found.show(
            line(span(head + ("reason" if any(beside for beside, _ in told.values()) else ""), "heading")),
            [(key, (*one(), *told[key][0]) if key in told else one) for key, one in lines.items()],
            {key: below for key, (_, below) in told.items()},
        )
        if self._wanted_name:
            self._select_wanted(found, shown)
        marked = f"{len(self.plans.marked)} marked · " if self.plans.marked else ""
        bottom = "u shows all" if self._only_problems else "u problems only"
        self.titled(found, summary_words(tables or ()), marked + bottom)
        self._show_filter(len(shown), len(tables or ()))
        self._show_selected()

    def show_table(self, name: str) -> None:
        """Select the table with this name once it is loaded; a filter that hides it is turned off."""
        self._wanted_name = name
        self._shown = None

    def _select_wanted(self, found: ItemList, shown: Sequence[Table]) -> None:
        tables = self.host.database.coverage[0]
        if tables is None:
            return
        table = next((one for one in tables if one.identity == self._wanted_name), None)
        if table is not None and table not in shown:
            self.filter_on = self._only_problems = False
            self._shown = None
            return
        if table is None:
            self.say(f"{self._wanted_name} is no table of this database (any more)", "warning")
        else:
            found.select_key(table.oid)
        self._wanted_name = ""

    def _is_shown(self, table: Table) -> bool:
        if self._only_problems and table.state not in PROBLEMS:
            return False
        text = self.filter_text.strip().removeprefix("table:") if self.filter_on else ""
        return not text or any(
            fnmatchcase(table.identity, f"*{one}*") or table.state == one.lower() for one in text.split("|")
        )

    def _show_filter(self, shown: int, count: int) -> None:
        row = self.query_one(FilterRow)
        right = line(span(f"{shown:,} of {counted(count, 'table')} ", "note"))
        text, role = (
            (self.filter_text, "strong" if self.filter_on else "note")
            if self.filter_text
            else ("filter by name or state", "note")
        )
        row.words(line(span(" / ", "key"), span(text, role)), right)
        row.hint(
            line(span("   part of a name, * and | allowed, or a state · ⏎ keeps it · esc takes it back", "note")), right
        )

    @property
    def selected(self) -> Table | None:
        key = self.query_one("#tables", ItemList).selected_key
        return next((table for table in self.host.database.coverage[0] or () if table.oid == key), None)

    def _show_selected(self) -> None:
        table = self.selected
        pane = self.query_one("#detail", TextPane)
        preview = self.query_one("#preview", Row)
        if table is None:
            self.titled(pane, "No table", "")
            pane.show([])
            preview.show(())
            return
        self.titled(pane, table.identity)
        now = self.host.clock.seconds
        series = self.host.stream.rates.tables.get(table.identity)
        width = pane.scrollable_content_region.width
        drawn = (table.oid, width)
        pane.show(table_text(table, series, now, max(10, width)), keep_place=drawn == self._detail_drawn)
        self._detail_drawn = drawn
        preview.show(line(span(f" {table.identity}: {table.reason or table.state}")), line(span(" ⏎ detail ", "note")))

    def state_words(self) -> tuple[Line, Line]:
        problem = self.host.database.coverage[1]
        if problem:
            return line(span(f" {problem}", "bad")), ()
        legend = "✓ captured  - missing  o disabled  ~ outdated  · not wanted"
        return line(span(f" {legend}", "note")), line(
            span("I U D T = insert update delete truncate ", "note") if self.is_wide else ""
        )

    # ---- events

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self._show_selected()

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    def on_filter_row_changed(self, event: FilterRow.Changed) -> None:
        self.filter_text, self.filter_on = event.text, bool(event.text.strip())
        self._draw(self.host.database.coverage[0])  # immediately, because the next key acts on the new selection

    def on_filter_row_closed(self, event: FilterRow.Closed) -> None:
        if not event.kept:
            self.filter_text, self.filter_on = self._filter_before
        self._shown = None
        self.query_one("#tables").focus()

    # ---- keys

    def why_not(self, action: str) -> str:
        if action in ("plan", "plan_all", "exclude"):
            if self.host.database.absent:
                return self.host.database.absent
            if self.host.database.read_only:
                return "building is off: the console was started with --read-only"
            if self.host.stream.link.state in ("down", "silent") and self.host.database.coverage[1]:
                return "the database cannot be reached"
        if action in ("plan", "open", "table_events", "copy", "exclude", "mark") and self.selected is None:
            return "no table is selected"
        return ""

    def action_open(self) -> None:
        if self.refused("open"):
            return
        self.open_detail()

    def action_filter(self) -> None:
        self._filter_before = (self.filter_text, self.filter_on)
        self.query_one(FilterRow).edit(self.filter_text)

    def action_toggle_filter(self) -> None:
        if self.filter_text:
            self.filter_on = not self.filter_on
        else:
            self.say("there is no filter; / makes one", "warning")

    def action_mark(self) -> None:
        if not self.refused("mark") and self.selected is not None:
            self.plans.toggle_mark(self.selected)

    def action_plan(self) -> None:
        if not self.refused("plan") and self.selected is not None:
            self.plans.ask_for_plan(self.selected)

    def action_plan_all(self) -> None:
        if not self.refused("plan_all"):
            self.plans.plan_all()

    def action_exclude(self) -> None:
        if not self.refused("exclude") and self.selected is not None:
            self.plans.ask_to_exclude(self.selected)

    def action_problems(self) -> None:
        self._only_problems = not self._only_problems

    def action_last(self) -> None:
        self.query_one("#tables", ItemList).action_last()

    def action_leave(self) -> None:
        if not self.leave_zoom() and self.filter_on:
            self.filter_on = False
        self.query_one("#tables").focus()

    def leave_zoom(self) -> bool:
        was = super().leave_zoom()
        if was:
            self.query_one("#tables").focus()
        return was

    def action_table_events(self) -> None:
        if not self.refused("table_events") and self.selected is not None:
            self.host.navigation.filter_live(f'table:"{self.selected.identity}"')

    def action_reconnect(self) -> None:
        super().action_reconnect()
        self.host.database.load_coverage()

    def action_sort(self) -> None:
        def chosen(name: str | None) -> None:
            if name:
                self._sort = name

        words = {"problems": "problems first", "table": "table", "rate": "events a second", "last": "last event"}
        options = [Option(str(number), words[name], name) for number, name in enumerate(ORDERS, 1)]
        self.app.push_screen(Choice("Sort tables by", options), chosen)

    def copied(self) -> tuple[str, str] | None:
        table = self.selected
        if table is None:
            return None
        states = ", ".join(f"{name} {table.operation(name)}" for name in OPERATIONS)
        return (
            table.identity,
            f"{table.identity}: {table.state} ({states}){' - ' + table.reason if table.reason else ''}",
        )


def summary_words(tables: Sequence[Table]) -> str:
    """Summarize the tables: `37 of 41 covered · 1 missing · 1 partial`."""
    counts = {state: sum(table.state == state for table in tables) for state in STATES}
    asked = sum(counts[state] for state in (*PROBLEMS, "covered"))
    rest = [f"{counts[state]:,} {state}" for state in (*PROBLEMS, "excluded", "unsupported") if counts[state]]
    return " · ".join([f"{counts['covered']:,} of {asked:,} covered", *rest])


def letters(table: Table) -> list[Span]:
    """Format the operations of a table: `✓ ✓ - ·`."""
    found: list[Span] = []
    for name in OPERATIONS:
        sign, role = ("x", "note") if table.state in ("excluded", "unsupported") else LETTERS[table.operation(name)]
        found += [span(sign, role), span(" ")]
    return found


def _by_problem(table: Table, series: Series | None, now: float) -> Any:  # noqa: ARG001 - same signature as the others
    return list(STATES).index(table.state), table.schema, table.name


def _by_name(table: Table, series: Series | None, now: float) -> Any:  # noqa: ARG001
    return table.schema, table.name


ORDERS: Final[Mapping[str, Callable[[Table, Series | None, float], Any]]] = {
    "problems": _by_problem,
    "table": _by_name,
    "rate": lambda table, series, now: (-(series.per_second(now) if series else 0), *_by_problem(table, series, now)),
    "last": lambda table, series, now: (-(series.last if series else 0), *_by_problem(table, series, now)),
}
"""Sort key by the name of the order."""


def ago_words(series: Series | None, now: float) -> str:
    """Format the age of the last event: `3 s`."""
    if series is None:
        return "-"
    seconds = max(0.0, now - series.last)
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f} min" if seconds < 3600 else "> 1 h"


def table_line(table: Table, cells: int, series: Series | None, now: float, *, wide: bool, few: bool) -> Line:
    """Format a table without the reason; `wide` adds the last hour and the count, `few` shortens the last minute."""
    word, role = STATES[table.state]
    bars = 6 if few else 12
    minute = sparkline(series.by_second(now, bars, 60 // bars)) if series else ""
    hour = sparkline(series.by_minute(now, 60)[-60::5]) if series else ""
    more = [span(f"{hour:>12}  ", "plot"), span(f"{series.total if series else 0:>9,}  ", "note")] if wide else []
    return line(
        span(fit(span(table.identity).text, cells), "note" if role == "note" else ""),
        span("  "),
        *letters(table),
        span(f" {word:<12} ", role),
        span(f"{ago_words(series, now):<7} ", "note"),
        span(f"{minute:>{bars}}  ", "plot"),
        *more,
    )


def reason_lines(table: Table, beside: Line, cells: int, room: int) -> tuple[Line, list[Line]]:
    """Add the reason for the table's state: after its line if it fits, or else in full below it."""
    reason = span(table.reason.partition("; run:")[0], "note")
    if not reason.text:
        return (), []
    if cell_len(reason.text) <= room - width(beside):
        return line(reason), []
    indent = min(cells + 2, max(2, room - 40))
    words = textwrap.wrap(reason.text, max(8, room - indent), break_on_hyphens=False)
    return (), [row for one in words for row in wrap(line(" " * indent, HANG, span(one, "note")), room)]


def table_text(table: Table, series: Series | None, now: float, cells: int) -> list[Line]:
    """Describe a table in full."""
    word, role = STATES[table.state]
    lines = [
        line(span("state  ", "label"), span(word, role)),
        line(span("kind   ", "label"), span(table.kind)),
    ]
    if table.reason:
        lines += [line(), line(span(table.reason.partition("; run:")[0]))]
    lines += [line(), line(span("triggers", "heading"))]
    for trigger in table.triggers:
        sign, sign_role = LETTERS[trigger.state]
        lines.append(
            line(span(f"{sign} ", sign_role), span(f"{trigger.operation:<9}"), span(f"{trigger.name}", "note"))
        )
    if not table.triggers:
        lines.append(line(span("none", "note")))
    if table.state in PROBLEMS:
        lines += [
            line(),
            line(span("b", "key"), span(" plans what is missing here")),
            line(span("B", "key"), span(" plans all that is missing")),
        ]
    lines += [*([] if table.state in PROBLEMS else [line()]), line(span("L", "key"), span(" shows its events in Live"))]
    if table.state == "excluded":
        lines.append(line(span("X", "key"), span(" takes it in again (shows the plan first)")))
    elif table.state != "unsupported":
        lines.append(line(span("X", "key"), span(" leaves it out (shows the plan first)")))
    if series is not None:
        wide = min(60, cells)
        values = series.by_second(now, wide)
        lines += [
            line(),
            line(span(f"the last {wide} seconds", "heading"), span(f"  at most {max(values):,}/s", "note")),
        ]
        lines += [line(span(row, "plot")) for row in plot(values, 3)]
        lines.append(line(span(f"{series.total:,} events since the console started", "note")))
    return lines
