"""The hot path: the records of a partition to the lines of a bulk request.

`fast_path.py` does by columns what `pipeline.events.document` defines, for events of the common shape, and leaves the
others to it. `transform.py` does the same from bytes to bytes, without a server.
"""
