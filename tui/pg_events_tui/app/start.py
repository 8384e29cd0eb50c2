"""Starts a console from settings, and switches from one console to the next."""

import gc
from dataclasses import replace
from pathlib import Path

from textual.color import Color, ColorParseError

from pg_events.config.fields import Profile
from pg_events.config.settings import Settings
from pg_events.errors import NotInstalled, PgEventsError, UsageError
from pg_events_tui.app.console import ConsoleApp
from pg_events_tui.model import state
from pg_events_tui.model.backend import APPLICATION_NAME, Database, DatabaseFeed, NoDatabase, database_name
from pg_events_tui.model.places import Place, Places


def start(
    settings: Settings,
    *,
    read_only: bool = False,
    log: Path | None = None,
    profile: str | None = None,
    remember: bool = True,
) -> int:
    """Start as described in `pg_events_tui.run`."""
    profiles = places_of(settings)
    here = _first(settings, profiles, log, profile)
    stack = [replace(here, read_only=here.read_only or read_only)]
    """Current place, on top of the places to return to."""
    before: Place | None = None
    message = ""
    while True:
        here = stack[-1]
        places = Places(here, profiles, stack[0] if len(stack) > 1 else None)
        try:
            app = _console(here, places, settings, message=message, remember=remember)
        except PgEventsError as error:
            if before is None:
                raise
            message, stack, before = str(error), [before], None
            continue
        gc.collect()
        gc.freeze()
        try:
            code = app.run()
        finally:
            app.stop()
        message, before = "", here
        if app.navigation.next_place is not None:
            there = replace(app.navigation.next_place, read_only=app.navigation.next_place.read_only or read_only)
            stack = [stack[0], there] if there.log else [there]
        elif len(stack) > 1:
            stack.pop()
        else:
            return code if code is not None else app.return_code or 0


def places_of(settings: Settings) -> tuple[Place, ...]:
    """Return the databases of the settings other than the first one."""
    return tuple(
        Place(
            one.name,
            replace(settings, database_url=one.database_url),
            label=one.label,
            colour=_colour(one),
            read_only=one.read_only,
            words=database_name(one.database_url) + (", read-only" if one.read_only else ""),
        )
        for one in settings.profiles
    )


def _colour(profile: Profile) -> str:
    """Return the colour in a notation for every terminal. Raises `UsageError` for an unknown colour."""
    if not profile.colour:
        return ""
    try:
        return Color.parse(profile.colour).hex6.lower()
    except ColorParseError:
        raise UsageError(f"PG_EVENTS_PROFILES: {profile.colour!r} of {profile.name} is no colour") from None


def _first(settings: Settings, profiles: tuple[Place, ...], log: Path | None, profile: str | None) -> Place:
    if log is not None:
        return Place(log=log, words=log.name)
    if profile is not None:
        for place in profiles:
            if place.name == profile:
                return place
        known = ", ".join(place.name for place in profiles) or "none: PG_EVENTS_PROFILES is not set"
        raise UsageError(f"there is no profile {profile!r}; there are {known}")
    for place in profiles:
        if place.settings is not None and place.settings.database_url == settings.database_url:
            return place
    return Place(settings=settings, words=database_name(settings.database_url or ""))


def _console(here: Place, places: Places, settings: Settings, *, message: str, remember: bool) -> ConsoleApp:
    """Create the console. Raises what connecting raises, except `NotInstalled`, which can be resolved in the console."""
    if here.log is not None:
        name = here.log.name
        path = state.path_for(str(here.log.absolute())) if remember else None
        return ConsoleApp(
            here.log, NoDatabase(name), settings, places=places,
            keymap=dict(settings.keys), state_path=path, message=message,
        )  # fmt: skip
    wanted = here.settings or settings
    backend = Database(wanted)
    feed = DatabaseFeed(
        wanted.database_url or "",
        application_name=APPLICATION_NAME,
        wake_up=wanted.notify,
        server_timeout_seconds=wanted.server_timeout_seconds,
    )
    first = ""
    try:
        feed.connect()
    except NotInstalled:
        first = "coverage"
    feed.close()
    path = state.path_for(backend.name) if remember else None
    return ConsoleApp(
        feed, backend, wanted, places=places, keymap=dict(settings.keys),
        state_path=path, start=first, message=message,
    )  # fmt: skip
