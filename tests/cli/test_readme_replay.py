"""The README's section on replay, typed from top to bottom."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SECTION = re.search(r"^## Replay\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)[1]
COMMANDS = re.search(r"^```sh\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)[1].splitlines()
CODE = re.search(r"^```python\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)[1]


def test_every_command_and_the_example_work_in_order(url, execute, tmp_path) -> None:
    for name, code in re.findall(r"^```python\n# (my_module/\w+\.py)\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code.replace("postgresql://app@localhost/shop", url))
    execute(
        url,
        "create table orders (id integer primary key, status text, total numeric(10, 2))",
        "insert into orders values (1, 'new', 1.50), (2, 'new', 2)",
        "update orders set status = 'paid'",
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": "", "COLUMNS": "120"}
    programs = {"pg_events": [sys.executable, "-m", "pg_events"], "python": [sys.executable]}

    told = {}
    for line in COMMANDS:
        program, *arguments = shlex.split(line, comments=True)
        answer = subprocess.run([*programs[program], *arguments], capture_output=True, text=True, env=environment)
        assert answer.returncode == 0, (line, answer.stdout, answer.stderr)
        told[line] = answer.stdout + answer.stderr
    example = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)

    assert len(COMMANDS) >= 10
    assert "status: new → paid" in "".join(told.values())
    assert "4 passed" in next(text for line, text in told.items() if line.startswith("python"))
    assert "'status': ('new', 'paid')" in example.stdout
    assert example.stdout.splitlines()[-1] == "4 0 ()"
