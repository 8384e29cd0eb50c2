"""The console of pg_events. Textual is imported when it is started, not before."""

from pg_events.settings import Settings

__all__ = ["run"]


def run(settings: Settings, *, read_only: bool = False) -> int:
    """Show the console until the user leaves it; the exit code.

    Connects once before anything is drawn, so that a wrong address or password is an error of the command and not a
    picture: raises what `Listener.connect` raises, except `NotInstalled`, which the console can mend.
    """
    from pg_events_tui.start import start

    return start(settings, read_only=read_only)
