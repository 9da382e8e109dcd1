"""Documents on their way to Elasticsearch, until each has its outcome.

`writer.py` sends them, `outcomes.py` is the table of what an answer means, `salvage.py` gives a refused document a
second chance. What may not be indexed becomes a dead letter (`pipeline.kafka.dead_letters`).
"""
