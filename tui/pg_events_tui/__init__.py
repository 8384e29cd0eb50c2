"""Console of pg_events. Textual is imported when the console starts, not before."""

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
    """Show the console until the user quits, and return the exit code.

    `log` is a saved log to show instead of a database, `profile` one of `settings.profiles`. With `remember`, the settings of
    a database's views (filters, columns, marks) are restored the next time.

    Connects once before anything is drawn, so that a wrong address or password is an error of the command: raises what
    `Listener.connect` raises, except `NotInstalled`, which can be resolved in the console.
    """
    from pg_events_tui.app.start import start

    return start(settings, read_only=read_only, log=log, profile=profile, remember=remember)
