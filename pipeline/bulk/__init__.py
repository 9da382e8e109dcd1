"""Documents on their way to Elasticsearch, until each has its outcome.

`writer.py` collects them to requests, `sender.py` sends those, `outcomes.py` is the table of what an answer means and
whose fault it is, `answers.py` looks each document of an answer up in it, `salvage.py` gives a refused document a
second chance. What its index does not take waits in `waiting.py`, a `room.py` for each index, until it is taken or
`giving_up.py` gives it up; `flood.py` says when too much is refused. `dead_letter_queue.py` writes what may not be
indexed (`pipeline.kafka.dead_letters`).
"""
