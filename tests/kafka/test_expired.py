"""Records that expire unread are told by topic: few lines, with their number."""

import pytest

from pipeline.kafka.expired import ExpiredRecords
from pipeline.kafka.ledger import Partition
from pipeline.telemetry.troubles import LOST, OngoingTroubles


def test_many_gaps_of_a_night_are_few_lines_and_none_of_the_records_is_left_out() -> None:
    now = 0.0
    expired = ExpiredRecords(lambda: now)
    lost = 0
    ongoing = OngoingTroubles(lambda: {LOST: lost})
    lines = []
    for second in range(3600):
        now = float(second)
        if second < 1800:
            expired.note(Partition("logs", second % 3), second * 10, second * 10 + 10)
            lost += 10
        lines += ongoing.due(now, 1_705_314_600 + now, expired.troubles())
    assert len(lines) < 20
    begins, *_, over = lines
    assert begins.text == (
        "10 records of logs expired before they were read, since 2024-01-15T10:30:00Z: of logs/0, offsets 0 to 9. "
        "The topic's retention is shorter than what the pipeline is behind: they are lost."
    )
    assert "18,000 records were lost." in over.text


@pytest.mark.parametrize(("after", "told"), [(330.0, 1), (331.0, 0)])
def test_a_topic_is_forgotten_when_nothing_has_expired_for_a_while(after: float, told: int) -> None:
    now = 0.0
    expired = ExpiredRecords(lambda: now)
    expired.note(Partition("logs", 0), 0, 5)
    now = after
    assert len(list(expired.troubles())) == told
    assert len(list(expired.troubles())) == told
