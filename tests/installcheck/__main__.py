"""`python -m tests.installcheck`: PostgreSQL's own suites with capture off and on, and what differs.

Fetches Debian's source package of the server's major, or takes the tree of `--source`; compiles the test programs, runs
each suite on two servers of its own and prints a table. What differs without being in `expected.toml` is written to
`DIR/unexplained`, and then the exit code is 1. `--settings` names pg_events settings to build with.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pg_events.config.settings import load
from pg_events.demo.server import MAJORS, binaries
from pg_events.errors import PgEventsError, UsageError
from tests.installcheck.compare import Compared, compare, rules
from tests.installcheck.source import debian_source, prepare
from tests.installcheck.suites import Suite, run_suite, suites

DIRECTORY = Path("/tmp/pg_events-installcheck")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.installcheck", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="globs, such as regress 'contrib/*'; all by default")
    parser.add_argument("--major", type=int, choices=MAJORS, default=15, help="of the server (%(default)s)")
    parser.add_argument("--source", type=Path, metavar="TREE", help="a source tree instead of Debian's package")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, metavar="DIR", help="for all files (%(default)s)")
    parser.add_argument("--settings", metavar="MODULE", help="settings of pg_events to build with")
    options = parser.parse_args()
    try:
        found = list(run(options))
    except PgEventsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(table(found))
    return 1 if any(one.unexplained for one in found) else 0


def run(options: argparse.Namespace) -> Iterator[Compared]:
    programs = binaries(options.major)
    if programs is None:
        raise UsageError(f"no PostgreSQL {options.major} here: name its programs with PG_EVENTS_TEST_BINARIES")
    directory: Path = options.directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)  # the server's user must get to its files
    source = options.source or debian_source(options.major, directory / "debian")
    tree = prepare(source, directory / "objects", options.major)
    settings = load(options.settings, require_database=False)
    wanted = [suite for suite in suites(tree, programs) if is_wanted(suite, options.suites)]
    if not wanted:
        raise UsageError(f"no suite is called {' or '.join(options.suites)}")
    work, unexplained = directory / f"runs-{options.major}", directory / "unexplained"
    shutil.rmtree(unexplained, ignore_errors=True)
    for suite in wanted:
        name = suite.name.replace("/", "-").replace(" ", "-")
        print(f"{suite.name} …", file=sys.stderr, flush=True)
        plain = run_suite(suite, tree, programs, work / name / "off", None)
        captured = run_suite(suite, tree, programs, work / name / "on", settings)
        compared = compare(suite.name, plain, captured, rules())
        for test, difference in compared.unexplained.items():
            (unexplained / name).mkdir(parents=True, exist_ok=True)
            (unexplained / name / f"{test}.diff").write_text(difference + "\n")
        yield compared


def is_wanted(suite: Suite, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(suite.name, pattern) for pattern in patterns)


def table(found: Sequence[Compared]) -> str:
    lines = [
        "| suite | files | as PostgreSQL expects without capture | the same with capture | explained | unexplained | events |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        counts = (one.files, one.plain_passed, one.same, len(one.explained), len(one.unexplained), one.events)
        lines.append(f"| {one.suite} | {' | '.join(f'{count:,}' for count in counts)} |")
    files, same = sum(one.files for one in found), sum(one.same for one in found)
    left = sum(len(one.unexplained) for one in found)
    lines += ["", f"{same:,} of {files:,} files the same, {left or 'none'} unexplained"]
    for one in found:
        lines += [f"- {one.suite}/{test}: {', '.join(why)}" for test, why in one.explained.items()]
        lines += [f"- {one.suite}/{test}: UNEXPLAINED" for test in one.unexplained]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
