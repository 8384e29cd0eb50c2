"""PostgreSQL's suites: which there are, and how one runs against a server of ours."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg

from pg_events.config.settings import Settings
from pg_events.demo.server import FAST, Server
from pg_events.errors import PgEventsError
from tests.installcheck.lab import build
from tests.installcheck.source import Tree

MODULES = {"auto_explain", "passwordcheck"}
"""Of contrib, what is a module without an extension; Debian has them all."""
INPUTS = ("sql", "expected", "data", "specs", "input", "output", "*schedule*")
SERVER = {**FAST, "autovacuum": "off", "max_prepared_transactions": "20"}
DATABASE = (
    *("lc_messages to 'C'", "lc_monetary to 'C'", "lc_numeric to 'C'", "lc_time to 'C'"),
    *("bytea_output to 'hex'", "timezone_abbreviations to 'Default'"),
)
"""What `pg_regress` sets on a database that it creates; ours exist before, to be built on."""


@dataclass(frozen=True)
class Suite:
    """Tests that share a server: a schedule, or a list of names."""

    name: str
    directory: str
    tests: tuple[str, ...] = ()
    schedule: str | None = None
    isolation: bool = False
    options: tuple[str, ...] = ()

    @property
    def database(self) -> str:
        """The name that the Makefiles give it; a few tests have it in their output."""
        if self.isolation:
            return "isolation_regression"
        return {"plpgsql": "pl_regression", "regress": "regression"}.get(self.name, "contrib_regression")


@dataclass(frozen=True)
class Outcome:
    """What a run of a suite left."""

    results: Path
    passed: frozenset[str]
    """Tests whose output is what PostgreSQL expects."""
    events: int
    """Rows in the log, 0 without capture."""


def suites(tree: Tree, programs: Path) -> Iterator[Suite]:
    """Every suite that an installed server can run."""
    yield Suite("regress", "src/test/regress", schedule="parallel_schedule")
    yield Suite("isolation", "src/test/isolation", schedule="isolation_schedule", isolation=True)
    yield _listed(tree, "plpgsql", "src/pl/plpgsql/src", "REGRESS")
    extensions = Path(_config(programs, "--sharedir")) / "extension"
    for makefile in sorted((tree.source / "contrib").glob("*/Makefile")):
        name, directory = makefile.parent.name, f"contrib/{makefile.parent.name}"
        is_installed = any(extensions.glob(f"{name}.control")) or name in MODULES
        if not is_installed or tree.variable(directory, "NO_INSTALLCHECK"):
            continue
        if tree.variable(directory, "REGRESS"):
            yield _listed(tree, f"contrib/{name}", directory, "REGRESS")
        if tree.variable(directory, "ISOLATION"):
            yield _listed(tree, f"contrib/{name} isolation", directory, "ISOLATION")


def _listed(tree: Tree, name: str, directory: str, variable: str) -> Suite:
    options = [word for word in tree.variable(directory, "REGRESS_OPTS") if word.startswith("--load-extension")]
    tests = tuple(tree.variable(directory, variable))
    return Suite(name, directory, tests, isolation=variable == "ISOLATION", options=tuple(options))


def run_suite(suite: Suite, tree: Tree, programs: Path, work: Path, settings: Settings | None) -> Outcome:
    """Run it on a server of its own, with capture when there are settings; its files stay in `work`."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for pattern in INPUTS:
        for path in (tree.source / suite.directory).glob(pattern):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, work / path.name)
    modules = work / "modules"
    modules.mkdir()
    for path in tree.modules.glob("*.so"):
        shutil.copy(path, modules)
    owner = _account()
    for path in (work, *work.rglob("*")):
        if owner:
            os.chown(path, owner.pw_uid, owner.pw_gid)
    with Server(programs, settings=SERVER) as server:
        url = server.create_database(suite.database)
        _prepare_database(url, suite.database)
        if settings is not None:
            build(url, settings)
        command = _command(suite, tree, programs, modules, url)
        answer = subprocess.run(
            command, cwd=work, env=_environment(tree), capture_output=True, text=True, check=False, **_identity(owner)
        )
        if answer.returncode not in (0, 1):
            raise PgEventsError(f"{suite.name} did not run: {(answer.stderr or answer.stdout).strip()[-500:]}")
        (work / "summary.out").write_text(answer.stdout + answer.stderr)
        events = 0 if settings is None else _count(url)
        (work / "server.log").write_text(server.log_text())
    passed = frozenset(_passed(answer.stdout))
    return Outcome(work / ("output_iso/results" if suite.isolation else "results"), passed, events)


def _command(suite: Suite, tree: Tree, programs: Path, modules: Path, url: str) -> Sequence[str]:
    host = parse_qs(urlsplit(url).query)
    program = tree.isolation if suite.isolation else tree.regress
    schedule = [f"--schedule={suite.schedule}"] if suite.schedule else list(suite.tests)
    return [
        str(program),
        f"--host={unquote(host['host'][0])}",
        f"--port={host['port'][0]}",
        *("--user=postgres", f"--dbname={suite.database}", "--use-existing"),
        *("--inputdir=.", f"--outputdir={'output_iso' if suite.isolation else '.'}"),
        f"--bindir={programs}",
        f"--dlpath={modules}",
        "--max-connections=1",  # one test at a time: what it prints depends on nothing but itself
        *suite.options,
        *schedule,
    ]


def _prepare_database(url: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in DATABASE:
            connection.execute(f"alter database {name} set {setting}".encode())


def _count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from pgevents.log").fetchone()
    assert row
    return row[0]


def _passed(summary: str) -> Iterator[str]:
    """Names in lines such as `test boolean ... ok 12 ms`, or since PostgreSQL 16 `ok 1 - boolean 12 ms`."""
    for line in summary.splitlines():
        if found := re.match(r"(?:test\s+|\s+)(\S+)\s+\.\.\. ok\b|ok \d+\s+[-+] (\S+)", line):
            yield found[1] or found[2]


def _environment(tree: Tree) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LD_LIBRARY_PATH": str(tree.libpq)}


def _config(programs: Path, option: str) -> str:
    answer = subprocess.run([programs / "pg_config", option], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def _account() -> pwd.struct_passwd | None:
    """Who runs server and suites when we are root: the user whom `Server` takes."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
