"""The process that calls a callback for the console: one request in, one call, one result out.

`python -m pg_events_tui.replay_child FD` reads a JSON object from standard input and writes one to the descriptor.
Standard output and error belong to the callback.
"""

import json
import os
import sys
from time import perf_counter
from typing import Any

from pg_events.callbacks import Callback, describe_failure, resolve
from pg_events.errors import PgEventsError
from pg_events.settings import load


def main(result_descriptor: int) -> None:
    os.set_inheritable(result_descriptor, False)
    request: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    result = call(request)
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(result_descriptor, "wb") as pipe:
        pipe.write(json.dumps(result).encode("ascii"))
    os._exit(0)  # Threads that the callback left behind must not keep the answer waiting.


def call(request: dict[str, Any]) -> dict[str, Any]:
    """What became of it, ready for JSON."""
    try:
        callback = _callback(request)
    except PgEventsError as error:
        return {"ok": False, "milliseconds": 0.0, "type": "cannot be called", "message": str(error), "traceback": ""}
    started = perf_counter()
    try:
        returned = callback(request["payload"])
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are results here, too
        own = error.__traceback__  # The first frame is this function; the user wants to see his.
        failure = describe_failure(error.with_traceback(own.tb_next if own else None))
        return {
            "ok": False,
            "milliseconds": (perf_counter() - started) * 1000,
            "type": failure.type,
            "message": failure.message,
            "traceback": failure.traceback,
        }
    return {"ok": True, "milliseconds": (perf_counter() - started) * 1000, "returned": _spelled(returned)}


def _callback(request: dict[str, Any]) -> Callback:
    """Loading the settings puts their folder in front of `sys.path`, where callbacks are looked for."""
    setting = request["setting"]
    reference: object = request["reference"]
    source = request["settings"]
    if source and not source.startswith(("--", "PG_EVENTS_")):
        loaded = getattr(load(source, require_database=False), setting)
        reference = reference or loaded
    return resolve(reference, f"PG_EVENTS_{setting.upper()}")


def _spelled(returned: object) -> str:
    if returned is None:
        return ""
    try:
        return repr(returned)[:2_000]
    except Exception as error:  # noqa: BLE001 - a stranger's __repr__
        return f"<its repr raised {type(error).__name__}>"


if __name__ == "__main__":
    main(int(sys.argv[1]))
