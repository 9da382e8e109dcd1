"""What Elasticsearch is asked by `_cat`, beside the work: an answer in time or none."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

__all__ = ["ask_cat"]

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 5.0


async def ask_cat(
    client: AsyncElasticsearch, question: str, read: Callable[[list[dict[str, Any]]], float | None]
) -> float | None:
    """Ask once, by a client whose answers are bytes; gives what `read` makes of the rows.

    None without an answer in time, and where `read` raises ValueError, TypeError or LookupError: it is another answer.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await client.perform_request(
                "GET", f"/_cat/{question}", headers={"accept": "application/json"}
            )
        return read(orjson.loads(answer.body))
    except (ApiError, TransportError, UnsupportedProductError, TimeoutError) as error:
        log.debug("Elasticsearch does not answer _cat/%s: %s", question, error)
    except (ValueError, TypeError, LookupError) as error:
        log.debug("Elasticsearch's answer to _cat/%s is none: %r", question, error)
    return None
