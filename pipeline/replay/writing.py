"""Documents that were dead go to Elasticsearch, a chunk at a time; what is refused still is counted, not written."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from pipeline.bulk.client import make_bulk_client, make_client, server_errors
from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.running_writer import RunningWriter
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import payload_of
from pipeline.encode.lines import Lines
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.ledger import Ledger, Partition
from pipeline.replay.rebuilding import Rebuilt
from pipeline.replay.result import Rejection, Replayed
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Telemetry

__all__ = ["replay_writer"]

_LISTED_REJECTIONS = 1_000
# How long an index may take no documents: somebody waits for the replay, and the letters stay.
_LONGEST_WAIT_SECONDS = 60.0


class _Collected:
    """The writer's dead letters: counted, not written, for they are in the topic already."""

    def __init__(self, replayed: Replayed) -> None:
        self._replayed = replayed

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Remember why."""
        for letter in letters:
            self._replayed.rejected += 1
            self._replayed.rejected_now.append(letter._replace(value=None, key=None, headers=()))
            if len(self._replayed.rejections) < _LISTED_REJECTIONS:
                self._replayed.rejections.append(Rejection(letter.record, letter.error_type, letter.reason))


class _Writer:
    """A bulk writer that is given one chunk at a time."""

    def __init__(self, writer: BulkWriter, ledger: Ledger, telemetry: Telemetry, replayed: Replayed) -> None:
        self._writer = writer
        self._running = RunningWriter(writer)
        self._ledger = ledger
        self._telemetry = telemetry
        self._replayed = replayed

    async def write(self, built: Mapping[Partition, Sequence[Rebuilt]]) -> None:
        """Return when every document has its outcome."""
        for partition, rebuilt in built.items():
            span = self._ledger.deliver(partition, rebuilt[-1].record.offset + 1, len(rebuilt))
            lines = [Lines(each.documents, each.record.offset) for each in rebuilt]
            self._writer.add(span, [each.record for each in rebuilt], [payload_of(lines)])
        self._writer.flush()
        while self._ledger.in_flight():
            await self._running.wait_for_change()
        # The next chunk may go back to smaller offsets.
        self._ledger.drop(built)
        outcomes = self._telemetry.outcomes()
        self._replayed.indexed = outcomes[Outcome.INDEXED.value]
        self._replayed.already_there = outcomes[Outcome.ALREADY_THERE.value]

    async def stop(self) -> None:
        """End the writer; what is in flight has no outcome."""
        await self._running.stop()


@asynccontextmanager
async def replay_writer(
    settings: Settings, replayed: Replayed, *, dry_run: bool
) -> AsyncIterator[_Writer | None]:
    """Give what writes the documents, after a look whether Elasticsearch answers; None in a dry run."""
    if dry_run:
        yield None
        return
    async with make_client(settings.elasticsearch) as client:
        with server_errors(settings.elasticsearch, "tell how it is"):
            await client.cluster.health()
    ledger, telemetry = Ledger(), Telemetry()
    async with make_bulk_client(settings.elasticsearch) as client:
        bulk = BulkWriter(
            client,
            settings.elasticsearch,
            ledger.settle_part,
            _Collected(replayed),
            telemetry,
            max_salvaged_fields=settings.salvage.max_fields,
            index_wait=settings.index_wait.model_copy(update={"max_seconds": _LONGEST_WAIT_SECONDS}),
            # They have been refused before: that all are again is no flood.
            max_dead_ratio=1,
        )
        writer = _Writer(bulk, ledger, telemetry, replayed)
        try:
            yield writer
        finally:
            await writer.stop()
