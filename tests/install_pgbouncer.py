"""Fetch PgBouncer for the tests, where it is not installed: Debian's package and what it needs, unpacked, not installed.

    export PG_EVENTS_TEST_PGBOUNCER=$(python tests/install_pgbouncer.py)

Prints the program's path; exits with 1 when it could not be had, and says why.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from install_postgres import NotToBeHad, cache, empty, run, say

PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch PgBouncer for the tests.")
    parser.add_argument("--into", type=Path, default=cache() / "pgbouncer", metavar="DIR", help="where to; %(default)s")
    target: Path = parser.parse_args().into.absolute()
    for way in (installed, unpacked, debian_package):
        try:
            program = proved(way(target))
        except NotToBeHad as error:
            say(f"PgBouncer: not {way.__name__.replace('_', ' ')}: {error}")
        else:
            print(program)
            return 0
    return 1


def installed(_target: Path) -> Path:
    if found := shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        return Path(found)
    raise NotToBeHad("it is not there")


def unpacked(target: Path) -> Path:
    if (program := target / "usr/sbin/pgbouncer").exists():
        return program
    raise NotToBeHad("it is not there")


def debian_package(target: Path) -> Path:
    with tempfile.TemporaryDirectory() as download:
        run("apt-get", "download", *PACKAGES, within=download)
        empty(target)
        for package in Path(download).glob("*.deb"):
            run("dpkg-deb", "-x", str(package), str(target), within=download)
    return unpacked(target)


def libraries(program: Path) -> dict[str, str]:
    """The environment in which an unpacked program finds the libraries that were unpacked with it."""
    found = [str(directory) for directory in (program.parents[1] / "lib").glob("*-linux-gnu")]
    return (
        {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(found)} if program.parents[2] != Path("/") else {**os.environ}
    )


def proved(program: Path) -> Path:
    """The same program, when it runs here."""
    answer = subprocess.run([program, "--version"], env=libraries(program), capture_output=True, text=True, check=False)
    if answer.returncode:
        raise NotToBeHad((answer.stderr.strip() or "it does not run").splitlines()[-1])
    return program


if __name__ == "__main__":
    sys.exit(main())
