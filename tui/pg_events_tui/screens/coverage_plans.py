"""Builds in Coverage: plans for the selected table, marked ones or all, and for excluding or including tables."""

from collections.abc import Callable, Sequence

from pg_events.text import counted
from pg_events.triggers.catalog import Table
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.plan import PlanDialog


class CoveragePlans:
    """Marks of tables, and the plans for them."""

    def __init__(self, screen: ConsoleScreen, host: Host) -> None:
        self._screen = screen
        self._host = host
        self.marks: set[int] = set()
        """OIDs of the marked tables."""

    @property
    def marked(self) -> Sequence[Table]:
        """Marked tables that still exist."""
        return [table for table in self._host.database.coverage[0] or () if table.oid in self.marks]

    def toggle_mark(self, table: Table) -> None:
        self.marks.symmetric_difference_update({table.oid})

    def ask_for_plan(self, selected: Table) -> None:
        self._choose("Plan for which tables?", selected, self._plan)

    def plan_all(self) -> None:
        self._plan(())

    def ask_to_exclude(self, selected: Table) -> None:
        """Exclude or include tables; the plan shows the effect."""
        self._choose("Leave out, or take in, which tables?", selected, self._exclude)

    def _plan(self, tables: Sequence[Table], exclude: bool | None = None) -> None:
        self._screen.app.push_screen(PlanDialog(self._host, tables, exclude=exclude))

    def _choose(self, title: str, selected: Table, then: Callable[[Sequence[Table]], object]) -> None:
        """Continue with the selected table; if there are marks, ask which tables are meant."""
        marked = self.marked
        if not marked:
            then([selected])
            return

        def chosen(tables: Sequence[Table] | None) -> None:
            if tables:
                then(tables)

        options = [
            Option[Sequence[Table]]("m", "marked tables", marked, note=counted(len(marked), "table")),
            Option[Sequence[Table]]("e", "the selected one", [selected], note=selected.identity),
        ]
        self._screen.app.push_screen(Choice(title, options), chosen)

    def _exclude(self, tables: Sequence[Table]) -> None:
        """Exclude the tables; if all of them are excluded already, include them."""
        able = [table for table in tables if table.state != "unsupported"]
        if not able:
            first = tables[0]
            words = (
                first.identity if len(tables) == 1 else f"{counted(len(tables), 'table')}, {first.identity} among them,"
            )
            self._host.notices.say(f"{words} cannot be captured: {first.reason}", "warning")
            return
        wanted = [table for table in able if table.state != "excluded"]
        self._plan(wanted or able, exclude=bool(wanted))
