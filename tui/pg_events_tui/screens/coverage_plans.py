"""Builds in Coverage: plans for the selected table, marked ones or all, and for excluding or including tables."""

from collections.abc import Callable, Sequence

from pg_events.text import counted
from pg_events.triggers.catalog import Table
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.plan import PlanDialog


class CoveragePlans(ConsoleScreen):
    """Screen with a list of tables that can be marked."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: set[int] = set()
        """OIDs of the marked tables."""

    @property
    def selected(self) -> Table | None:
        """Table under the cursor."""
        raise NotImplementedError

    @property
    def marked(self) -> Sequence[Table]:
        """Marked tables that still exist."""
        return [table for table in self.app.coverage[0] or () if table.oid in self.marks]

    def action_mark(self) -> None:
        if not self.refused("mark") and self.selected is not None:
            self.marks.symmetric_difference_update({self.selected.oid})

    def action_plan(self) -> None:
        if not self.refused("plan"):
            self._choose("Plan for which tables?", lambda tables: self.app.push_screen(PlanDialog(tables)))

    def action_plan_all(self) -> None:
        if not self.refused("plan_all"):
            self.app.push_screen(PlanDialog())

    def action_exclude(self) -> None:
        """Exclude or include tables; the plan shows the effect."""
        if not self.refused("exclude"):
            self._choose("Leave out, or take in, which tables?", self._exclude)

    def _choose(self, title: str, then: Callable[[Sequence[Table]], object]) -> None:
        """Continue with the selected table; if there are marks, ask which tables are meant."""
        selected, marked = self.selected, self.marked
        assert selected is not None
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
        self.app.push_screen(Choice(title, options), chosen)

    def _exclude(self, tables: Sequence[Table]) -> None:
        """Exclude the tables; if all of them are excluded already, include them."""
        able = [table for table in tables if table.state != "unsupported"]
        if not able:
            first = tables[0]
            words = (
                first.identity if len(tables) == 1 else f"{counted(len(tables), 'table')}, {first.identity} among them,"
            )
            self.say(f"{words} cannot be captured: {first.reason}", "warning")
            return
        wanted = [table for table in able if table.state != "excluded"]
        self.app.push_screen(PlanDialog(wanted or able, exclude=bool(wanted)))
