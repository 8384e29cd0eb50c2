"""Outlives the process that started a server, so that the server does not: run as a script, never imported.

It makes the server's directory, prints its path and holds the read ends of two pipes. The parent alone holds the
write end of the *lifeline*: however the parent ends, the line ends too, and the server is stopped and the directory
removed. Every process of the server holds the write end of *users*: once that ends, the directory is unused.

Only the standard library, and little of it: this starts once for every server, isolated from the environment.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

SOCKET_PATH_BYTES = 100
"""Maximum length of a socket path (limits: 103 bytes on macOS, 107 on Linux); else the socket has its own directory."""
QUIT_SECONDS = 10.0
"""Timeout after which a quitting server is killed. PostgreSQL itself gives its children five seconds."""
KILL_SECONDS = 20.0
"""Timeout after which the directory is removed, even if still in use."""


def main(lifeline: int, users: int, parent: str) -> None:
    parent_pid = os.getppid()
    os.umask(0o077)
    directory = Path(tempfile.mkdtemp(prefix="pg_events-", dir=parent))
    sockets = directory
    try:
        if len(os.fsencode(directory / ".s.PGSQL.5432")) > SOCKET_PATH_BYTES:
            sockets = Path(tempfile.mkdtemp(prefix="pg_events-", dir="/tmp"))
        with contextlib.suppress(OSError):  # the parent may be gone already
            os.write(1, os.fsencode(directory) + b"\0" + os.fsencode(sockets) + b"\0")
        os.close(1)
        wait_for_end_of_parent(lifeline, parent_pid)
        stop_server(directory / "data" / "postmaster.pid", users)
    finally:
        for path in {directory, sockets}:
            remove(path)


def wait_for_end_of_parent(lifeline: int, parent_pid: int) -> None:
    """Block until the parent ends. Its forked children hold the lifeline, too, so the parent pid is checked."""
    while not ended(lifeline, 1.0) and os.getppid() == parent_pid:
        pass


def stop_server(pid_file: Path, users: int) -> None:
    """Stop the server until no process uses the directory. Reads the pid each time, because a starting server writes it late."""
    began = time.monotonic()
    told: int | None = None
    while not ended(users, 0.02) and (elapsed := time.monotonic() - began) < KILL_SECONDS:
        pid = postmaster(pid_file)
        if pid is None and told is not None:
            # The server took its file away as its last act. A child that the parent forked may hold the pipe on.
            ended(users, 1.0)
            return
        if pid is not None and (pid != told or elapsed > QUIT_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT if pid != told else signal.SIGKILL)
            told = pid


def ended(pipe: int, seconds: float) -> bool:
    """Return True once all write ends are closed, or False after the timeout. Nothing is ever written to these pipes."""
    return bool(select.select([pipe], [], [], seconds)[0])


def postmaster(pid_file: Path) -> int | None:
    try:
        return abs(int(pid_file.read_text().split("\n", 1)[0]))
    except (OSError, ValueError):
        return None


def remove(path: Path) -> None:
    """Remove the directory, again if something was written meanwhile, for instance by an interrupted `initdb`."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    # Only the end of the parent ends this: not Ctrl-C, not a closed terminal, not a kill of the whole family.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
