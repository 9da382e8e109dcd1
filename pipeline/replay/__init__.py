"""Dead letters that are chosen → Elasticsearch, under the ids and in the indices that their records would have had.

`selection` says which letters are meant, `rebuilding` makes their documents anew, a chunk at a time, `writing` indexes
them, `trace_events` writes what they say of traces, `result` counts, and `run` puts it together.
"""

from pipeline.replay.result import Rejection, Replayed
from pipeline.replay.run import replay
from pipeline.replay.selection import Selection, select, services_of

__all__ = ["Rejection", "Replayed", "Selection", "replay", "select", "services_of"]
