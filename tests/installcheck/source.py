"""PostgreSQL's source: Debian's package or a given tree, and the few programs of it that its suites need."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pg_events.errors import UsageError

BUILT = ("src/port", "src/common", "src/interfaces/libpq", "src/test/regress", "src/test/isolation")
"""Directories to run make in, in this order; the server itself is not compiled."""

APT_CONF = """\
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{directory}/sources";
Dir::State::Lists "{directory}/lists";
Dir::Cache "{directory}/cache";
APT::Sandbox::User "{user}";
"""


@dataclass(frozen=True)
class Tree:
    """A source tree and the directory in which its test programs were compiled."""

    source: Path
    objects: Path

    @property
    def regress(self) -> Path:
        return self.objects / "src/test/regress/pg_regress"

    @property
    def isolation(self) -> Path:
        return self.objects / "src/test/isolation/pg_isolation_regress"

    @property
    def libpq(self) -> Path:
        """Directory of the libpq that `isolationtester` was linked with."""
        return self.objects / "src/interfaces/libpq"

    @property
    def modules(self) -> Path:
        """Directory of `regress.so`."""
        return self.objects / "src/test/regress"

    def variable(self, directory: str, name: str) -> list[str]:
        """Words of a variable of the Makefile in that directory, such as REGRESS."""
        answer = run("make", "-s", f"--eval=show:;@echo $({name})", "show", within=self.objects / directory)
        return answer.split()


def prepare(source: Path, objects: Path, major: int) -> Tree:
    """Compile what the suites need; takes about a minute, and nothing when it was done before."""
    if not (source / "src/test/regress/parallel_schedule").exists():
        raise UsageError(f"{str(source)!r} is no source tree of PostgreSQL")
    tree = Tree(source.resolve(), objects)
    if tree.isolation.exists():
        return tree
    objects.mkdir(parents=True, exist_ok=True)
    options = ("--without-readline", "--without-zlib", *(("--without-icu",) if major >= 16 else ()))
    run(str(tree.source / "configure"), "-q", *options, "CFLAGS=-O1", within=objects)
    for directory in BUILT:
        run("make", "-s", "-C", directory, "all", within=objects)
    return tree


def debian_source(major: int, directory: Path) -> Path:
    """Fetch and unpack Debian's source package, with apt's own state in `directory`: nothing of the system changes."""
    target = directory / f"postgresql-{major}"
    if target.exists():
        return target
    for name in ("sources", "lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "sources/source.sources").write_text(_source_lines())
    configuration = directory / "apt.conf"
    user = "root" if os.geteuid() == 0 else ""
    configuration.write_text(APT_CONF.format(directory=directory, user=user))
    environment = {"APT_CONFIG": str(configuration)}
    run("apt-get", "-q", "update", within=directory, environment=environment)
    _fetch(f"postgresql-{major}", directory, environment)
    (description,) = directory.glob("*.dsc")
    run("dpkg-source", "-x", description.name, target.name, within=directory)
    return target


def _fetch(package: str, directory: Path, environment: dict[str, str]) -> None:
    """The newest version that the mirror has: a list can name one that is gone or yet to come."""
    listed = run("apt-cache", "showsrc", package, within=directory, environment=environment)
    versions = [line.split()[1] for line in listed.splitlines() if line.startswith("Version:")]
    failure = UsageError(f"no source package {package} to be had from Debian")
    for version in reversed(versions):
        try:
            run(
                "apt-get",
                "source",
                "--download-only",
                f"{package}={version}",
                within=directory,
                environment=environment,
            )
        except UsageError as error:
            failure = error
        else:
            return
    raise failure


def _source_lines() -> str:
    """The system's Debian sources, as `deb-src`."""
    stanzas: list[str] = []
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        stanzas += [stanza for stanza in path.read_text().split("\n\n") if "debian" in stanza and "URIs:" in stanza]
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))):
        lines = path.read_text().splitlines() if path.exists() else []
        stanzas += [_stanza(line) for line in lines if line.startswith("deb ") and "debian" in line]
    if not stanzas:
        raise UsageError("this system has no Debian sources: give a source tree with --source")
    return "\n\n".join(stanza.replace("Types: deb\n", "Types: deb-src\n") for stanza in stanzas) + "\n"


def _stanza(line: str) -> str:
    """`deb URI SUITE COMPONENT…` in the form of a .sources file."""
    words = [word for word in line.split()[1:] if not word.startswith("[")]
    return f"Types: deb\nURIs: {words[0]}\nSuites: {words[1]}\nComponents: {' '.join(words[2:])}"


def run(program: str, *arguments: str, within: Path, environment: dict[str, str] | None = None) -> str:
    """Its output. Raises `UsageError` with the last line it wrote when it fails."""
    if not shutil.which(program):
        raise UsageError(f"needs the program {program}")
    command: Sequence[str] = (program, *arguments)
    answer = subprocess.run(
        command, cwd=within, env=os.environ | (environment or {}), capture_output=True, text=True, check=False
    )
    if answer.returncode:
        lines = (answer.stderr.strip() or answer.stdout.strip() or f"exit code {answer.returncode}").splitlines()
        raise UsageError(f"{program}: {lines[-1]}")
    return answer.stdout
