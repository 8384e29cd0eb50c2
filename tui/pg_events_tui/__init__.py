"""The console of pg_events. Textual is imported when it is started, not before."""

from pathlib import Path

from pg_events.config.settings import Settings

__all__ = ["run"]


def run(
    settings: Settings,
    *,
    read_only: bool = False,
    log: Path | None = None,
    profile: str | None = None,
    remember: bool = True,
) -> int:
    """Show the console until the user leaves it; the exit code.

    `log` is a saved log to be shown in place of a database, `profile` one of `settings.profiles`. With `remember` what
    was set on a database (filters, columns, marks) is there again the next time.

    Connects once before anything is drawn, so that a wrong address or password is an error of the command and not a
    picture: raises what `Listener.connect` raises, except `NotInstalled`, which the console can mend.
    """
    from pg_events_tui.app.start import start

    return start(settings, read_only=read_only, log=log, profile=profile, remember=remember)
