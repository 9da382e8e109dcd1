"""Kafka: records in, commits and dead letters out.

`source.py` reads and commits, `ledger.py` says which offsets may be committed, `dead_letters.py` writes and reads what
could not be indexed. The other modules are about Kafka's own formats and how to connect.
"""
