"""The command, called in this process, as a process of its own, and in a terminal."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events.cli import main

COMMAND = (sys.executable, "-m", "pg_events")
PATIENCE_SECONDS = 30.0


@dataclass
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr, which is all there is."""
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        return self.err.strip()


Call = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the environment decides what a command works with."""
    for name in [name for name in os.environ if name.startswith(("PG_EVENTS_SETTINGS", "PG_EVENTS_DATABASE", "PGP"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGAPPNAME", "")  # a worker in this process sets it
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """`call("status", "--json")`, in this process: fast."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    modules = set(sys.modules)

    def call(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "path", [*sys.path])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Answer(ended.value.code, out, err)

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for name in {name for name in set(sys.modules) - modules if "." not in name and not name.startswith("pg_events")}:
        del sys.modules[name]


class Process(subprocess.Popen[str]):
    """The command as a process, its output in pipes, with a limit to how long a test waits for it."""

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        as_installed: bool = False,
        **options: Any,
    ) -> None:
        command = [str(Path(sys.executable).with_name("pg_events"))] if as_installed else COMMAND
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        super().__init__(
            [*command, *arguments], text=True, env={**os.environ, **(environment or {})}, **(pipes | options)
        )

    def answer(self) -> Answer:
        out, err = self.communicate(timeout=PATIENCE_SECONDS)
        return Answer(self.returncode, out or "", err or "")

    def until_said(self, text: str) -> str:
        """Read stderr up to the line with that text."""
        assert self.stderr is not None
        said = ""
        for line in self.stderr:
            said += line
            if text in line:
                return said
        raise AssertionError(f"ended without {text!r}: {said}")


Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start("listen", …)`: a process of its own, killed at the end of the test if it still runs."""
    started: list[Process] = []

    def start(*arguments: str, **options: Any) -> Process:
        started.append(Process(*arguments, **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(start: Start) -> Call:
    """`run("status", …)`: a process of its own, to its end."""
    return lambda *arguments, **options: start(*arguments, **options).answer()


class Terminal:
    """The command in a terminal of that many columns; its stdout can lead elsewhere."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        stdout: Any = None,
        stderr: Any = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._keyboard, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        outside = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=inside,
            stdout=inside if stdout is None else stdout,
            stderr=inside if stderr is None else stderr,
            env=outside | {"TERM": "xterm-256color"} | dict(environment or {}),
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            start_new_session=True,
        )
        os.close(inside)
        self._raw = b""

    @property
    def raw(self) -> str:
        """All that was shown, with the sequences that colour it."""
        return self._raw.decode(errors="replace").replace("\r\n", "\n")

    @property
    def screen(self) -> list[str]:
        """The lines as they are in the end, without colour and without blanks at their ends."""
        erased = re.sub(r"\n(?:\x1b\[\?25h)?\r\x1b\[1A\x1b\[2K", "\r", self.raw).replace("\x1b[2K", "\r")
        return [line.rpartition("\r")[2].rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", erased).split("\n")]

    def until(self, text: str) -> None:
        """Until the text is shown."""
        self._read(lambda: text in self.raw)

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def end_by(self, keys: str) -> int:
        """Type until the command ends: Python overlooks a Ctrl-C that comes just before it begins to read a line."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            self.type(keys)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
        return self.end()

    def end(self) -> int:
        """Until the command ends: its exit code."""
        self._read(lambda: False)
        return self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._keyboard)

    def _read(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not enough():
            assert time.monotonic() < deadline, f"too long: {self.raw}"
            if select.select([self._keyboard], [], [], 0.5)[0]:
                try:
                    piece = os.read(self._keyboard, 65536)
                except OSError:  # Linux's way to say that nobody is left inside
                    return
                if not piece:
                    return
                self._raw += piece


InTerminal = Callable[..., Terminal]


@pytest.fixture
def in_terminal() -> Iterator[InTerminal]:
    """`in_terminal("status", …, columns=60)`."""
    opened: list[Terminal] = []

    def in_terminal(*arguments: str, **options: Any) -> Terminal:
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield in_terminal
    for terminal in opened:
        terminal.close()


Execute = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def execute() -> Execute:
    """`execute(url, "insert …", "select …")`: each in a transaction of its own; the rows of the last."""

    def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    return execute


@pytest.fixture
def stranger(server: Any, execute: Execute) -> str:
    """A role that may connect and nothing else."""
    name = f"stranger_{os.getpid()}"
    execute(server.url(), f"drop role if exists {name}", f"create role {name} login")
    return name


@pytest.fixture
def url(built_database_url: str, execute: Execute) -> str:
    """A database on which a build ran, with a table `note (id, text)`, and nothing in the log."""
    execute(
        built_database_url,
        "create table note (id integer primary key, text text)",
        "truncate pgevents.event",
    )
    return built_database_url
