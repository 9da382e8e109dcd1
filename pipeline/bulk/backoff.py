"""How long to wait before something is tried again."""

import random

from pipeline.settings import Elasticsearch

__all__ = ["backoff_seconds"]


def backoff_seconds(settings: Elasticsearch, retries: int) -> float:
    """Give a random time up to a bound that doubles with each retry: full jitter, so that workers spread out."""
    bound = min(settings.retry_initial_seconds * 2 ** min(retries, 30), settings.retry_max_seconds)
    return random.uniform(0, bound)  # noqa: S311 - jitter, not a secret
