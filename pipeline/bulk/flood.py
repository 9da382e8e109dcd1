"""The flood breaker: when more than a share of the last documents is refused, something else is wrong than they."""

import math
from collections import deque

__all__ = ["DOCUMENTS_LOOKED_AT", "FloodBreaker"]

DOCUMENTS_LOOKED_AT = 10_000
_DOCUMENTS_A_STEP = 500
_STEPS = DOCUMENTS_LOOKED_AT // _DOCUMENTS_A_STEP


class FloodBreaker:
    """Count the last 10,000 documents that have an outcome; `open` from one dead letter too many until `reset`.

    They are counted in steps of 500 or little more: of the oldest step all are forgotten at once.
    """

    def __init__(self, max_ratio: float) -> None:
        # Requests of many documents fill more than their steps, and 1 is no limit.
        self._most_dead = max_ratio * DOCUMENTS_LOOKED_AT if max_ratio < 1 else math.inf
        self.open = False
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.open = False
        self._documents = self._dead = 0
        self._dead_by_step = deque([0] * (_STEPS - 1))
        self._dead_before = 0

    def took(self, documents: int) -> None:
        """Note documents that Elasticsearch has, or has refused."""
        self._documents += documents
        while self._documents >= _DOCUMENTS_A_STEP:
            self._documents -= _DOCUMENTS_A_STEP
            self._dead_by_step.append(self._dead)
            self._dead_before += self._dead - self._dead_by_step.popleft()
            self._dead = 0

    def may_give_up(self, documents: int) -> bool:
        """Note documents that shall be given up; False when that is too many, and from then on until `reset`."""
        if not self.open:
            self.open = self._dead_before + self._dead + documents > self._most_dead
        if self.open:
            return False
        self._dead += documents
        self.took(documents)
        return True
