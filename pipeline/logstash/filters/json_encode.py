"""`json_encode`: a field becomes its JSON text."""

import json
from collections.abc import Mapping
from typing import Final

from pipeline.logstash.fields import MISSING, Event, find, set_field
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("string", required=True),
    "target": Option("string"),
}


def build(given: Given, site: Site) -> Change:
    """Write `source` as JSON into `target`, or into itself."""
    source = site.path(given["source"], given.place("source"))
    target = site.path(given["target"], given.place("target")) if given["target"] else source

    def run(event: Event, _origin: Origin) -> bool:
        value = find(event, source)
        if value is MISSING:
            return False
        set_field(event, target, json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))
        return True

    return Change(run)
