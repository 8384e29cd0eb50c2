"""The documentation is true: its commands, settings, fields, examples and links are those of the code."""

import asyncio
import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from prometheus_client import CollectorRegistry

import pg_events
from pg_events import __version__
from pg_events.callbacks.callback import resolve
from pg_events.cli import cli
from pg_events.cli.log import FIELDS
from pg_events.config.fields import CONSTANTS, Address
from pg_events.config.settings import Settings
from pg_events.delivery.metrics import Sample, Sampler, Stopwatch, WorkerMetrics
from pg_events.delivery.metrics_server import serving
from pg_events.delivery.worker import Worker
from pg_events.filter import parser as filters
from pg_events_tui.widgets.keys import EVERYWHERE as EVERY_SCREEN
from pg_events_tui.widgets.keys import KEYS, Key

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted(f"pg_events/docs/{path.name}" for path in (ROOT / "pg_events/docs").glob("*.md")))
DOCUMENTS = ("README.md", "CHANGELOG.md", ".github/CONTRIBUTING.md", "tests/faults/README.md", *PAGES)
PICTURES = sorted((ROOT / "screenshots").glob("*.svg"))

EVERYWHERE = {"--settings", "--database-url", "--help"}
"""Options that the page of commands explains once, below the table."""
IN_THE_HELP_ONLY = {
    "failed": {"--name", "--json"},
}
OTHER_VARIABLES = {
    "PG_EVENTS_SETTINGS",
    "PG_EVENTS_TEST_DSN",
    "PG_EVENTS_TEST_MAJOR",
    "PG_EVENTS_TEST_BINARIES",
    "PG_EVENTS_TEST_PGBOUNCER",
    "PG_EVENTS_TEST_FAKETIME",
}


def text_of(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


def page(topic: str) -> str:
    return text_of(f"pg_events/docs/{topic}.md")


def blocks(language: str, text: str) -> list[str]:
    """The code of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def table(heading: str, text: str) -> list[tuple[str, ...]]:
    """The rows of the table whose first column has that heading; `\\|` is a letter of a cell."""
    lines = text.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows: list[tuple[str, ...]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
    return rows


def commands() -> dict[str, click.Command]:
    """`build`, …, `failed list`, … as they are."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": one for inner, one in command.commands.items()}
        else:
            found[name] = command
    return found


def options(command: click.Command) -> dict[str, click.Option]:
    found = (
        one for one in command.get_params(click.Context(command)) if isinstance(one, click.Option) and not one.hidden
    )
    return {name: one for one in found for name in one.opts}


def documented_commands() -> dict[str, set[str]]:
    """Command -> its options, as the table of commands has them."""
    found: dict[str, set[str]] = {}
    for cell, *_ in table("command", page("commands")):
        for usage in re.findall(r"`([^`]+)`", cell):
            words = re.match(r"[a-z]+(?: [a-z]+)*", usage)
            assert words is not None, usage
            found[words[0]] = set(re.findall(r"--[a-z-]+", usage))
    return found


def test_every_command_is_documented_and_no_other() -> None:
    assert documented_commands().keys() == commands().keys()


@pytest.mark.parametrize(("name", "command"), commands().items())
def test_the_options_of_a_command_exist(name: str, command: click.Command) -> None:
    assert documented_commands()[name] <= options(command).keys()


@pytest.mark.parametrize(("name", "command"), commands().items())
def test_no_option_is_left_out(name: str, command: click.Command) -> None:
    own = {option for option in options(command) if option.startswith("--")} - EVERYWHERE

    assert own - documented_commands()[name] <= IN_THE_HELP_ONLY.get(name.split(" ")[0], set())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_command_that_is_written_out_can_be_called(document: str) -> None:
    known = {name.split(" ")[0] for name in commands()}
    for arguments in re.findall(r"(?:^|&& |`)pg_events +([a-z][^`\n#&]*)", text_of(document), re.MULTILINE):
        words = shlex.split(arguments)
        assert words[0] in known, arguments
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        unknown = {word for word in words if word.startswith("--")} - options(command).keys()
        assert not unknown, arguments


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {error.exit_code for error in every_subclass(pg_events.PgEventsError)} | {0, 1}

    sentence = re.search(r"Exit codes: (.*?)\. ", page("commands"), re.DOTALL)

    assert sentence is not None
    assert {int(code) for code in re.findall(r"(?:^|· )(\d)\b", " ".join(sentence[1].split()))} == codes


def every_subclass(kind: Any) -> set[Any]:
    return {kind}.union(*(every_subclass(one) for one in kind.__subclasses__()))


def test_every_setting_is_documented_and_no_other() -> None:
    general = [constant for constant, (field, _) in CONSTANTS.items() if "." not in field]

    assert [row[0].strip("`") for row in table("setting", page("settings"))] == general


def test_the_settings_of_one_callback_are_those_of_the_sentence_about_them() -> None:
    own = [constant for constant, (field, _) in CONSTANTS.items() if "." in field]
    sentence = page("settings").partition("For one callback alone")[2].split("\n\n")[0]

    assert own
    for constant in own:
        kind, _, end = constant.partition("_UPDATE_")
        assert f"`{kind.removeprefix('PG_EVENTS_')}_UPDATE_`" in sentence
        assert f"`PG_EVENTS_{end}`" in sentence


@pytest.mark.parametrize(("constant", "meaning", "shown"), table("setting", page("settings")))
def test_the_default_is_the_real_one(constant: str, meaning: str, shown: str) -> None:
    default = getattr(Settings(), CONSTANTS[constant.strip("`")][0])
    nothing = {
        "PG_EVENTS_INCLUDE": "all tables",
        "PG_EVENTS_INCLUDE_COLUMNS": "all columns",
        "PG_EVENTS_WHEN": "every change",
        "PG_EVENTS_SKIP_UNCHANGED": "False",
        "PG_EVENTS_RETRY_ON": "all",
    }
    if default is None:
        expected = ""
    elif default in ((), {}):
        expected = nothing.get(constant.strip("`"), "none")
    else:
        expected = str(default)

    assert shown.strip("`") == expected


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_variable_that_is_named_exists(document: str) -> None:
    named = set(re.findall(r"(?<![_A-Z])PG_EVENTS_[A-Z_]+[A-Z]", text_of(document)))

    assert named <= CONSTANTS.keys() | OTHER_VARIABLES


def test_the_fields_of_the_filter_are_the_real_ones() -> None:
    rows = [(name.strip("`"), meaning, example.strip("`")) for name, meaning, example in table("field", page("filter"))]

    assert rows == [(field.name, field.meaning, field.example) for field in filters.FIELDS]


def test_the_filter_that_stands_above_the_fields_can_be_read() -> None:
    example = re.search(r"^    (table:.*)$", page("filter"), re.MULTILINE)

    assert example is not None
    filters.parse(example[1])


def test_the_keys_of_the_console_are_the_real_ones() -> None:
    """`PG_EVENTS_UPDATE_SNAPSHOTS=1` rewrites the table."""
    expected = [key_row(key) for key in KEYS if key.keys]

    if os.environ.get("PG_EVENTS_UPDATE_SNAPSHOTS"):
        head = "| key | does | where |\n|---|---|---|\n"
        before, _, after = page("console").partition(head)
        rest = re.sub(r"\A(\|.*\n)*", "", after)
        lines = "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |\n" for row in expected)
        (ROOT / "pg_events/docs/console.md").write_text(before + head + lines + rest, "utf-8")
    else:
        assert table("key", page("console")) == expected


def key_row(key: Key) -> tuple[str, str, str]:
    if key.widget:
        where = "lists"
    else:
        where = "all" if key.screens == EVERY_SCREEN else ", ".join(screen.capitalize() for screen in key.screens)
    return " ".join(f"`{one}`" for one in key.shown.split(" ")), key.help, where


def test_every_screen_of_the_console_is_described() -> None:
    modes = [key for key in KEYS if key.id.startswith("screen.") and key.keys]

    assert [row[0] for row in table("screen", page("console"))] == [f"`{key.keys}` {key.label}" for key in modes]


def test_every_picture_is_shown() -> None:
    documents = "".join(map(text_of, DOCUMENTS))

    assert [path.name for path in PICTURES if f"screenshots/{path.name})" not in documents] == []


def payloads() -> list[str]:
    return [line for block in blocks("json", page("callbacks")) for line in block.splitlines() if line]


def test_the_payloads_are_events_whose_every_key_is_known() -> None:
    kinds = [type(pg_events.parse(payload)) for payload in payloads()]

    assert kinds == [pg_events.DataEvent, pg_events.SchemaEvent, pg_events.ApplicationEvent]
    for kind, payload in zip(kinds, payloads(), strict=True):
        assert json.loads(payload).keys() <= {field.name for field in fields(kind)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_examples_compile(document: str) -> None:
    for code in blocks("python", text_of(document)):
        compile(code, document, "exec")


def test_the_callbacks_work_on_the_payloads_beside_them(capsys: pytest.CaptureFixture[str]) -> None:
    handlers: dict[str, Any] = {}
    exec(next(code for code in blocks("python", text_of("README.md")) if "def data_changed" in code), handlers)
    data, schema, _ = payloads()

    handlers["data_changed"](data)
    asyncio.run(handlers["schema_changed"](schema))

    assert capsys.readouterr().out == "orders.status: new → paid by app\nDDL: ALTER TABLE\n"


def test_the_router_works_on_the_payloads_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    module: dict[str, Any] = {"__name__": "reactions"}
    exec(next(code for code in blocks("python", page("callbacks")) if "pg_events.Router()" in code), module)
    callback = resolve(module["events"], "PG_EVENTS_DATA_UPDATE_CALLBACK")
    data, schema, _ = payloads()

    callback(data.replace("1.50", "1500"))
    callback(schema)
    callback.close()

    archived = f"archived: {len(data)} characters\n"
    assert capsys.readouterr().out == f"large order: 1\n{archived}ALTER TABLE public.orders at attempt 1\n"


def unit() -> tuple[str, str]:
    """The name and the text of the systemd unit."""
    (text,) = blocks("ini", page("operations"))
    name = re.match(r"# /etc/systemd/system/(\S+)\n", text)
    assert name is not None
    return name[1], text


def check_worker(words: list[str]) -> None:
    """What a supervisor starts is a worker, and its options exist."""
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    assert command.make_context(words[0], words[1:], resilient_parsing=True).info_name == "worker"
    assert {word for word in words if word.startswith("--")} <= options(command).keys()


def test_the_unit_starts_a_worker() -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit()[1])
    program, *words = shlex.split(parser["Service"]["ExecStart"])

    assert program.endswith("/bin/pg_events")
    check_worker(words)


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    name, text = unit()
    instance = tmp_path / name.replace("@", "@9187")
    instance.write_text(re.sub(r"(?<=^ExecStart=)\S+", sys.executable, text, flags=re.MULTILINE))

    answer = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", instance],
        capture_output=True,
        text=True,
        env={"SYSTEMD_LOG_LEVEL": "info"},
    )

    assert [line for line in answer.stderr.splitlines() if name.partition("@")[0] in line] == []


def containerfile() -> dict[str, str]:
    """Instruction -> what follows it, the last of each."""
    (text,) = blocks("dockerfile", page("operations"))
    return dict(line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_nothing_is_installed_by_a_name_that_is_another_programs_elsewhere() -> None:
    lines = re.findall(r"pip install ([^`&\n]*)", "".join(map(text_of, DOCUMENTS)))
    installed = [word for line in lines for word in re.findall(r"""[^\s"']+""", line)]

    assert ".[demo]" in installed
    assert not [word for word in installed if re.match(r"pg[-_.]events\b", word)]


def test_the_container_has_the_wheel_of_its_first_stage() -> None:
    """What the two `RUN` do is what `.ci/run` does with the wheel."""
    (text,) = blocks("dockerfile", page("operations"))
    built, final = text.split("\nFROM ")[1:]

    assert "\nRUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /src\n" in built
    assert "\nCOPY --from=build /wheels/ /wheels/\n" in final
    assert '\nRUN pip install --no-cache-dir "$(echo /wheels/*.whl)[metrics]"\n' in final


def test_the_version_is_above_that_of_the_other_program() -> None:
    assert [int(number) for number in re.findall(r"\d+", __version__)] > [0, 1, 6]


def test_the_container_starts_a_worker_with_the_port_it_exposes() -> None:
    found = containerfile()
    words = json.loads(found["CMD"])

    assert json.loads(found["ENTRYPOINT"]) == ["pg_events"]
    assert words[words.index("--metrics") + 1].endswith(f":{found['EXPOSE']}")
    check_worker(words)
    assert found["USER"] not in ("0", "root")


@pytest.mark.parametrize(("trouble", "is_well"), [(None, True), ("stalled", False)])
def test_the_containers_health_check_asks_the_worker(trouble: str | None, is_well: bool) -> None:
    found = containerfile()
    _python, *words = json.loads(found["HEALTHCHECK"].partition(" CMD ")[2])

    with serving(Address("127.0.0.1", 0), CollectorRegistry(), lambda: trouble) as address:
        words = [word.replace(f":{found['EXPOSE']}/", f":{address.port}/") for word in words]
        answer = subprocess.run([sys.executable, *words], capture_output=True)

    assert (answer.returncode == 0) is is_well


def real_metrics() -> set[str]:
    """What a worker's metrics are called, as queries call them."""
    worker = Worker(Settings("dbname=none", print))
    sampler = Sampler("dbname=none", worker.name)
    sampler.latest = Sample(0, 0.0, 0, 0, 0, 0)
    ends = {"counter": "_total", "info": "_info"}
    return {metric.name + ends.get(metric.type, "") for metric in WorkerMetrics(worker, Stopwatch(), sampler).collect()}


def test_every_metric_is_documented_and_no_other() -> None:
    named = [
        name for names, _ in table("metric", page("operations")) for name in re.findall(r"`(pg_events_\w+)`", names)
    ]

    assert len(named) == len(set(named))
    assert set(named) == real_metrics()


def test_prometheus_is_told_of_metrics_that_exist() -> None:
    yaml = pytest.importorskip("yaml")
    scraped, rules = (yaml.safe_load(code) for code in blocks("yaml", page("operations")))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]

    assert scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert len(alerts) == 3
    assert {name for alert in alerts for name in re.findall(r"pg_events_\w+", alert["expr"])} <= real_metrics()
    jobs = {job for alert in alerts for job in re.findall(r'job="(\w+)"', alert["expr"])}
    assert jobs == {scraped["scrape_configs"][0]["job_name"]}


def test_every_field_of_a_log_line_is_documented() -> None:
    sentence = page("operations").partition("\n## Logs\n")[2].partition("\n## ")[0]

    assert {f"`{name}`" for name in FIELDS[: FIELDS.index("delivered")]} <= set(re.findall(r"`\w+`", sentence))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_links_to_is_there(document: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(document))
    relative = [target for target in targets if "://" not in target]

    assert [target for target in relative if not (ROOT / document).parent.joinpath(target).exists()] == []


def anchors(document: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text_of(document), flags=re.S | re.M), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_heading_that_a_document_links_to_is_there(document: str) -> None:
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text_of(document))
    targets = [(document if not file else str(Path(document).parent / file), anchor) for file, anchor in links]

    assert [target for target in targets if target[1] not in anchors(target[0])] == []


@pytest.mark.parametrize("document", PAGES)
def test_a_page_begins_with_its_title_and_one_sentence(document: str) -> None:
    lines = text_of(document).split("\n")

    assert re.fullmatch(r"# [A-Z][\w ]+", lines[0])
    assert lines[1] == lines[3] == ""
    assert re.fullmatch(r"[A-Z][^.]*(?:\.\w[^.]*)*\.", lines[2])


def test_the_readme_is_short_and_links_to_every_page() -> None:
    readme = text_of("README.md")

    assert len(readme.splitlines()) <= 250
    assert {row[0] for row in table("page", readme)} == {f"[{title(page)}]({page})" for page in PAGES}


def title(document: str) -> str:
    return text_of(document).partition("\n")[0].removeprefix("# ")


REFUSED = r"\b(anew|for ever|somebody|whosever|so many|is no valid|(was|were|is|are|be) told)\b"


@pytest.mark.parametrize("document", ["README.md", *PAGES])
def test_no_document_has_a_phrase_that_nobody_writes(document: str) -> None:
    assert re.findall(f".*{REFUSED}.*", text_of(document)) == []


def test_every_key_of_a_payload_is_documented_and_no_other() -> None:
    text = page("internals")
    named = {
        kind: {key for keys, _ in table(f"{kind} key", text) for key in re.findall(r"`(\w+)`", keys)}
        for kind in ("common", "data", "schema", "application")
    }

    assert named["common"] | named["data"] == {field.name for field in fields(pg_events.DataEvent)}
    assert named["common"] | named["application"] == {field.name for field in fields(pg_events.ApplicationEvent)}
    assert named["common"] | named["schema"] == {field.name for field in fields(pg_events.SchemaEvent)}


def test_every_table_of_the_log_is_documented_and_no_other() -> None:
    migrations = "".join(path.read_text("utf-8") for path in (ROOT / "pg_events/sql/migrations").glob("*.sql"))

    assert {row[0].strip("`") for row in table("table", page("internals"))} == set(
        re.findall(r"^create table pgevents\.(\w+)", migrations, re.MULTILINE)
    )


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_whole_and_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8")

    ElementTree.fromstring(text)
    assert "@font-face" not in text
    assert "url(http" not in text


def test_the_changelog_has_a_place_for_what_comes() -> None:
    changelog = text_of("CHANGELOG.md")

    assert changelog.startswith("# Changelog\n")
    assert "\n## [Unreleased]\n" in changelog
