"""TLS and authentication in front of the real Elasticsearch, whose security module is not published."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trustme
from aiohttp import ClientSession, web

__all__ = ["API_KEY", "PASSWORD", "USERNAME", "TlsProxy", "tls_proxy"]

API_KEY = "ap1k3y-S3CRET-VnVhQ2ZHY0JDZGJrUQ=="
USERNAME = "logpipe"
PASSWORD = "elast1c-S3CRET/?#"  # noqa: S105 - of this test
_ACCEPTED = {
    f"ApiKey {API_KEY}",
    "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode(),
}
# What belongs to one connection, and what aiohttp sets by itself.
_NOT_PASSED_ON = {"host", "connection", "transfer-encoding", "content-length"}


@dataclass(frozen=True, slots=True)
class TlsProxy:
    """Where it listens."""

    port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def settings(self, **changes: str) -> dict[str, str]:
        """Give the settings of group `elasticsearch`, but for who signed the certificate and who asks."""
        return {"hosts": self.url, **changes}


@contextmanager
def tls_proxy(upstream: str, authority: trustme.CA, *, name: str = "127.0.0.1") -> Iterator[TlsProxy]:
    """Serve in a thread of its own, with a certificate for `name`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    loop = asyncio.new_event_loop()
    started: asyncio.Future[int] = loop.create_future()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with ClientSession(auto_decompress=False) as session:
            application = web.Application(client_max_size=1 << 30)
            application.router.add_route("*", "/{path:.*}", _forward_to(upstream, session))
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
            started.set_result(runner.addresses[0][1])
            await stopping.wait()
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield TlsProxy(asyncio.run_coroutine_threadsafe(_result(started), loop).result(10))
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()


async def _result(future: "asyncio.Future[int]") -> int:
    return await future


def _forward_to(upstream: str, session: ClientSession) -> "web.Handler":  # type: ignore[name-defined]
    async def forward(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") not in _ACCEPTED:
            return web.json_response(
                {"error": {"type": "security_exception", "reason": "unable to authenticate"}, "status": 401},
                status=401,
                headers={"X-elastic-product": "Elasticsearch"},
            )
        headers = {name: value for name, value in request.headers.items() if _passes(name)}
        async with session.request(
            request.method,
            upstream + request.rel_url.raw_path_qs,
            headers=headers,
            data=await request.read(),
        ) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={name: value for name, value in answer.headers.items() if _passes(name)},
            )

    return forward


def _passes(name: str) -> bool:
    return name.lower() not in {*_NOT_PASSED_ON, "authorization"}
