"""OpenTelemetry: a span for each call of a callback, linked to the trace in which the change was written.

    PG_EVENTS_MIDDLEWARE = ["pg_events.contrib.opentelemetry.spans"]

The writer's trace is known if its transaction sends a context with `traceparent`, as `pg_events.context(traceparent=traceparent)`
does, or its statement ends with a sqlcommenter comment. Needs `opentelemetry-api`; without an SDK it does nothing.
"""

from collections.abc import Generator, Mapping
from itertools import islice
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from pg_events import __version__
from pg_events.callbacks.middleware import Call
from pg_events.contexts.current import context
from pg_events.errors import Discard, RetryAfter
from pg_events.event import ApplicationEvent, Event, SchemaEvent

_LINKS: Final = 128
"""Maximum links of a span; the default limit of OpenTelemetry."""
_KEY: Final = "traceparent"
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def traceparent() -> str | None:
    """W3C `traceparent` of the current span; None if there is none.

    As a value of a context it is called at the first write: `pg_events.context(traceparent=traceparent)`.
    """
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get(_KEY)


def spans(call: Call) -> Generator[None]:
    """Middleware that makes a CONSUMER span of each call, with the attributes of the messaging conventions.

    A failure is recorded as an exception, `RetryAfter` and `Discard` as the attribute `pg_events.outcome`. What the callback
    writes with a connection that sends its context has the span as its trace.
    """
    try:
        first, links = call.events[0], _links(call)
    except (ValueError, RecursionError):  # a value too deep for Python's JSON is no reason not to call
        yield
        return
    destination = _destination(first)
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "pg_events",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": destination,
        "pg_events.callback": call.callback,
        "pg_events.attempt": call.attempt,
    }
    if call.consumer is not None:
        attributes["messaging.consumer.group.name"] = call.consumer
    if call.is_batch:
        attributes["messaging.batch.message_count"] = len(call.events)
    else:
        attributes["messaging.message.id"] = str(first.id)
    tracer = trace.get_tracer("pg_events", __version__)
    with tracer.start_as_current_span(
        f"process {destination}",
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            with context(traceparent=traceparent):
                yield
        except RetryAfter:
            span.set_attribute("pg_events.outcome", "retry_after")
            raise
        except Discard:
            span.set_attribute("pg_events.outcome", "discard")
            raise
        except BaseException as error:  # whatever it is, it is recorded and raised again
            span.record_exception(error)
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise


def _destination(event: Event) -> str:
    """Table, name of an event of the application, or kind of a changed object: of few different values."""
    if isinstance(event, ApplicationEvent):
        return event.event
    if isinstance(event, SchemaEvent):
        return event.command_tag
    return f"{event.table_schema}.{event.table_name}"


def _links(call: Call) -> list[Link]:
    """Links to the traces in which the events were written, each once."""
    texts = dict.fromkeys(text for event in islice(call.events, _LINKS) if (text := _trace_of(event)) is not None)
    contexts = (trace.get_current_span(_PROPAGATOR.extract({_KEY: text})).get_span_context() for text in texts)
    return [Link(each) for each in contexts if each.is_valid]


def _trace_of(event: Event) -> str | None:
    """`traceparent` that the writer claims, in its context or in a comment of its statement."""
    claimed: object = event.context.get(_KEY) if isinstance(event.context, Mapping) else None
    claimed = claimed or event.comment.get(_KEY)
    return claimed if isinstance(claimed, str) else None
