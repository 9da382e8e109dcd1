"""Metric families as JSON: how a worker hands its metrics to the supervisor, exemplars included.

Prometheus' own text format has no exemplars, and OpenMetrics' parser refuses counters that are named as the guide
names them: `integrations_created_total` beside `integrations_total`, whose `_created` it would be.
"""

import math
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample

__all__ = ["CONTENT_TYPE", "dump_families", "load_families"]

CONTENT_TYPE = "application/vnd.logpipe.metric-families+json"


def dump_families(registry: CollectorRegistry) -> bytes:
    """Write every family of a registry."""
    return orjson.dumps(
        [
            {
                "name": family.name,
                "help": family.documentation,
                "type": family.type,
                "samples": [_sample(sample) for sample in family.samples],
            }
            for family in registry.collect()
        ]
    )


def load_families(data: bytes) -> list[Metric]:
    """Read what `dump_families` has written.

    Raises ValueError for anything else.
    """
    try:
        families = []
        for each in orjson.loads(data):
            family = Metric(each["name"], each["help"], each["type"])
            family.samples = [
                Sample(name, labels, float(value), exemplar=None if example is None else Exemplar(*example))
                for name, labels, value, example in each["samples"]
            ]
            families.append(family)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no metric families: {data[:80]!r}") from error
    return families


def _sample(sample: Sample) -> tuple[Any, ...]:
    example = sample.exemplar
    return (
        sample.name,
        sample.labels,
        _number(sample.value),
        None if example is None else (example.labels, _number(example.value)),
    )


def _number(value: float) -> float | str:
    """Give a number as JSON can hold it: infinity is no JSON number, but a text that `float` reads."""
    number = float(value)
    return number if math.isfinite(number) else str(number)
