"""The real Elasticsearch with what setup needs of ILM put in front of it: the sandbox has no ILM module.

Policies and lifecycle components are kept here, everything else is passed on. What ILM itself makes of a policy
is tested with its own classes, see policy_parser.py.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web
from yarl import URL

__all__ = ["IlmServer", "ilm_server"]

_HEADERS = {"x-elastic-product": "Elasticsearch"}
_ACTION_DEFAULTS: dict[str, dict[str, Any]] = {
    "allocate": {"include": {}, "exclude": {}, "require": {}},
    "delete": {"delete_searchable_snapshot": True},
}


class IlmServer:
    """Where it listens, what it keeps, and each change that was asked of it."""

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.url = ""
        self.policies: dict[str, Any] = {}
        self.components: dict[str, Any] = {}
        self.writes: list[str] = []
        self.refused = ""
        """A path whose PUT is refused."""

    async def answer(self, request: web.Request) -> web.Response:
        if request.method in {"PUT", "DELETE"}:
            self.writes.append(f"{request.method} {request.path}")
        if request.method == "PUT" and request.path == self.refused:
            return _answer(400, {"error": {"type": "illegal_argument_exception", "reason": "not today"}})
        body = await request.json() if request.can_read_body else None
        match request.path.strip("/").split("/"):
            case ["_ilm", "policy", name]:
                return self._policy(request.method, name, body)
            case ["_component_template", name] if name.endswith("@lifecycle"):
                return self._component(request.method, name, body)
        return await self._pass_on(request, body)

    def _policy(self, method: str, name: str, body: Any) -> web.Response:
        if method == "PUT":
            for phase in body["policy"]["phases"].values():
                for action, values in phase["actions"].items():
                    phase["actions"][action] = {**_ACTION_DEFAULTS.get(action, {}), **values}
            self.policies[name] = {"version": 1, "in_use_by": {}, **body}
            return _answer(200, {"acknowledged": True})
        if name not in self.policies:
            return _answer(404, {"error": {"type": "resource_not_found_exception"}})
        if method == "DELETE":
            del self.policies[name]
            return _answer(200, {"acknowledged": True})
        return _answer(200, {name: self.policies[name]})

    def _component(self, method: str, name: str, body: Any) -> web.Response:
        if method == "PUT":
            self.components[name] = body
            return _answer(200, {"acknowledged": True})
        if name not in self.components:
            return _answer(404, {"error": {"type": "resource_not_found_exception"}})
        if method == "DELETE":
            del self.components[name]
            return _answer(200, {"acknowledged": True})
        entry = {"name": name, "component_template": self.components[name]}
        return _answer(200, {"component_templates": [entry]})

    async def _pass_on(self, request: web.Request, body: Any) -> web.Response:
        """Pass a request on; the server behind must not see that a template is composed of what is kept here."""
        if request.method == "PUT" and body and body.get("composed_of"):
            optional = body.setdefault("ignore_missing_component_templates", [])
            optional += [name for name in body["composed_of"] if name in self.components]
        if request.path.endswith("/_simulate"):
            settings = body["template"].get("settings", {})
            body["template"]["settings"] = {
                name: value for name, value in settings.items() if not name.startswith("index.lifecycle.")
            }
        url = URL(self.behind + request.raw_path, encoded=True)
        async with ClientSession() as session, session.request(request.method, url, json=body) as response:
            answer = await response.json() if request.method != "HEAD" else None
            for entry in (answer or {}).get("index_templates", ()):
                optional = entry["index_template"].get("ignore_missing_component_templates", [])
                optional[:] = [name for name in optional if name not in self.components]
            return _answer(response.status, answer)


@asynccontextmanager
async def ilm_server(behind: str) -> AsyncIterator[IlmServer]:
    server = IlmServer(behind)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def _answer(status: int, body: Any) -> web.Response:
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=_HEADERS
    )
