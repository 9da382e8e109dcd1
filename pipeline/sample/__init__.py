"""Plausible traffic of the guide's product, Claude Code Bot, in the guide's structured log format.

`sample_events` tells stories: an integration from its GitHub issue to its pull request, a webhook, an API
request, a scheduled job. Each is one trace. The same seed gives the same bytes.
"""

from pipeline.sample.traffic import EVENTS_PER_REQUEST, INCIDENTS, SampleEvent, sample_events

__all__ = ["EVENTS_PER_REQUEST", "INCIDENTS", "SampleEvent", "sample_events"]
