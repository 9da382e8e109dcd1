"""One replay from start to end: letters become documents, those are written, and the letters are settled."""

from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Sequence

from pipeline.encode.run_filters import make_of
from pipeline.events.document import DocumentBuilder
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.source_records import source_records
from pipeline.replay.rebuilding import Chunk, build, chunks_of
from pipeline.replay.result import Replayed
from pipeline.replay.trace_events import replayed_trace_events, told_again
from pipeline.replay.writing import replay_writer
from pipeline.settings import Settings

__all__ = ["replay"]


async def replay(
    settings: Settings,
    letters: AsyncIterable[DeadLetter],
    *,
    dry_run: bool = False,
    report: Callable[[int], None] = lambda _: None,
    settled: Callable[[Sequence[str]], Awaitable[None]] | None = None,
) -> Replayed:
    """Index letters again; what is there already stays as it is, and no new letters are written.

    With `dry_run` the documents are built and counted. `report` is called with the letters done so far, `settled`
    with the ids of letters all of whose documents are in Elasticsearch, or whose traces are told again.

    Raises ServerUnavailable and ServerRefused when Elasticsearch does not answer, or says no, at the start;
    after that it is tried for as long as it takes, as in the pipeline.
    """
    replayed = Replayed()
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    make = make_of(settings, builder)
    async with (
        replay_writer(settings, replayed, dry_run=dry_run) as writer,
        source_records(settings) as records,
        replayed_trace_events(settings, builder, dry_run=dry_run) as traces,
    ):
        others = told_again(letters, settings, replayed, None if dry_run else settled, dry_run=dry_run)
        async for chunk in chunks_of(others, records, replayed):
            built = build(make, chunk)
            replayed.letters += sum(map(len, chunk.values()))
            replayed.documents += sum(len(each.documents) for some in built.values() for each in some)
            if writer is not None:
                await writer.write(built)
            if traces is not None:
                await traces.write(built)
            if settled is not None and not dry_run:
                await settled(_settled(chunk, replayed.rejected_now))
            replayed.rejected_now.clear()
            report(replayed.letters)
    return replayed


def _settled(chunk: Chunk, rejected: Collection[DeadLetter]) -> list[str]:
    """Name the letters of a chunk of which no document was refused again."""
    ids = {letter.id for letter in rejected}
    # Without the topic's key, which an id of the configuration's own does not tell.
    places = {letter.record[:4] for letter in rejected}
    return [
        letter.id
        for record, letters in chunk.items()
        for letter in letters
        if letter.id not in ids and not (letter.element is None and record[:4] in places)
    ]
