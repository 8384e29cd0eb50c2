"""Fetch the library that lends a process a wrong clock, where it is not installed: Debian's package, unpacked.

    export PG_EVENTS_TEST_FAKETIME=$(python tests/install_faketime.py)

Prints the library's path; exits with 1 when it could not be had, and says why.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from install_postgres import NotToBeHad, cache, empty, run, say


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch libfaketime for the tests.")
    parser.add_argument("--into", type=Path, default=cache() / "faketime", metavar="DIR", help="where to; %(default)s")
    target: Path = parser.parse_args().into.absolute()
    ways: dict[str, Callable[[Path], Path]] = {
        "on this machine": lambda _target: library(Path("/")),
        "fetched earlier": library,
        "Debian's package": debian_package,
    }
    for name, way in ways.items():
        try:
            found = proved(way(target))
        except NotToBeHad as error:
            say(f"libfaketime: not {name}: {error}")
        else:
            print(found)
            return 0
    return 1


def library(root: Path) -> Path:
    for found in root.glob("usr/lib/*/faketime/libfaketime.so.1"):
        return found
    raise NotToBeHad("it is not there")


def debian_package(target: Path) -> Path:
    with tempfile.TemporaryDirectory() as download:
        run("apt-get", "download", "libfaketime", within=download)
        empty(target)
        for package in Path(download).glob("*.deb"):
            run("dpkg-deb", "-x", str(package), str(target), within=download)
    return library(target)


def proved(found: Path) -> Path:
    """The same library, when a process under it is an hour ahead."""
    environment = {**os.environ, "LD_PRELOAD": str(found), "FAKETIME": "+1h"}
    code = "import os, sys, time; sys.exit(time.time() < os.stat('/proc/self').st_ctime + 3000)"
    if subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode:
        raise NotToBeHad("it does not change the clock here")
    return found


if __name__ == "__main__":
    sys.exit(main())
