"""Logstash's configuration language, read as it stands and compiled to Python functions over events.

A configuration goes this way: `parse` makes a syntax tree of a text, `environment` fills in `${…}`, `compiler` writes
one Python function for the filter section (`source` and `condition_source` say how things look in it), `outputs` one
for the output section, `inputs` reads what an input says about events and about our settings. `codecs` makes events of
records. All of it is pure, as `events`: no Kafka, no Elasticsearch, no clock; what counts as now is the record's time.

An event is a plain dictionary: `@timestamp` holds a `Timestamp`, `@metadata` a dictionary that no output writes, `tags`
a text or a list of texts.

A filter is a module in `filters/`, entered in `filters.FILTERS` under its name. It has (`plugin.FilterPlugin`)

- `OPTIONS`: its table of options; what is not in it is refused with its place, and each entry says whether it is done,
  done differently (how), ignored (why) or refused (what to do instead);
- `build(given, site)`: a `Change` (a function that changes one event and says whether it did), a `Spread` (one that
  gives several events, or none), or an `Inline` (which writes its own Python).

The common options, tags of exceptions and counting are the compiler's. Where Logstash loses an event or ends its
pipeline, the condition is false or the filter does nothing, and the event is tagged `_filterexception` and counted.
"""

from pipeline.logstash.compiler import Compiled, Context, compile_filters
from pipeline.logstash.configuration import Pipeline, compile_pipeline, read_configuration
from pipeline.logstash.fields import Event
from pipeline.logstash.plugin import FilterPlugin, Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp

__all__ = [
    "Compiled",
    "Context",
    "Event",
    "FilterPlugin",
    "Origin",
    "Outcomes",
    "Pipeline",
    "Timestamp",
    "compile_filters",
    "compile_pipeline",
    "read_configuration",
]
