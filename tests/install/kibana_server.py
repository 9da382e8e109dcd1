"""As much of Kibana as setup talks to; the real one is not to be had where these tests run."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, NamedTuple

from aiohttp import BodyPartReader, web

__all__ = ["FakeKibana", "fake_kibana"]


class Key(NamedTuple):
    space: str
    type: str
    id: str


class FakeKibana:
    """Keeps what is imported, and refuses what Kibana refuses."""

    def __init__(self, authorization: str | None, status: int | None, body: Any, refused: str | None) -> None:
        self.url = ""
        self.spaces = {"default", "operations"}
        self.objects: dict[Key, dict[str, Any]] = {}
        self.requests: list[str] = []
        self._authorization = authorization
        self._answer = None if status is None else (status, body)
        self._refused = refused

    def application(self) -> web.Application:
        application = web.Application()
        for space in ("", "/s/{space}"):
            application.router.add_get(f"{space}/api/status", self._status)
            application.router.add_post(f"{space}/api/saved_objects/_import", self._import)
        application.router.add_get("/api/spaces/space/{id}", self._space)
        application.router.add_get("/behind-a-login/api/status", self._redirect)
        return application

    def _check(self, request: web.Request) -> web.Response | None:
        self.requests.append(f"{request.method} {request.path_qs}")
        if self._answer is not None:
            status, body = self._answer
            return (
                web.Response(text=body, status=status)
                if isinstance(body, str)
                else web.json_response(body, status=status)
            )
        if self._authorization not in {None, request.headers.get("Authorization")}:
            return _error(401, "[security_exception]: unable to authenticate")
        return None

    async def _status(self, request: web.Request) -> web.Response:
        return self._check(request) or web.json_response(
            {"version": {"number": "9.1.5"}, "status": {"overall": {"level": "available"}}}
        )

    async def _redirect(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("https://login.example.com/")

    async def _space(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        return self._check(request) or (
            web.json_response({"id": name, "name": name}) if name in self.spaces else _error(404, "Not Found")
        )

    async def _import(self, request: web.Request) -> web.Response:
        if wrong := self._check(request):
            return wrong
        if "kbn-xsrf" not in request.headers:
            return _error(400, "Request must contain a kbn-xsrf header.")
        if request.query.get("overwrite") != "true":
            return _error(400, "this server holds such objects already")
        part = await (await request.multipart()).next()
        assert isinstance(part, BodyPartReader)
        if part.name != "file" or not (part.filename or "").endswith(".ndjson"):
            return _error(400, "Invalid file extension")
        space = request.match_info.get("space", "default")
        sent = [json.loads(line) for line in (await part.text(encoding="utf-8")).splitlines()]
        known = {(key.type, key.id) for key in self.objects if key.space == space}
        known |= {(one["type"], one["id"]) for one in sent}
        errors = []
        for one in sent:
            error = self._error_of(one, known)
            if error is None:
                self.objects[Key(space, one["type"], one["id"])] = one
            else:
                errors.append({"type": one["type"], "id": one["id"], "error": error})
        answer: dict[str, Any] = {"success": not errors, "successCount": len(sent) - len(errors)}
        return web.json_response(answer | ({"errors": errors} if errors else {}))

    def _error_of(self, one: Mapping[str, Any], known: set[tuple[str, str]]) -> dict[str, Any] | None:
        missing = [each for each in one["references"] if (each["type"], each["id"]) not in known]
        if missing:
            return {"type": "missing_references", "references": missing}
        if one["type"] == self._refused:
            return {"type": "unknown", "message": "belongs to a more recent version", "statusCode": 422}
        return None


@asynccontextmanager
async def fake_kibana(
    *,
    authorization: str | None = None,
    status: int | None = None,
    body: Any = None,
    refused: str | None = None,
    ssl: SSLContext | None = None,
) -> AsyncIterator[FakeKibana]:
    """Serve on loopback.

    authorization -- the header that is accepted
    status, body -- answer everything like this
    refused -- the type of objects that are not taken
    ssl -- serve https
    """
    server = FakeKibana(authorization, status, body, refused)
    runner = web.AppRunner(server.application(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl).start()
        server.url = f"{'https' if ssl else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "error": "x", "message": message}, status=status)
