"""Which server answers at `elasticsearch.hosts`, and whether this version supports it."""

from http import HTTPStatus
from typing import Any, NamedTuple

from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

__all__ = ["SUPPORTED", "Server", "server_version"]

SUPPORTED = "Elasticsearch 9"
"""In words; docs/elasticsearch.md has the table."""
_TESTED_MAJOR = 9
_SERVERLESS = "Elasticsearch Serverless"


class Server(NamedTuple):
    """What says of itself that it is this."""

    product: str
    """`Elasticsearch`, or the name of another that has come from it."""
    version: str

    @property
    def supported(self) -> bool | None:
        """Whether it is; None for a newer version than any that has been tried."""
        major, _, _ = self.version.partition(".")
        if self.product == _SERVERLESS:
            return None
        if self.product != "Elasticsearch" or not major.isdigit() or int(major) < _TESTED_MAJOR:
            return False
        return True if int(major) == _TESTED_MAJOR else None

    def __str__(self) -> str:
        """Name product and version."""
        return f"{self.product} {self.version}".rstrip()

    @property
    def detail(self) -> str:
        """Say what was found, and what is supported where that is something else."""
        match self.supported:
            case True:
                return str(self)
            case None:
                return f"{self}, which this version has not been tried with; supported is {SUPPORTED}"
            case False:
                return f"{self} is not supported: supported is {SUPPORTED}"


async def server_version(client: AsyncElasticsearch) -> Server:
    """Ask the server what it is; the client itself only says what it is not.

    Raises ApiError and TransportError as the client does.
    """
    try:
        # As the client would ask, an older server refuses to answer at all.
        body = (await client.perform_request("GET", "/", headers={"accept": "*/*"})).body
    except UnsupportedProductError as error:
        body = error.body
    except ApiError as error:
        if error.meta.status != HTTPStatus.METHOD_NOT_ALLOWED:
            raise
        # A build without the module that answers at the root, such as the sandbox's.
        answer = await client.perform_request("GET", "/_nodes/_local", headers={"accept": "application/json"})
        (node,) = answer.body["nodes"].values()
        return Server("Elasticsearch", str(node["version"]))
    told: Any = body.get("version") if isinstance(body, dict) else None
    if not isinstance(told, dict) or "number" not in told:
        return Server("something else than Elasticsearch", "")
    number = str(told["number"])
    distribution = told.get("distribution")
    if distribution is not None:
        return Server({"opensearch": "OpenSearch"}.get(distribution, str(distribution)), number)
    if told.get("build_flavor") == "serverless":
        return Server(_SERVERLESS, number)
    return Server("Elasticsearch", number)
