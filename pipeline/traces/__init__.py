"""`logpipe traces`: trace events → a summary for each trace.

`correlator.py` reads the trace events as a Faust application, `open_traces.py` keeps those of open traces, as
`trace_state.py` holds them, and says what is due, `summaries.py` writes the summaries, `telemetry.py` counts them.
`pending_writes.py` is what is known of a summary on its way, `dead_letters.py` keeps the events of those refused.
`lookup.py` and `proof.py` read them again.
What a summary says is in `pipeline.trace_stories`.
"""
