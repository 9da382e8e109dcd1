"""One worker, and several.

`indexer.py` is a worker: it wires Kafka, the hot path and the bulk writer, and ends them in order; `signals.py` tells
it when. `supervisor.py` runs several as processes, `worker_pipe.py` is the line between it and each of them, and
`merged_endpoint.py` answers for all.
"""
