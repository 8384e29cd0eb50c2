"""Coverage: would I see a change to this table right now? And the way to make it so: plan, review, apply."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen

from pg_events.build import Applied
from pg_events.catalog import OPERATIONS, Table
from pg_events.plan import Plan, Step
from pg_events.text import counted
from pg_events_tui import keys
from pg_events_tui.backend import problem_line
from pg_events_tui.lines import Line, Span, fit, line, span, text_lines
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import FilterRow, Row
from pg_events_tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from pg_events_tui.app import ConsoleApp

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
"""Word and role of each state; the order is that of the list."""
PROBLEMS: Final = ("missing", "partial", "disabled", "outdated")
RELOAD_SECONDS: Final = 10.0


class CoverageScreen(ConsoleScreen):
    """The tables, problems first."""

    MODE: ClassVar[str] = "coverage"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("coverage")]

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        self.filter_on = False
        self._filter_before = ("", False)
        self._only_problems = False
        self._shown: tuple[object, ...] | None = None
        self._selected: Table | None = None

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
        if self.app.screen is self:
            self.app.load_coverage()

    # ---- drawing

    def tick(self, health: Health) -> None:
        tables, problem = self.app.coverage
        width = self.query_one("#tables").size.width
        drawn = (id(tables), problem, self.filter_text, self.filter_on, self._only_problems, width)
        if drawn != self._shown:
            self._shown = drawn
            self._draw(tables)
        super().tick(health)

    def _draw(self, tables: Sequence[Table] | None) -> None:
        found = self.query_one("#tables", ItemList)
        problem = self.app.coverage[1]
        if tables is None:
            found.empty = ("cannot ask the database", problem) if problem else "asking the database …"
        else:
            found.empty = "no table matches" if tables else "no tables in this database"
        shown = [table for table in tables or () if self._is_shown(table)]
        order = list(STATES)
        shown.sort(key=lambda table: (order.index(table.state), table.schema, table.name))
        wide = self.is_wide
        names = max([len(span(table.identity).text) for table in shown] or [10])
        cells = min(max(names, 10), max(16, found.size.width - 30 - (20 if wide else 0)))
        heading = line(span(fit("table", cells), "heading"), span("  I U D T  state        reason", "heading"))
        found.show(heading, [(table.oid, table_line(table, cells)) for table in shown])
        self.titled(found, summary_words(tables or ()), "u problems only" if not self._only_problems else "u shows all")
        self._show_filter(len(shown), len(tables or ()))
        self._show_selected()

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
        return next((table for table in self.app.coverage[0] or () if table.oid == key), None)

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
        pane.show(table_text(table), keep_place=False)
        preview.show(line(span(f" {table.identity}: {table.reason or table.state}")), line(span(" ⏎ detail ", "note")))

    def state_words(self) -> tuple[Line, Line]:
        problem = self.app.coverage[1]
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

    def on_filter_row_closed(self, event: FilterRow.Closed) -> None:
        if not event.kept:
            self.filter_text, self.filter_on = self._filter_before
        self._shown = None
        self.query_one("#tables").focus()

    # ---- keys

    def why_not(self, action: str) -> str:
        if action in ("plan", "plan_all"):
            if self.app.read_only:
                return "building is off: the console was started with --read-only"
            if self.app.link.state in ("down", "silent") and self.app.coverage[1]:
                return "the database cannot be reached"
        if action in ("plan", "open", "table_events", "copy") and self.selected is None:
            return "no table is selected"
        return ""

    def action_open(self) -> None:
        if self.refused("open"):
            return
        pane = self.query_one("#detail", TextPane)
        if not self.is_wide:
            self.add_class("-zoomed")
            for one in self.query(".pane"):
                one.set_class(one is pane, "-front")
        pane.focus()

    def action_filter(self) -> None:
        self._filter_before = (self.filter_text, self.filter_on)
        self.query_one(FilterRow).edit(self.filter_text)

    def action_toggle_filter(self) -> None:
        if self.filter_text:
            self.filter_on = not self.filter_on
        else:
            self.say("there is no filter; / makes one", "warning")

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
            self.app.filter_live(f'table:"{self.selected.identity}"')

    def action_reconnect(self) -> None:
        super().action_reconnect()
        self.app.load_coverage()

    def action_plan(self) -> None:
        if not self.refused("plan") and self.selected is not None:
            self.app.push_screen(PlanDialog(self.selected))

    def action_plan_all(self) -> None:
        if not self.refused("plan_all"):
            self.app.push_screen(PlanDialog(None))

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
    """`37 of 41 covered · 1 missing · 1 partial`."""
    counts = {state: sum(table.state == state for table in tables) for state in STATES}
    asked = sum(counts[state] for state in (*PROBLEMS, "covered"))
    rest = [f"{counts[state]} {state}" for state in (*PROBLEMS, "excluded", "unsupported") if counts[state]]
    return " · ".join([f"{counts['covered']} of {asked} covered", *rest])


def letters(table: Table) -> list[Span]:
    """`✓ ✓ - ·`."""
    found: list[Span] = []
    for name in OPERATIONS:
        sign, role = ("x", "note") if table.state in ("excluded", "unsupported") else LETTERS[table.operation(name)]
        found += [span(sign, role), span(" ")]
    return found


def table_line(table: Table, cells: int) -> Line:
    word, role = STATES[table.state]
    return line(
        span(fit(span(table.identity).text, cells), "note" if role == "note" else ""),
        span("  "),
        *letters(table),
        span(f" {word:<12} ", role),
        span(table.reason.partition("; run:")[0], "note"),
    )


def table_text(table: Table) -> list[Line]:
    """What there is to know about one table."""
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
    lines += [*([] if table.state in PROBLEMS else [line()]), line(span("E", "key"), span(" shows its events"))]
    return lines


class PlanDialog(ModalScreen[None]):
    """What a build would do, statement by statement; and, after `y`, what came of each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "apply", "apply", show=False),
        Binding("n,escape,q", "cancel", "cancel", show=False),
    ]

    if TYPE_CHECKING:

        @property
        def app(self) -> "ConsoleApp": ...

    def __init__(self, table: Table | None) -> None:
        super().__init__()
        self._table = table
        self._plan: Plan | None = None
        self._outcomes: dict[int, str] = {}
        self._applying = False
        self._applied: Applied | None = None
        self._problem = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-tall") as box:
            box.border_title = Content("Plan")
            yield Row(id="plan-head")
            yield ItemList(id="steps", empty="asking the database …")
            yield TextPane(id="plan-sql")
            yield Row(id="plan-note")
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        self.query_one("#steps").focus()
        self._show()
        self._load()

    @work(thread=True, exit_on_error=False)
    def _load(self) -> None:
        backend = self.app.backend
        try:
            plan = backend.plan(None if self._table is None else self._table.oid)
        except Exception as error:  # noqa: BLE001 - or it would be waited for without an end
            self.app.call_from_thread(self._loaded, None, problem_line(error))
        else:
            self.app.call_from_thread(self._loaded, plan, "")

    def _loaded(self, plan: Plan | None, problem: str) -> None:
        self._plan, self._problem = plan, problem
        if self.is_attached:
            self._show()

    def _show(self) -> None:
        what = "the whole database" if self._table is None else self._table.identity
        steps = self.query_one("#steps", ItemList)
        plan = self._plan
        self.query_one("#plan-head", Row).show(
            line(span(" for ", "label"), span(what, "strong"), span(f" on {self.app.backend.name}", "note"))
        )
        if plan is None:
            steps.empty = ("cannot be planned", self._problem) if self._problem else "asking the database …"
            self._show_keys()
            return
        self.query_one("#dialog").border_title = Content(
            f"Plan: {counted(len(plan.steps), 'change')}, {plan.unchanged} unchanged"
        )
        steps.empty = "nothing to do: everything is as it should be"
        names = self._columns()
        titles = f"{'#':>3}  {'':4} {'action':<8} {fit('object', names[0])} {fit('table', names[1])}"
        heading = line(span(f"{titles} lock" if self._has_room else titles.rstrip(), "heading"))
        rows = [(number, self._step_line(number, step)) for number, step in enumerate(plan.steps)]
        steps.show(heading if plan.steps else (), rows)
        self._show_sql()
        self._show_keys()

    def _step_line(self, number: int, step: Step) -> Line:
        outcome = self._outcomes.get(number, "")
        sign, role = {"": ("", ""), "done": ("ok", "good"), "waiting": ("wait", "warning")}.get(
            outcome, ("FAIL", "bad")
        )
        return line(
            span(f"{number + 1:>3}  "),
            span(f"{sign:<4} ", role),
            span(f"{step.action:<8} ", "changed"),
            span(fit(span(step.object).text, self._columns()[0]) + " "),
            span(fit(span(step.table or "-").text, self._columns()[1]) + " "),
            span((step.lock or "none") if self._has_room else "", "note" if not step.lock else ""),
        )

    def _columns(self) -> tuple[int, int]:
        """Cells of a step's object and table: what is left beside its number, action and lock."""
        room = max(24, self.query_one("#steps").size.width - (42 if self._has_room else 22))
        return room - room * 2 // 5, room * 2 // 5

    @property
    def _has_room(self) -> bool:
        return self.query_one("#steps").size.width >= 90

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def _show_sql(self) -> None:
        plan, number = self._plan, self.query_one("#steps", ItemList).selected_key
        pane = self.query_one("#plan-sql", TextPane)
        if plan is None or not isinstance(number, int):
            pane.show([line(span(f"! {warning}", "warning")) for warning in plan.warnings] if plan else [])
            return
        step = plan.steps[number]
        outcome = self._outcomes.get(number, "")
        failed = outcome not in ("", "done", "waiting")
        lock = f"{step.lock} on {step.table}" if step.lock else "none"
        lines = [line(span("why    ", "label"), span(step.reason)), line(span("lock   ", "label"), span(lock))]
        if failed:
            lines.append(line(span("failed ", "bad"), span(outcome, "bad")))
        lines += [
            line(),
            *(
                text_lines(step.sql.strip(), "")
                if step.sql.strip()
                else [line(span("(together with the step before)", "note"))]
            ),
        ]
        pane.show([*(line(span(f"! {warning}", "warning")) for warning in plan.warnings), *lines])

    def _show_keys(self) -> None:
        note, keys_row = self.query_one("#plan-note", Row), self.query_one("#dialog-keys", Row)
        applied = self._applied
        close = line(span(" esc", "key"), span(" close"))
        if applied is not None:
            failed = len(applied.failed)
            words = f" applied {applied.applied}, failed {failed}" + (": see the steps" if failed else "")
            note.show(line(span(words, "bad" if failed else "good")))
            keys_row.show(close)
        elif self._problem:
            note.show(line(span(f" {self._problem}", "bad")))
            keys_row.show(close)
        elif self._applying:
            done = sum(outcome == "done" for outcome in self._outcomes.values())
            note.show(line(span(f" applying … {done} of {len(self._plan.steps) if self._plan else 0}", "warning")))
            keys_row.show(line(span(" esc", "key"), span(" close (the build goes on)")))
        elif self._plan is None or not self._plan.steps:
            note.show(())
            keys_row.show(close)
        else:
            note.show(line(span(" one table a transaction, short lock timeout, tried again when busy", "note")))
            keys_row.show(
                line(span(" y", "key"), span(" apply    "), span("n / esc", "key"), span(" cancel (default)"))
            )

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self._show_sql()

    def action_apply(self) -> None:
        if self._plan is None or not self._plan.steps or self._applying or self._applied is not None:
            return
        if self.app.read_only:
            self.app.say("building is off: the console was started with --read-only", "warning")
            return
        self._applying = True
        self._show_keys()
        self._apply(self._plan)

    @work(thread=True, exit_on_error=False)
    def _apply(self, plan: Plan) -> None:
        app = self.app
        numbers = {id(step): number for number, step in enumerate(plan.steps)}

        def on_step(step: Step, outcome: str) -> None:
            app.call_from_thread(self._told, numbers.get(id(step)), outcome)

        try:
            applied = app.backend.apply(plan, on_step)
        except Exception as error:  # noqa: BLE001 - or it would be waited for without an end
            app.call_from_thread(self._finished, None, problem_line(error))
        else:
            app.call_from_thread(self._finished, applied, "")

    def _told(self, number: int | None, outcome: str) -> None:
        if number is not None:
            self._outcomes[number] = outcome
        if self.is_attached:
            self._show()

    def _finished(self, applied: Applied | None, problem: str) -> None:
        self._applying = False
        self._applied, self._problem = applied, problem
        app = self.app
        if applied is None:
            app.say(f"the build failed: {problem}", "error")
        else:
            app.say(
                f"build: {applied.applied} applied, {len(applied.failed)} failed",
                "warning" if applied.failed else "information",
            )
        app.intake.reconnect_now()
        app.load_coverage()
        if self.is_attached:
            self._show()

    def action_cancel(self) -> None:
        self.dismiss(None)
