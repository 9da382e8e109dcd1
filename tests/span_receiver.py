"""A collector of a test's own: takes spans by OTLP over HTTP, as the tests say."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Receiver", "attributes", "receiving"]


class Receiver:
    """What has been received; `status` is what it answers, and it does not answer at all while `hangs`."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.hangs = False
        self.requests = 0
        self.headers: Mapping[str, str] = {}
        self.resource: dict[str, Any] = {}
        self.spans: list[Span] = []

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.status == 200:
            self.headers = request.headers
            message = ExportTraceServiceRequest()
            message.ParseFromString(await request.read())
            for group in message.resource_spans:
                self.resource = attributes(group.resource.attributes)
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
        return web.Response(
            status=self.status,
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve on loopback while the context lasts."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/v1/traces", receiver.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()


def attributes(pairs: "Any") -> dict[str, Any]:
    """Give attributes by name, as Python has them."""

    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")

    return {pair.key: value(pair) for pair in pairs}
