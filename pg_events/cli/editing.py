"""Interactive work on one event: its payload in an editor, its failure in the debugger."""

import pdb
import sysconfig
import types

import click

from pg_events.callbacks.callback import is_ours
from pg_events.cli.terminal import say
from pg_events.playback.payload_text import joined, spread


def edited(payload: str) -> str:
    """Edit the payload in $EDITOR; return it as one line, unchanged if nothing was saved."""
    text = spread(payload)
    while (changed := click.edit(text, extension=".json")) is not None and changed.strip() != text.strip():
        try:
            return joined(changed)
        except (ValueError, RecursionError) as error:
            say(f"not a valid payload: {error}")
            text = changed
            if not click.confirm("edit again?", default=True, err=True):
                raise click.Abort from None
    return payload


_INSTALLED = tuple({sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def debug(error: BaseException) -> None:
    """Open the debugger at the failing line of the user's own code, with its stack and variables."""
    say(f"{type(error).__name__}: {error}")
    debugger = pdb.Pdb()
    debugger.reset()
    debugger.interaction(None, users(error.__traceback__))


def users(found: types.TracebackType | None) -> types.TracebackType | None:
    """Traceback from the first to the last frame of user code, without our callers and the libraries it called."""
    every: list[types.TracebackType] = []
    while found is not None:
        every.append(found)
        found = found.tb_next
    own = [number for number, one in enumerate(every) if _is_users(one)]
    chain: types.TracebackType | None = None
    for one in reversed(every[own[0] : own[-1] + 1] if own else every):
        chain = types.TracebackType(chain, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return chain


def _is_users(one: types.TracebackType) -> bool:
    name = one.tb_frame.f_code.co_filename
    return not (is_ours(name) or name.startswith((*_INSTALLED, "<frozen ")))
