"""Documents on their way to Elasticsearch, until each has its outcome.

`writer.py` collects them to requests, `sender.py` sends those, `outcomes.py` is the table of what an answer means,
`answers.py` looks each document of an answer up in it, `salvage.py` gives a refused document a second chance, and
`dead_letter_queue.py` writes what may not be indexed (`pipeline.kafka.dead_letters`).
"""
