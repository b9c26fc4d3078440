"""W3C trace headers, as a shard takes them from the headers of any record."""

from __future__ import annotations

from tests.fuzz.shared import END, Target, records_of
from transforms.trace import MAX_STATE, Trace, trace_of


def headers(data: bytes) -> None:
    """Any headers: a context that is well formed, which is taken again as it is, or none."""
    found = [_header(part) for part in records_of(data)]
    trace = trace_of(found)
    assert trace_of([*found, ("other", data)]) == trace
    if trace is not None:
        assert [name for name, _ in trace] == ["traceparent", "tracestate"][: len(trace)]
        assert all(value.isascii() and value.decode().isprintable() for _, value in trace)
        assert len(trace[-1][1]) <= MAX_STATE
        assert trace_of(trace) == trace


def _header(part: bytes) -> tuple[str, bytes | None]:
    """`name=value`; without a value where the sign is missing."""
    name, sign, value = part.partition(b"=")
    return name.decode("utf-8", "replace"), value if sign else None


def _seeds() -> list[bytes]:
    parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    traces: list[Trace] = [
        (("traceparent", parent),),
        (("traceparent", parent), ("tracestate", b"rojo=1"), ("tracestate", b"congo=t61rcWkgMzE")),
        (("traceparent", b"cc" + parent[2:] + b"-later"), ("baggage", b"a=1")),
        (("traceparent", parent), ("traceparent", parent)),
    ]
    return [END.join(name.encode() + b"=" + value for name, value in trace) for trace in traces]


TARGETS = {"trace-headers": Target("trace headers of records", headers, _seeds)}
