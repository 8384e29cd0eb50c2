"""OpenTelemetry: spans of callbacks by its own SDK, linked to the trace of the writer."""

import json

import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import pg_events
from pg_events import Discard, RetryAfter
from pg_events.config.settings import Settings
from pg_events.contrib.opentelemetry import traceparent
from pg_events.contrib.psycopg import attach
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Report, Worker

EXPORTER = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """Of this process: OpenTelemetry takes no other later."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(provider)


@pytest.fixture(autouse=True)
def no_spans() -> None:
    EXPORTER.clear()


def run(url: str, callback: object, **settings: object) -> Report:
    middleware = ("pg_events.contrib.opentelemetry.spans",)
    together = {"retry_seconds": 0.01, "max_attempts": 1, "middleware": middleware} | settings
    return Worker(Settings(url, data_update_callback=callback, **together), start=OLDEST).run(once=True)  # pyright: ignore[reportArgumentType]


def of_callbacks() -> list[ReadableSpan]:
    return [span for span in EXPORTER.get_finished_spans() if span.kind is SpanKind.CONSUMER]


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def succeed_later(_payload: str) -> None:
    pass


def succeed(_payload: str) -> None:
    pass


@pytest.mark.parametrize(
    ("callback", "more"), [(succeed, {}), (succeed_later, {}), (succeed_later, {"concurrency": 3})]
)
def test_a_span_has_what_the_conventions_ask_for_and_a_link_to_the_writer(
    db: psycopg.Connection, url: str, callback: object, more: dict[str, object]
) -> None:
    with psycopg.connect(url) as connection, trace.get_tracer("shop").start_as_current_span("request") as request:
        attach(connection)
        with pg_events.context(traceparent=traceparent):
            connection.execute("insert into note values (1)")

    run(url, callback, **more)

    (span,) = of_callbacks()
    (number,) = db.execute("select id from pgevents.log where table_name = 'note' and kind = 'I'").fetchone() or (0,)
    assert span.name == "process public.note"
    name = getattr(callback, "__name__", "")
    assert attributes(span) == {
        "messaging.system": "pg_events",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "public.note",
        "messaging.consumer.group.name": "default",
        "messaging.message.id": str(number),
        "pg_events.callback": f"{__name__}:{name}",
        "pg_events.attempt": 1,
    }
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [
        (request.get_span_context().trace_id, request.get_span_context().span_id)
    ]
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET


def test_the_comment_of_a_statement_links_too_and_what_is_not_valid_does_not(db: psycopg.Connection, url: str) -> None:
    db.execute("insert into note values (1) /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/")
    db.execute("insert into note values (2) /*traceparent='nonsense'*/")
    db.execute("select set_config('pgevents.context', '{\"traceparent\": 7}', false)")
    db.execute("insert into note values (3)")

    run(url, succeed)

    links = [[f"{link.context.trace_id:032x}" for link in span.links] for span in of_callbacks()]
    assert links == [["0af7651916cd43dd8448eb211c80319c"], [], []]


def test_failures_are_errors_and_outcomes_are_not(db: psycopg.Connection, url: str) -> None:
    waited: list[int] = []

    def act(payload: str) -> None:
        number = json.loads(payload)["new_data"]["id"]
        if number == 1:
            raise ValueError("no")
        if number == 2:
            raise Discard("not mine")
        if number == 3 and not waited:
            waited.append(number)
            raise RetryAfter(0)

    db.execute("insert into note select generate_series(1, 3)")

    run(url, act)

    spans = of_callbacks()
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR, *[StatusCode.UNSET] * 3]
    assert attributes(spans[0])["error.type"] == "ValueError"
    assert [event.name for event in spans[0].events] == ["exception"]
    assert [attributes(span).get("pg_events.outcome") for span in spans] == [None, "discard", "retry_after", None]


def test_an_event_that_cannot_be_parsed_reaches_its_callback_without_a_span(db: psycopg.Connection, url: str) -> None:
    db.execute("alter table note add column deep json")
    db.execute("insert into note values (1, null, %s)", ["[" * 5_000 + "]" * 5_000])
    got: list[str] = []

    report = run(url, got.append)

    assert (report.delivered, report.failed) == (1, 0)
    assert of_callbacks() == []


def test_a_batch_is_one_span_with_the_links_of_its_events(db: psycopg.Connection, url: str) -> None:
    ids = [f"{number:032x}" for number in (1, 2)]
    for number, each in enumerate([*ids, ids[0]]):
        db.execute(f"insert into note values ({number}) /*traceparent='00-{each}-b7ad6b7169203331-01'*/".encode())

    def many(payloads: list[str]) -> None:
        assert len(payloads) == 3

    run(url, many)

    (span,) = of_callbacks()
    assert attributes(span)["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in attributes(span)
    assert [f"{link.context.trace_id:032x}" for link in span.links] == ids


def test_what_a_callback_writes_links_to_its_span(db: psycopg.Connection, url: str) -> None:
    db.execute("create table copy (id integer)")
    db.execute("insert into note values (1)")

    def write(payload: str, connection: psycopg.Connection) -> None:
        if json.loads(payload)["table_name"] == "note":
            attach(connection)
            connection.execute("insert into copy values (1)")

    run(url, write, transactional=True)
    run(url, succeed)

    first, second = (
        [span for span in of_callbacks() if span.name != "process public.copy"],
        [span for span in of_callbacks() if span.name == "process public.copy"],
    )
    assert [link.context.span_id for link in second[0].links] == [first[0].context.span_id]
