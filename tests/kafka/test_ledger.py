"""The ledger against a plain model: a list of every delivered record, and which of them are settled."""

import tracemalloc

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from pipeline.kafka.ledger import Ledger, Partition, Span

P0, P1 = Partition("t", 0), Partition("t", 1)


def test_nothing_is_committable_before_anything_is_settled() -> None:
    ledger = Ledger()
    ledger.deliver(P0, 10, 10)
    assert ledger.committable() == {}


def test_settling_out_of_order_holds_the_position_at_the_gap() -> None:
    ledger = Ledger()
    first, second = ledger.deliver(P0, 10, 10), ledger.deliver(P0, 20, 10)
    ledger.settle_part(second)
    assert ledger.committable() == {}
    ledger.settle_part(first)
    assert ledger.committable() == {P0: 20}


def test_a_span_counts_when_all_its_parts_are_settled() -> None:
    ledger = Ledger()
    span = ledger.deliver(P0, 10, 10)
    span.parts = 2
    ledger.settle_part(span)
    assert ledger.committable() == {}
    ledger.settle_part(span)
    assert ledger.committable() == {P0: 10}


def test_committed_positions_are_not_offered_again() -> None:
    ledger = Ledger()
    ledger.settle_part(ledger.deliver(P0, 10, 10))
    ledger.committed(ledger.committable())
    assert ledger.committable() == {}


def test_gaps_and_a_first_offset_above_zero_are_no_obstacle() -> None:
    ledger = Ledger()
    for next_offset in (1000, 1017, 5000):
        ledger.settle_part(ledger.deliver(P0, next_offset, 1))
    assert ledger.committable() == {P0: 5000}


def test_what_is_settled_after_the_partition_was_given_up_has_no_effect() -> None:
    ledger = Ledger()
    old = ledger.deliver(P0, 10, 10)
    ledger.drop([P0])
    new = ledger.deliver(P0, 5, 5)
    ledger.settle_part(old)
    assert not old.owned
    assert ledger.committable() == {}
    ledger.settle_part(new)
    assert ledger.committable() == {P0: 5}


def test_offsets_must_grow() -> None:
    ledger = Ledger()
    ledger.deliver(P0, 10, 10)
    with pytest.raises(ValueError, match="delivered up to 10 after 10"):
        ledger.deliver(P0, 10, 10)


def test_a_part_is_settled_once() -> None:
    ledger = Ledger()
    span = ledger.deliver(P0, 10, 10)
    ledger.settle_part(span)
    with pytest.raises(ValueError, match="settled twice"):
        ledger.settle_part(span)


def test_memory_does_not_grow_with_what_is_settled_behind_one_that_is_not() -> None:
    ledger = Ledger()
    waiting = ledger.deliver(P0, 1, 1)
    tracemalloc.start()
    try:
        for offset in range(2, 100_000):
            ledger.settle_part(ledger.deliver(P0, offset, 1))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 50_000
    assert ledger.committable() == {}
    ledger.settle_part(waiting)
    assert ledger.committable() == {P0: 99_999}


def test_what_only_waits_for_its_index_does_not_move() -> None:
    ledger = Ledger()
    span = ledger.deliver(P0, 10, 10)
    span.parts = 2
    span.waiting = 1
    assert (ledger.in_flight(), ledger.moving()) == (10, 10)
    ledger.settle_part(span)
    assert (ledger.in_flight(), ledger.moving(), ledger.moving([P1])) == (10, 0, 0)


class LedgerMachine(RuleBasedStateMachine):
    """Deliver, settle in any order, commit and lose partitions; compare with the model after each step."""

    in_flight = Bundle("in_flight")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(few_spans=2)
        self.read_up_to: dict[Partition, int] = {}
        self.committed: dict[Partition, int] = {}
        # The model: per owned partition, every delivery in order with its settled parts.
        self.deliveries: dict[Partition, list[list[int]]] = {}
        self.owner_of: dict[int, list[list[int]]] = {}

    @rule(
        target=in_flight,
        partition=st.sampled_from([P0, P1]),
        gap=st.integers(0, 5),
        records=st.integers(1, 3),
        parts=st.integers(1, 3),
    )
    def deliver(self, partition: Partition, gap: int, records: int, parts: int) -> object:
        next_offset = self.read_up_to.get(partition, 0) + gap + records
        span = self.ledger.deliver(partition, next_offset, records)
        span.parts = parts
        self.read_up_to[partition] = next_offset
        row = [next_offset, records, parts]
        self.deliveries.setdefault(partition, []).append(row)
        return multiple(*[(span, row)] * parts)

    @rule(part=consumes(in_flight))
    def settle(self, part: tuple[Span, list[int]]) -> None:
        span, row = part
        row[2] -= 1
        self.ledger.settle_part(span)

    @rule()
    def commit(self) -> None:
        positions = self.ledger.committable()
        assert positions == self.expected()
        self.ledger.committed(positions)
        self.committed.update(positions)

    @rule(partition=st.sampled_from([P0, P1]))
    def lose(self, partition: Partition) -> None:
        self.ledger.drop([partition])
        self.deliveries.pop(partition, None)
        # It is read again from what was committed.
        self.read_up_to[partition] = self.committed.pop(partition, 0)

    def expected(self) -> dict[Partition, int]:
        positions = {}
        for partition, rows in self.deliveries.items():
            settled = 0
            for next_offset, _, parts in rows:
                if parts:
                    break
                settled = next_offset
            if settled and settled != self.committed.get(partition):
                positions[partition] = settled
        return positions

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.ledger.committable() == self.expected()

    @invariant()
    def counts_what_is_in_flight(self) -> None:
        rows = [row for rows in self.deliveries.values() for row in rows]
        assert self.ledger.in_flight() == sum(records for _, records, parts in rows if parts)


TestLedgerMachine = LedgerMachine.TestCase


def test_where_reading_begins_is_committable_unless_it_is_committed() -> None:
    ledger = Ledger()
    ledger.begin(P0, 5, committed=False)
    ledger.begin(P1, 7, committed=True)
    assert ledger.committable() == {P0: 5}
    assert (ledger.committed_position(P0), ledger.committed_position(P1)) == (5, 7)
    ledger.committed({P0: 5})
    assert ledger.committable() == {}


def test_what_needs_no_settling_is_taken_along_once_nothing_is_in_flight() -> None:
    ledger = Ledger()
    ledger.begin(P0, 0, committed=True)
    span = ledger.deliver(P0, 10, 10)
    ledger.skip_to(P0, 12)
    assert ledger.committable() == {}
    ledger.settle_part(span)
    assert ledger.committable() == {P0: 10}
    ledger.skip_to(P0, 12)
    assert ledger.committable() == {P0: 12}
    ledger.skip_to(P0, 11)
    assert ledger.committable() == {P0: 12}
    ledger.skip_to(P1, 3)  # not begun yet
    assert ledger.committable() == {P0: 12}


def test_a_position_is_committed_again_where_there_is_more_to_say_of_it() -> None:
    ledger = Ledger()
    ledger.begin(P0, 4, committed=True)
    ledger.skip_to(P0, 4)
    assert ledger.committable() == {}
    ledger.skip_to(P0, 4, again=True)
    assert ledger.committable() == {P0: 4}
