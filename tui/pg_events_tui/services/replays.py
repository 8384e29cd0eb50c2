"""Replays of the console: their events and state."""

from functools import partial
from typing import Any

from textual.app import App

from pg_events.playback.control import Pace
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model.backend import problem_line
from pg_events_tui.model.store import NOTE
from pg_events_tui.model.view import View
from pg_events_tui.replay.loading import Origin
from pg_events_tui.replay.session import Replay
from pg_events_tui.replay.sources import FindOrigin, Origins
from pg_events_tui.services.database import Database
from pg_events_tui.services.notices import Notices
from pg_events_tui.services.stream import Stream


class Replays:
    """Plans a replay at a time, and keeps it until another one is planned."""

    def __init__(self, app: App[Any], notices: Notices, database: Database, stream: Stream, origins: Origins) -> None:
        self._app = app
        self._notices = notices
        self._database = database
        self._stream = stream
        self.origins = origins
        self.pace = Pace(speed=1.0)
        self.current: Replay | None = None
        """Replay that is shown."""
        self.base: Origin | None = None
        """Origin from which a filter has narrowed the replay."""
        self.asks: Replay | None = None
        """Replay that asks whether to call callbacks, once it is planned."""
        self._edited = frozenset[int]()
        """Ids of edited events in stored runs, and in replays that were shown before."""

    def plan(self, origin: Origin, base: Origin | None = None, *, asks: bool = False) -> None:
        """Show the plan of a replay without calling anything.

        `base` is the origin from which the events were narrowed. With `asks`, the user is asked whether to call callbacks once
        the plan is ready.
        """
        if self.why_no_plan:
            self._notices.say(self.why_no_plan, "warning")
            return
        if self.current is not None:
            self._edited |= self.current.replayed_edited
            self.current.close()
        self.base = base or origin
        self.current = Replay(origin, self.pace)
        self.asks = self.current if asks else None
        self.current.load()
        self._app.switch_mode("replay")

    @property
    def is_playing(self) -> bool:
        return self.current is not None and self.current.is_playing

    @property
    def why_no_plan(self) -> str:
        """Reason why no other replay can be planned now; empty if one can."""
        return "a replay is playing: x on Replay (4) stops it" if self.is_playing else ""

    def set_pace(self, pace: Pace) -> None:
        self.pace = pace
        if self.current is not None:
            self.current.set_pace(pace)

    def stop(self) -> None:
        """Kill running processes, after the app has ended."""
        if self.current is not None:
            self.current.close()
            self.current.wait(3.0)

    def sources(self, view: View | None = None) -> list[Option[FindOrigin]]:
        """Return the origins to replay: those of the view (else of Live), and of the database."""
        view = view or self._stream.live
        origins, absent = self.origins, self._database.absent
        row = view.selected
        nothing = "" if row is not None and view.store.kind(row) != NOTE else "nothing is selected in Live"
        return [
            Option("e", "the selected event", partial(origins.event, row or 0), why_not=nothing),
            Option("t", "its transaction", partial(origins.transaction, row or 0), why_not=nothing),
            Option("m", "marked events", partial(origins.marked, set(view.marks)), note=f"{len(view.marks):,}",
                   why_not="" if view.marks else "nothing is marked"),
            Option("s", "shown events", partial(origins.shown, view, view.exact_filter), note=f"{len(view):,}",
                   why_not="" if len(view) else "nothing is shown"),
            Option("f", "failed events", origins.failed, note="what workers gave up", why_not=absent),
            Option("l", "the whole log", origins.log, note="/ narrows it", why_not=absent),
        ]  # fmt: skip

    def ask(self, view: View) -> None:
        """Plan a replay of the selected event; if there are marks, ask which events are meant."""
        options = self.sources(view)
        if not view.marks:
            self.plan(self.origins.event(view.selected or 0))
            return

        def chosen(find: FindOrigin | None) -> None:
            origin = find() if find else None
            if origin is not None:
                self.plan(origin)

        self._app.push_screen(Choice("Replay what?", options, selected=2), chosen)

    # ---- edited copies

    @property
    def edited_ids(self) -> frozenset[int]:
        """Ids of the events that have an edited copy, or of which one was replayed."""
        return self._edited | self.current.edited_ids if self.current is not None else self._edited

    def load_edited(self) -> None:
        """Reload the ids from stored runs; the result arrives at a later tick."""
        self._app.run_worker(self._load_edited, thread=True, exclusive=True, group="edited", exit_on_error=False)

    def _load_edited(self) -> None:
        try:
            found = self.origins.edited_ids()
        except Exception as error:  # noqa: BLE001 - or it would be waited for without an end
            self._notices.say_from_thread(problem_line(error), "error")
        else:
            self._app.call_from_thread(setattr, self, "_edited", self._edited | found)
