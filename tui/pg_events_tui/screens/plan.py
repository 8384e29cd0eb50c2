"""Plan of a build: shown statement by statement, reviewed, applied."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from pg_events.text import counted
from pg_events.triggers.build import Applied
from pg_events.triggers.catalog import Table
from pg_events.triggers.plan import Plan, Step
from pg_events_tui.dialogs.questions import Ask
from pg_events_tui.model.backend import problem_line
from pg_events_tui.model.recording import new_file_problem
from pg_events_tui.screens.host import Host
from pg_events_tui.text.lines import Line, fit, line, span, text_lines
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import Row
from pg_events_tui.widgets.text_pane import TextPane


class PlanDialog(ModalScreen[None]):
    """Steps of a build, statement by statement; after `y`, with their results."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "apply", "apply", show=False),
        Binding("s", "script", "full script", show=False),
        Binding("w", "write", "write", show=False),
        Binding("n,escape,q", "cancel", "cancel", show=False),
    ]

    if TYPE_CHECKING:

        @property
        def app(self) -> App[Any]: ...

    def __init__(self, host: Host, tables: Sequence[Table] = (), *, exclude: bool | None = None) -> None:
        """Without tables, the plan is for all. `exclude`: True to exclude these tables, False to include them again."""
        super().__init__()
        self._host = host
        self._tables = tables
        names = tuple(table.identity for table in tables)
        self._exclude = names if exclude else ()
        self._include = names if exclude is False else ()
        self._writers: Mapping[int, int] = {}
        self._whole_script = False
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
        backend = self._host.database.backend
        try:
            relations = [table.oid for table in self._tables] or None
            plan = backend.plan(relations, include=self._include, exclude=self._exclude)
            self._writers = backend.writers()
        except Exception as error:  # noqa: BLE001 - or it would be waited for without an end
            self.app.call_from_thread(self._loaded, None, problem_line(error))
        else:
            self.app.call_from_thread(self._loaded, plan, "")

    def _loaded(self, plan: Plan | None, problem: str) -> None:
        self._plan, self._problem = plan, problem
        if self.is_attached:
            self._show()

    def _show(self) -> None:
        what = ", ".join(table.identity for table in self._tables) or "the whole database"
        if len(self._tables) > 1:
            what = f"{counted(len(self._tables), 'table')}: {what}"
        what = f"leaving out {what}" if self._exclude else f"taking in {what}" if self._include else what
        steps = self.query_one("#steps", ItemList)
        plan = self._plan
        self.query_one("#plan-head", Row).show(
            line(span(" for ", "label"), span(what, "strong"), span(f" on {self._host.database.backend.name}", "note"))
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
        rows = [(number, partial(self._step_line, number, step)) for number, step in enumerate(plan.steps)]
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
            span(self._waits(step), "warning"),
        )

    def _waits(self, step: Step) -> str:
        """Format the number of transactions that hold the table: `  2 writers`; empty if there are none."""
        count = self._writers.get(step.relation, 0) if step.lock and step.relation is not None else 0
        return f"  {counted(count, 'writer')}" if count else ""

    def _columns(self) -> tuple[int, int]:
        """Return the widths of a step's object and table, which share the space beside number, action and lock."""
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
        if self._whole_script:
            pane.show([line(span("the whole script", "heading")), line(), *text_lines(script(plan))])
            return
        step = plan.steps[number]
        outcome = self._outcomes.get(number, "")
        failed = outcome not in ("", "done", "waiting")
        lock = f"{step.lock} on {step.table}" if step.lock else "none"
        if self._waits(step):
            lock += f"; held now by{self._waits(step)}, the build waits briefly and tries again"
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
            words = " one table a transaction, short lock timeout, tried again when busy"
            if self._exclude or self._include:
                constant = "PG_EVENTS_EXCLUDE" if self._exclude else "PG_EVENTS_INCLUDE / PG_EVENTS_EXCLUDE"
                words = f" until the next build from the settings: change {constant} there, too"
            note.show(line(span(words, "warning" if self._exclude or self._include else "note")))
            told = (("y", "apply"), ("s", "one step" if self._whole_script else "full script"), ("w", "write it"),
                    ("n / esc", "cancel (default)"))  # fmt: skip
            keys_row.show(line(*[part for key, word in told for part in (span(f" {key}", "key"), span(f" {word}   "))]))

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self._show_sql()

    def action_apply(self) -> None:
        if self._plan is None or not self._plan.steps or self._applying or self._applied is not None:
            return
        if self._host.database.read_only:
            self._host.notices.say("building is off: the console was started with --read-only", "warning")
            return
        place = self._host.navigation.places.here
        if not place.label.upper().startswith("PROD"):
            self._begin()
            return
        name = self._host.database.backend.name.partition("@")[0]

        def answered(text: str | None) -> None:
            if text is not None:
                self._begin()

        text = [line(span(f"This is {place.label}. Type the name of the database to go on: "), span(name, "strong"))]

        def problem(text: str) -> str:
            return "" if text == name else f"that is not {name}"

        self.app.push_screen(Ask("Apply the plan?", text, check=problem), answered)

    def _begin(self) -> None:
        if self._plan is None or self._applying:
            return
        self._applying = True
        self._show_keys()
        self._apply(self._plan)

    def action_script(self) -> None:
        self._whole_script = not self._whole_script
        self._show_sql()
        self._show_keys()

    def action_write(self) -> None:
        plan = self._plan
        if plan is None or not plan.steps:
            self._host.notices.say("there is nothing to write", "warning")
            return

        def answered(path: str | None) -> None:
            if path:
                self._host.files.write_text(path, script(plan))

        text = [line(span("The statements of the plan, to be read or run elsewhere."))]
        self.app.push_screen(Ask("Write the plan to", text, value="plan.sql", check=new_file_problem), answered)

    @work(thread=True, exit_on_error=False)
    def _apply(self, plan: Plan) -> None:
        app = self.app
        numbers = {id(step): number for number, step in enumerate(plan.steps)}

        def on_step(step: Step, outcome: str) -> None:
            app.call_from_thread(self._told, numbers.get(id(step)), outcome)

        try:
            applied = self._host.database.backend.apply(plan, on_step)
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
        host = self._host
        if applied is None:
            host.notices.say(f"the build failed: {problem}", "error")
        else:
            if applied.applied and not applied.failed:
                host.database.backend.choose(include=self._include, exclude=self._exclude)
            host.notices.say(
                f"build: {applied.applied} applied, {len(applied.failed)} failed",
                "warning" if applied.failed else "information",
            )
        host.stream.intake.reconnect_now()
        host.database.load_coverage()
        if self.is_attached:
            self._show()

    def action_cancel(self) -> None:
        self.dismiss(None)


def script(plan: Plan) -> str:
    """Return the statements of a plan as a script."""
    parts = [
        f"-- {step.action} {step.object}: {step.reason}\n{step.sql.strip()}" for step in plan.steps if step.sql.strip()
    ]
    return "\n\n".join(parts) + "\n"
