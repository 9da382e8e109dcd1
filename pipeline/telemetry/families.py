"""Metric families as JSON: how a worker hands its metrics to the supervisor, exemplars included.

Prometheus' own text format has no exemplars, and OpenMetrics' parser refuses counters that are named as the guide
names them: `integrations_created_total` beside `integrations_total`, whose `_created` it would be.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample

__all__ = ["CONTENT_TYPE", "dump_families", "dump_metrics", "load_families"]

CONTENT_TYPE = "application/vnd.logpipe.metric-families+json"
# Without it the rest may have been lost on the way.
_END = b'"end"'
_BEGIN = b'{"name":"'


def dump_families(registry: CollectorRegistry) -> bytes:
    """Write every family of a registry."""
    return dump_metrics(registry.collect())


def dump_metrics(families: Iterable[Metric]) -> bytes:
    """Write families, each as a line, and one that ends them."""
    return b"\n".join([*map(_line, families), _END])


def load_families(data: bytes, wanted: Callable[[str], bool] | None = None) -> Iterator[Metric]:
    """Read what `dump_families` has written, a family at a time: to read all of it in one go may take long.

    `wanted` tells by a family's name whether it is.

    Raises ValueError for anything else, at the latest at its end.
    """
    *lines, end = data.split(b"\n")
    if end != _END:
        raise ValueError(f"no metric families: {data[:80]!r}")
    return map(_family, lines if wanted is None else [line for line in lines if wanted(_name_of(line))])


def _line(family: Metric) -> bytes:
    return orjson.dumps(
        {
            "name": family.name,
            "help": family.documentation,
            "type": family.type,
            "samples": [_sample(sample) for sample in family.samples],
        }
    )


def _name_of(line: bytes) -> str:
    return line.removeprefix(_BEGIN).partition(b'"')[0].decode()


def _family(line: bytes) -> Metric:
    try:
        each = orjson.loads(line)
        family = Metric(each["name"], each["help"], each["type"])
        family.samples = [
            Sample(name, labels, float(value), exemplar=None if example is None else Exemplar(*example))
            for name, labels, value, example in each["samples"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no metric family: {line[:80]!r}") from error
    return family


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
