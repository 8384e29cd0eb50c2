"""Replays of the app: their events and state."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

from textual import work

from pg_events.playback.control import Pace
from pg_events_tui.app.files import FilesApp
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model.backend import Backend, problem_line
from pg_events_tui.model.store import NOTE, Store
from pg_events_tui.model.view import View
from pg_events_tui.replay.loading import Origin
from pg_events_tui.replay.session import Replay
from pg_events_tui.replay.sources import FindOrigin, Origins
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.filtered_view import FilteredView


class ReplayingApp(FilesApp):
    """App whose lists can be replayed."""

    def __init__(
        self,
        store: Store,
        origins: Origins,
        backend: Backend,
        clock: Callable[[], datetime],
        zone: tzinfo | None,
        copy_path: Path | None,
    ) -> None:
        super().__init__(store, backend, clock, zone, copy_path)
        self.live = View(self.store)
        self.schema = View(self.store, newest_first=True)
        self.known_screens: dict[str, ConsoleScreen] = {}
        """Opened screens by mode."""
        self.origins = origins
        self.pace = Pace(speed=1.0)
        self.replay: Replay | None = None
        """Replay that is shown."""
        self.replay_base: Origin | None = None
        """Origin from which a filter has narrowed the replay."""
        self.replay_asks: Replay | None = None
        """Replay that asks whether to call callbacks, once it is planned."""
        self._edited = frozenset[int]()
        """Ids of edited events in stored runs, and in replays that were shown before."""

    def plan_replay(self, origin: Origin, base: Origin | None = None, *, asks: bool = False) -> None:
        """Show the plan of a replay without calling anything.

        `base` is the origin from which the events were narrowed. With `asks`, the user is asked whether to call callbacks once
        the plan is ready.
        """
        if self.why_no_plan:
            self.say(self.why_no_plan, "warning")
            return
        if self.replay is not None:
            self._edited |= self.replay.replayed_edited
            self.replay.close()
        self.replay_base = base or origin
        self.replay = Replay(origin, self.pace)
        self.replay_asks = self.replay if asks else None
        self.replay.load()
        self.switch_mode("replay")

    @property
    def why_no_plan(self) -> str:
        """Reason why no other replay can be planned now; empty if one can."""
        is_playing = self.replay is not None and self.replay.is_playing
        return "a replay is playing: x on Replay (4) stops it" if is_playing else ""

    def set_pace(self, pace: Pace) -> None:
        self.pace = pace
        if self.replay is not None:
            self.replay.set_pace(pace)

    def replay_sources(self, view: View | None = None) -> list[Option[FindOrigin]]:
        """Return the origins to replay: those of the view (else of Live), and of the database."""
        view = view or self.live
        screen = self.known_screens.get("schema" if view is self.schema else "live")
        wanted = screen.exact_filter if isinstance(screen, FilteredView) else None
        row = view.selected
        nothing = "" if row is not None and self.store.kind(row) != NOTE else "nothing is selected in Live"
        return [
            Option("e", "the selected event", partial(self.origins.event, row or 0), why_not=nothing),
            Option("t", "its transaction", partial(self.origins.transaction, row or 0), why_not=nothing),
            Option("m", "marked events", partial(self.origins.marked, set(view.marks)), note=f"{len(view.marks):,}",
                   why_not="" if view.marks else "nothing is marked"),
            Option("s", "shown events", partial(self.origins.shown, view, wanted), note=f"{len(view):,}",
                   why_not="" if len(view) else "nothing is shown"),
            Option("f", "failed events", self.origins.failed, note="what workers gave up", why_not=self.backend.absent),
            Option("l", "the whole log", self.origins.log, note="/ narrows it", why_not=self.backend.absent),
        ]  # fmt: skip

    def ask_to_replay(self, view: View) -> None:
        """Plan a replay of the selected event; if there are marks, ask which events are meant."""
        options = self.replay_sources(view)
        if not view.marks:
            self.plan_replay(self.origins.event(view.selected or 0))
            return

        def chosen(find: FindOrigin | None) -> None:
            origin = find() if find else None
            if origin is not None:
                self.plan_replay(origin)

        self.push_screen(Choice("Replay what?", options, selected=2), chosen)

    # ---- edited copies

    @property
    def edited_ids(self) -> frozenset[int]:
        """Ids of the events that have an edited copy, or of which one was replayed."""
        return self._edited | self.replay.edited_ids if self.replay is not None else self._edited

    @work(thread=True, exclusive=True, group="edited", exit_on_error=False)
    def load_edited(self) -> None:
        """Reload the ids from stored runs; the result arrives at a later tick."""
        try:
            found = self.origins.edited_ids()
        except Exception as error:  # noqa: BLE001 - or it would be waited for without an end
            self.call_from_thread(self.say, problem_line(error), "error")
        else:
            self.call_from_thread(setattr, self, "_edited", self._edited | found)
