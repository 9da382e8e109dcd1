"""The filters, one module each: its table of options and how it is built (`plugin.FilterPlugin`)."""

from collections.abc import Mapping
from typing import Final, cast

from pipeline.logstash.filters import (
    cidr,
    clone,
    csv,
    date,
    de_dot,
    dissect,
    drop,
    fingerprint,
    geoip,
    grok,
    json,
    json_encode,
    kv,
    mutate,
    prune,
    python,
    ruby,
    split,
    syslog_pri,
    translate,
    truncate,
    urldecode,
    useragent,
    uuid,
    xml,
)
from pipeline.logstash.plugin import FilterPlugin

__all__ = ["FILTERS", "REFUSED"]

FILTERS: Final[Mapping[str, FilterPlugin]] = cast(
    "Mapping[str, FilterPlugin]",
    {
        "cidr": cidr,
        "clone": clone,
        "csv": csv,
        "date": date,
        "de_dot": de_dot,
        "dissect": dissect,
        "drop": drop,
        "fingerprint": fingerprint,
        "geoip": geoip,
        "grok": grok,
        "json": json,
        "json_encode": json_encode,
        "kv": kv,
        "mutate": mutate,
        "prune": prune,
        "python": python,
        "ruby": ruby,
        "split": split,
        "syslog_pri": syslog_pri,
        "translate": translate,
        "truncate": truncate,
        "urldecode": urldecode,
        "useragent": useragent,
        "uuid": uuid,
        "xml": xml,
    },
)

_LOOKUP: Final = (
    "It asks a server, so that a replay of a record could give another document: do it before Kafka, "
    "or in an ingest pipeline."
)
_STATE: Final = (
    "It keeps state over events, which is not exact across workers and replays: "
    "use trace summaries or log-derived metrics."
)
REFUSED: Final[Mapping[str, str]] = {
    "aggregate": _STATE,
    "elapsed": _STATE,
    "metrics": _STATE,
    "throttle": _STATE,
    "multiline": "Lines are joined where they are read: by the shipper (Filebeat's `parsers: multiline`).",
    "dns": _LOOKUP,
    "elasticsearch": _LOOKUP,
    "http": _LOOKUP,
    "jdbc_static": _LOOKUP,
    "jdbc_streaming": _LOOKUP,
    "memcached": _LOOKUP,
    "rest": _LOOKUP,
    "sleep": "It only waits: leave it out.",
}
