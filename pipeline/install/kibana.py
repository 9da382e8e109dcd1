"""The data view and the dashboards in Kibana: read from the package, named after the prefix, imported."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, FormData

from pipeline.bulk.client import PASSING, credentials_hint, make_ssl_context
from pipeline.errors import LogpipeError, ServerRefused, ServerUnavailable, SettingsError
from pipeline.settings import Elasticsearch

__all__ = ["Kibana", "SavedObject", "load_saved_objects", "saved_objects_file"]

# What the file is written for: ids and patterns begin with the first, titles with the second, links to traces
# with the third.
_PREFIX = "claude-code-bot"
_PRODUCT = "Claude Code Bot"
_JAEGER = "http://localhost:16686"

_OK = 200
_UNAUTHENTICATED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
_MAX_REASON = 200


class SavedObject(NamedTuple):
    """One object, as a line of NDJSON."""

    kind: str
    id: str
    title: str
    line: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.title})"


def load_saved_objects(prefix: str, *, jaeger: str | None = None) -> list[SavedObject]:
    """Return what is imported, in the order of the file.

    prefix -- `index.prefix`: what the data view shows, and the beginning of every id
    jaeger -- where the pages of Jaeger are, for the links of trace ids
    """
    text = saved_objects_file().read_text("utf-8")
    if prefix != _PREFIX:
        # A string that begins so is an id, a pattern or a title, in the JSON inside the JSON as well.
        text = text.replace(f'"{_PREFIX}', f'"{prefix}').replace(f'"{_PRODUCT}:', f'"{prefix}:')
        text = text.replace(f",{_PREFIX}-", f",{prefix}-")  # the data view's further patterns
        text = text.replace(f"index:'{_PREFIX}'", f"index:'{prefix}'")  # a link to the data view
    if jaeger is not None:
        _check_url(jaeger, "--jaeger")
        text = text.replace(f"{_JAEGER}/", f"{jaeger.rstrip('/')}/")
    found = []
    for line in text.splitlines():
        one = json.loads(line)
        title = one["attributes"].get("name") or one["attributes"]["title"]
        found.append(SavedObject(one["type"], one["id"], title, line))
    return found


def saved_objects_file() -> Traversable:
    """Find the file: inside an installed package, else beside it in a checkout."""
    packaged = files("pipeline") / "resources" / "kibana"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "monitoring" / "kibana"
    return folder / f"{_PREFIX}.ndjson"


class Kibana:
    """One Kibana, or one space of it, reached with Elasticsearch's credentials and authorities."""

    def __init__(self, url: str, settings: Elasticsearch) -> None:
        """Raise SettingsError when the URL is none, or would carry credentials in plain text."""
        _check_url(url, "--kibana")
        self.url = url.rstrip("/")
        self._credentials_hint = credentials_hint(settings)
        self._timeout = ClientTimeout(total=settings.request_timeout_seconds)
        self._headers = {"kbn-xsrf": "logpipe", **_authorization(settings)}
        if self.url.startswith("https://"):
            self._ssl: SSLContext | bool = make_ssl_context(settings)
            return
        self._ssl = True
        if "Authorization" in self._headers and settings.hosts[0].startswith("https://"):
            raise SettingsError(
                f"--kibana = {url!r}: the credentials, which go to Elasticsearch over https, would be sent in "
                "plain text; give Kibana's https address"
            )

    async def check(self) -> None:
        """Ask whether it is ready, and whether the space in its URL exists.

        Raises ServerUnavailable and ServerRefused.
        """
        status = await self._ask("GET", f"{self.url}/api/status", "say how it is")
        if "status" not in status:
            raise ServerRefused(f"what answers at {self.url} (--kibana) is not Kibana")
        in_space = re.fullmatch(r"(?P<root>.+)/s/(?P<space>[^/]+)", self.url)
        if in_space is not None:
            # An import into a space that does not exist would succeed, and nobody would ever see it.
            doing = f"show the space {in_space['space']}, which has to be created before (Stack Management)"
            await self._ask("GET", f"{in_space['root']}/api/spaces/space/{in_space['space']}", doing)

    async def import_objects(self, objects: Sequence[SavedObject]) -> None:
        """Import the objects; those that exist are overwritten.

        Raises ServerUnavailable when Kibana does not answer, ServerRefused when it did not take every object;
        those that it took stay.
        """
        form = FormData()
        form.add_field("file", "".join(f"{one.line}\n" for one in objects), filename=f"{_PREFIX}.ndjson")
        url = f"{self.url}/api/saved_objects/_import?overwrite=true"
        answer = await self._ask("POST", url, "import the dashboards", form)
        # The status is 200 whether the objects were taken or not.
        if answer.get("success") is not True:
            reasons = "; ".join(_reason(error) for error in answer.get("errors", ()))
            raise ServerRefused(
                f"Kibana took {answer.get('successCount', 0)} of {len(objects)} objects: "
                f"{reasons or 'it gives no reason'}. Our objects are for Kibana 8.11 and newer"
            )

    async def _ask(self, method: str, url: str, doing: str, form: FormData | None = None) -> dict[str, Any]:
        """Send one request; `doing` completes "Kibana refused to ..."."""
        try:
            async with (
                ClientSession(headers=self._headers, timeout=self._timeout) as session,
                session.request(method, url, data=form, ssl=self._ssl, allow_redirects=False) as response,
            ):
                status, text = response.status, await response.text(errors="replace")
                location = response.headers.get("Location")
        except (ClientError, OSError) as error:
            hint = "; is elasticsearch.ca_certs right for Kibana, too?" if isinstance(error, SSLError) else ""
            raise ServerUnavailable(
                f"no answer from {self.url} (--kibana): {str(error) or type(error).__name__}{hint}"
            ) from error
        if status != _OK:
            raise self._explained(status, text, location, doing)
        body = _json_object(text)
        if body is None:
            raise ServerRefused(f"what answers at {self.url} (--kibana) is not Kibana")
        return body

    def _explained(self, status: int, text: str, location: str | None, doing: str) -> LogpipeError:
        body = _json_object(text) or {}
        reason = body.get("message") or text.strip()[:_MAX_REASON] or "no reason given"
        if status in PASSING:
            return ServerUnavailable(f"Kibana cannot {doing} now (HTTP {status}): {reason}")
        if location is not None:
            reason = f"it redirects to {location}"
        hint = {
            _UNAUTHENTICATED: f"; {self._credentials_hint} (Kibana is asked with the credentials of Elasticsearch)",
            _FORBIDDEN: "; the user of elasticsearch.api_key or elasticsearch.username needs the Kibana "
            "privilege Saved Objects Management: All in this space",
            _NOT_FOUND: f"; is {self.url} (--kibana) the address of Kibana?",
        }.get(status, "")
        return ServerRefused(f"Kibana refused to {doing} (HTTP {status}): {reason}{hint}")


def _check_url(url: str, option: str) -> None:
    if "@" in url:
        raise SettingsError(
            f"{option}: user and password are set by elasticsearch.username and elasticsearch.password"
        )
    if not re.fullmatch(r"https?://[^\s/:?#\"\\]+(:\d{1,5})?(/[^\s?#\"\\]*)?", url):
        raise SettingsError(f"{option} = {url!r} is not http(s)://host[:port][/path]")


def _authorization(settings: Elasticsearch) -> dict[str, str]:
    if settings.api_key is not None:
        return {"Authorization": f"ApiKey {settings.api_key.get_secret_value()}"}
    if settings.username is not None and settings.password is not None:
        pair = f"{settings.username}:{settings.password.get_secret_value()}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    return {}


def _reason(error: Mapping[str, Any]) -> str:
    """Say why one object was not taken, by Kibana's `errors[]`."""
    why = error.get("error", {})
    missing = [f"{one.get('type')} {one.get('id')}" for one in why.get("references", ())]
    details = why.get("message") or ", ".join(missing)
    return f"{error.get('type')} {error.get('id')}: {why.get('type')}{f' ({details})' if details else ''}"


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
