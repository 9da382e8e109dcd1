"""What the logs tell of a trace: compact events, folded to one story, summarised by flow.

`emission.py` takes out of a batch what a story needs, `fold.py` adds events to a story, `flows.py` are the rules of
what a story should look like, `summary.py` writes it as a document. Pure, as `events`.
"""
