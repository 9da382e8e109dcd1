"""Metrics that are derived from the events.

`rules.py` says what a rule may ask for, `gather.py` puts events that are alike together, `plans.py` takes out of
them what the rules look at, `series.py` is what is added to, `errors.py` counts errors by fingerprint. Pure, as
`events`.
"""
