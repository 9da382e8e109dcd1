"""The state of the imagined product at a moment: its release, its incident, its queue, its API limits."""

import math
from random import Random
from statistics import NormalDist
from typing import NamedTuple, TypeVar

from pipeline.sample.lines import LineWriter

__all__ = ["INCIDENT_CONDITIONS", "Conditions", "Product"]

_Choice = TypeVar("_Choice")


class Conditions(NamedTuple):
    """How well the product does: chances from 0 to 1, and factors on what is usual."""

    request_failure: float = 0.0006
    """Share of API requests, of those that the cache does not answer, that end with 5xx: within the SLO."""
    webhook_failure: float = 0.0004
    """Share of webhooks whose processing fails."""
    side_failure: float = 0.08
    """Share of requests and webhooks in which something fails that the answer does not depend on."""
    integration_failure: float = 0.04
    """Share of integrations that end without a pull request."""
    call_failure: float = 0.06
    """Share of calls to GitHub and Claude that fail once and are tried again."""
    refusal: float = 0.001
    """Share of calls to Claude refused because of its rate limit."""
    claude_budget: int = 4000
    """Requests that Claude's API allows in a minute, less what others have used up."""
    slowness: float = 1.0
    """Factor on the time of database queries and of handling a request."""
    queue_peak: int = 60
    """Webhooks waiting at the worst moment."""
    bug_share: float = 0.15
    """Share of the failed requests that fail through the one bug of the release."""


_USUAL = Conditions()
INCIDENT_CONDITIONS = {
    "error-spike": _USUAL._replace(
        request_failure=0.5, webhook_failure=0.3, integration_failure=0.6, bug_share=0.85
    ),
    "api-rate-limit": _USUAL._replace(refusal=0.35, integration_failure=0.4, claude_budget=80),
    "webhook-lag": _USUAL._replace(queue_peak=6000),
    "slow-responses": _USUAL._replace(slowness=30.0),
}

# Share of the span at which a release goes out. The error spike is what the last one did.
_RELEASES = ((0.0, "1.8.2"), (0.4, "1.9.0"))
_BROKEN_RELEASE = "1.10.0"

# Durations vary as a log-normal distribution does; drawn once, as quantiles, and then only picked from.
_DURATION_BITS = 10
_DURATION_SIGMA = 0.55
_DURATION_FACTORS = tuple(
    math.exp(NormalDist(0.0, _DURATION_SIGMA).inv_cdf((step + 0.5) / (1 << _DURATION_BITS)))
    for step in range(1 << _DURATION_BITS)
)
_WAIT_MS_PER_WEBHOOK = 4
_MINUTE_MS = 60_000
_GITHUB_BUDGET = 5000
_HOUR_MS = 60 * _MINUTE_MS
# In which share of an incident the queue of webhooks grows to its worst.
_LAG_GROWS = 0.1


class Product:
    """Everything that stories share; one per run, changed only by `enter`."""

    def __init__(
        self,
        seed: int,
        begin_ms: int,
        end_ms: int,
        *,
        incident: str | None,
        incident_from: float,
        haste: float,
    ) -> None:
        source = Random(seed)  # noqa: S311 - nothing secret is made of it
        self.random = source.random
        self.bits = source.getrandbits
        self.lines = LineWriter(source.getrandbits)
        self.conditions = _USUAL
        self.version = _RELEASES[0][1]
        self._haste = haste
        self._end_ms = end_ms
        self._incident = incident
        self._incident_from_ms = begin_ms + int((end_ms - begin_ms) * incident_from)
        releases = list(_RELEASES[1:])
        if incident == "error-spike":
            releases = [release for release in releases if release[0] < incident_from]
            releases.append((incident_from, _BROKEN_RELEASE))
        self._releases = [(begin_ms + int((end_ms - begin_ms) * share), name) for share, name in releases]

    def enter(self, time_ms: int) -> bool:
        """Bring the state to this time; say whether a release has just gone out."""
        if self._incident is not None and time_ms >= self._incident_from_ms:
            self.conditions = INCIDENT_CONDITIONS[self._incident]
        if self._releases and time_ms >= self._releases[0][0]:
            _, self.version = self._releases.pop(0)
            return True
        return False

    def chance(self, share: float) -> bool:
        """Say yes in this share of cases, 0 to 1."""
        return self.random() < share

    def pick(self, choices: tuple[_Choice, ...]) -> _Choice:
        """Return any of the choices; one that stands there twice comes twice as often."""
        return choices[int(self.random() * len(choices))]

    def duration_ms(self, median_ms: float) -> int:
        """Return how long something took that takes `median_ms` as a rule."""
        return int(median_ms * _DURATION_FACTORS[self.bits(_DURATION_BITS)]) + 1

    def work_ms(self, median_ms: float) -> int:
        """Return how long the product's own work took: longer when everything is slow."""
        return self.duration_ms(median_ms * self.conditions.slowness)

    def long_ms(self, median_ms: float) -> int:
        """Return how long a step of minutes took, in the time that this run has for it."""
        return self.duration_ms(median_ms * self._haste)

    def queue_depth(self, time_ms: int) -> int:
        """Return how many webhooks wait: few as a rule, more and more while they lag."""
        peak = self.conditions.queue_peak
        if peak == _USUAL.queue_peak:
            return int(peak * self.random() ** 3)
        lasted = (time_ms - self._incident_from_ms) / max(self._end_ms - self._incident_from_ms, 1)
        grown = min(lasted / _LAG_GROWS, 1.0)
        return int(peak * (grown * 0.9 + self.random() * 0.1)) + _USUAL.queue_peak

    def queue_wait_ms(self, depth: int) -> int:
        """Return how long a webhook waited behind that many others."""
        return int(depth * _WAIT_MS_PER_WEBHOOK * self._haste) + 1

    def claude_requests_left(self, time_ms: int) -> int:
        """Return what Claude's API says is left of this minute's requests."""
        used = time_ms % _MINUTE_MS / _MINUTE_MS * 0.6 + self.random() * 0.05
        return int(self.conditions.claude_budget * (1 - used))

    def github_requests_left(self, time_ms: int) -> int:
        """Return what GitHub's API says is left of this hour's requests."""
        used = time_ms % _HOUR_MS / _HOUR_MS * 0.7 + self.random() * 0.02
        return int(_GITHUB_BUDGET * (1 - used))
