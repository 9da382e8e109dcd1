"""Read and write what Elasticsearch holds for the pipeline: templates, the policy, the write alias."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, NotFoundError

from pipeline.bulk.client import reason_of
from pipeline.errors import ServerRefused
from pipeline.install.optional import OPTIONS
from pipeline.install.plan import self_contained, without_dates
from pipeline.install.resources import Kind, Resource
from pipeline.settings import Index

__all__ = [
    "create_write_index",
    "fitting",
    "has_ilm",
    "has_write_alias",
    "index_of_today",
    "licence",
    "overridden_for",
    "put",
    "read",
    "read_index_templates",
    "restore",
    "try_templates",
]

_HEADERS = {"accept": "application/json", "content-type": "application/json"}
_BAD_REQUEST = 400
_GONE = 410


async def has_ilm(client: AsyncElasticsearch, policy: str) -> bool:
    """Tell whether the server can do index lifecycle management: a build without it knows no such address."""
    try:
        await _request(client, "GET", f"/{Kind.POLICY}/{policy}")
    except NotFoundError:
        return True  # no such policy yet
    except ApiError as error:
        # 400: a build without the module. 410: Elastic's serverless offer.
        if error.meta.status == _GONE or (
            error.meta.status == _BAD_REQUEST and "no handler found" in reason_of(error)
        ):
            return False
        raise
    return True


async def read(client: AsyncElasticsearch, wanted: Iterable[Resource]) -> dict[str, dict[str, Any] | None]:
    """Return the server's version of each object by its path; None for one that it does not have."""
    return {resource.path: await _read_one(client, resource) for resource in wanted}


async def _read_one(client: AsyncElasticsearch, resource: Resource) -> dict[str, Any] | None:
    try:
        answer = await _request(client, "GET", f"/{resource.path}")
    except NotFoundError:
        return None
    body: dict[str, Any]
    match resource.kind:
        case Kind.POLICY:
            body = {"policy": answer[resource.name]["policy"]}
        case Kind.COMPONENT:
            body = answer["component_templates"][0]["component_template"]
        case Kind.INDEX_TEMPLATE:
            body = answer["index_templates"][0]["index_template"]
    return body


async def put(client: AsyncElasticsearch, resource: Resource) -> None:
    """Install an object, or replace it."""
    await _request(client, "PUT", f"/{resource.path}", resource.body)


async def restore(client: AsyncElasticsearch, resource: Resource, before: dict[str, Any] | None) -> None:
    """Put an object back as it was, or delete it where there was none."""
    if before is None:
        await _request(client, "DELETE", f"/{resource.path}")
    else:
        await _request(client, "PUT", f"/{resource.path}", without_dates(before))


async def read_index_templates(client: AsyncElasticsearch) -> list[dict[str, Any]]:
    """Return all index templates that there are."""
    return list((await _request(client, "GET", f"/{Kind.INDEX_TEMPLATE}"))["index_templates"])


async def fitting(client: AsyncElasticsearch, wanted: list[Resource]) -> tuple[list[Resource], list[str]]:
    """Leave out what this server does not have and ours can be without; gives what is left, and what to tell.

    Raises ApiError for anything else that it refuses.
    """
    notes = []
    left = list(OPTIONS)
    while True:
        try:
            await try_templates(client, wanted)
        except BadRequestError as error:
            refused = next((option for option in left if option.mark in str(error.body)), None)
            if refused is None:
                raise
            left.remove(refused)
            wanted = refused.left_out(wanted)
            notes.append(refused.note)
        else:
            return wanted, notes


async def licence(client: AsyncElasticsearch) -> str | None:
    """Ask for the cluster's licence, such as `basic` or `enterprise`; None where the server does not tell."""
    try:
        return str((await _request(client, "GET", "/_license"))["license"]["type"])
    except (ApiError, KeyError, TypeError):
        return None


async def try_templates(client: AsyncElasticsearch, wanted: Sequence[Resource]) -> None:
    """Have the server look at settings and mappings of the index templates without keeping them.

    Raises ApiError for what it would refuse. The patterns are others: the server takes the trial for one more template,
    which must not conflict with ours.
    """
    for number, template in enumerate(self_contained(wanted)):
        body = {**template.body, "index_patterns": [f"{template.name}.trial-{number}"]}
        await _request(client, "POST", f"/{Kind.INDEX_TEMPLATE}/_simulate", body)


async def overridden_for(
    client: AsyncElasticsearch, ours: Resource, index: Index, now: datetime
) -> str | None:
    """Ask the server which template the index of today would get; name the index if it is not ours."""
    name = index_of_today(index, now)
    answer = await _request(client, "POST", f"/{Kind.INDEX_TEMPLATE}/_simulate_index/{name}")
    # It lists the templates that match as well, but lose.
    losers = {entry["name"] for entry in answer.get("overlapping", ())}
    return name if ours.name in losers else None


async def has_write_alias(client: AsyncElasticsearch, alias: str) -> bool:
    """Tell whether the alias exists and can be written to.

    Raises ServerRefused when an index has its name, or when no index of the alias takes writes.
    """
    try:
        indices = await _request(client, "GET", f"/_alias/{alias}")
    except NotFoundError:
        if await client.indices.exists(index=alias):
            raise ServerRefused(
                f"index.roll = 'ilm' needs {alias} as an alias, but an index of this name exists: something "
                "wrote to it before setup. Copy away what it holds, delete it, and run setup again"
            ) from None
        return False
    flags = [entry["aliases"][alias].get("is_write_index") for entry in indices.values()]
    if True in flags or flags == [None]:
        return True
    raise ServerRefused(
        f"index.roll = 'ilm': the alias {alias} has no write index among {', '.join(sorted(indices))}; "
        "set is_write_index on the newest, or delete the alias"
    )


async def create_write_index(client: AsyncElasticsearch, alias: str) -> str:
    """Create the first index behind the alias and return its name.

    The name is given as date math, which Elasticsearch remembers: each rollover gets its own day's date.
    """
    name = quote(f"<{alias}-{{now/d}}-000001>", safe="")
    body = {"aliases": {alias: {"is_write_index": True}}}
    try:
        answer = await _request(client, "PUT", f"/{name}", body)
    except BadRequestError as error:
        # Another setup was quicker; its alias is as good.
        if error.error == "resource_already_exists_exception" and await has_write_alias(client, alias):
            return alias
        raise
    return str(answer["index"])


def index_of_today(index: Index, now: datetime) -> str:
    """Name the index that an event of now goes into if none was rolled over yet."""
    return f"{index.prefix}-{now:%Y.%m.%d}{'-000001' if index.roll == 'ilm' else ''}"


async def _request(
    client: AsyncElasticsearch, method: str, path: str, body: dict[str, Any] | None = None
) -> Any:
    """Send a request as it stands in the files; the client's own methods would take it apart first."""
    return (await client.perform_request(method, path, headers=_HEADERS, body=body)).body
