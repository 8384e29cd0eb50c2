"""How long it takes from the command to the first screen: a process in a terminal, until the names of the screens are there."""

import fcntl
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence


def first_paint(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor, of `pg_events tui` with these arguments."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pg_events", "tui", *arguments],
        stdin=its, stdout=its, stderr=its, start_new_session=True, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(its)
    seen = b""
    while b"Live" not in seen:
        seen += os.read(ours, 65_536)
    seconds = time.perf_counter() - began
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(ours)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
