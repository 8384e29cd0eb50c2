"""A PgBouncer of a test's own. `PG_EVENTS_TEST_PGBOUNCER` names the program; `tests/install_pgbouncer.py` fetches it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.waiting import PATIENCE_SECONDS, until


def installed() -> Path:
    """The program; without one the test is skipped."""
    named = os.environ.get("PG_EVENTS_TEST_PGBOUNCER") or shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(named).exists():
        pytest.skip("no PgBouncer here: PG_EVENTS_TEST_PGBOUNCER=$(python tests/install_pgbouncer.py)")
    return Path(named)


@contextmanager
def bouncing(program: Path, url: str, mode: str, pool_size: int) -> Iterator[str]:
    """URL of the same database through a PgBouncer of its own."""
    parts = conninfo_to_dict(url)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pgb", dir="/tmp") as folder:
        configuration = Path(folder, "pgbouncer.ini")
        configuration.write_text(
            "[databases]\n"
            f"* = host={parts['host']} port={parts['port']} user={parts.get('user', 'postgres')}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {mode}\ndefault_pool_size = {pool_size}\nmax_client_conn = 100\n"
        )
        Path(folder).chmod(0o755)
        options: dict[str, Any] = {}
        if os.geteuid() == 0:  # which PgBouncer refuses
            nobody = pwd.getpwnam("nobody")
            options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        libraries = os.pathsep.join(map(str, (program.parents[1] / "lib").glob("*-linux-gnu")))
        with Path(folder, "log").open("w") as log:
            pooler = subprocess.Popen(
                [program, "-q", configuration],
                env={**os.environ, "LD_LIBRARY_PATH": libraries},
                stdout=log,
                stderr=log,
                cwd="/",
                **options,
            )
        try:
            through = f"postgresql://{parts.get('user', 'postgres')}@127.0.0.1:{port}/{parts['dbname']}"
            until(lambda: pooler.poll() is not None or answers(port))
            assert pooler.poll() is None, Path(folder, "log").read_text()
            yield through
        finally:
            pooler.terminate()
            pooler.wait(PATIENCE_SECONDS)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
