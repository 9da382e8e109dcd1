"""The filters that the settings name, ready to run. The compiler is imported only where there are any."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.encode.filtering import Filtering
    from pipeline.encode.own_functions import OwnFunctions
    from pipeline.encode.routing import Targets

__all__ = ["Make", "compile_filtering", "filtering_of", "make_of", "targets_of"]


class Make(Protocol):
    """What makes the documents of a record as a worker does: the filters, where there are any."""

    def __call__(
        self,
        value: bytes | None,
        record: Coordinates,
        now_ms: int,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        /,
    ) -> list[Document]:
        """Make them; `now_ms` is the time of reading, in milliseconds since 1970."""


def make_of(settings: Settings, builder: DocumentBuilder) -> Make:
    """Give what makes documents of single records, by these settings; raises LogstashError."""
    filtering = filtering_of(settings, builder)
    if filtering is not None:
        return filtering.documents
    return lambda value, record, now_ms, _key, headers: builder.documents(value, record, now_ms, headers)


def filtering_of(settings: Settings, builder: DocumentBuilder) -> "Filtering | None":
    """Compile the filters where there are any, for what does once what a worker does; raises LogstashError."""
    if not settings.filters.wanted:
        return None
    from pipeline.encode.own_functions import OwnFunctions  # noqa: PLC0415 - only where there are filters

    return compile_filtering(settings, builder, OwnFunctions(settings.filters.python_timeout))


def compile_filtering(settings: Settings, builder: DocumentBuilder, functions: "OwnFunctions") -> "Filtering":
    """Compile the filters; `functions` counts what the user's own do. Raises LogstashError."""
    from pipeline.encode.filtering import Filtering  # noqa: PLC0415 - only where there are filters
    from pipeline.logstash.run_settings import compile_filters_of  # noqa: PLC0415 - only where there are filters

    return Filtering(compile_filters_of(settings.filters, functions.wrap), builder, settings)


def targets_of(settings: Settings) -> "Targets | None":
    """Say where the filters' outputs write beside the pipeline's own indices; raises LogstashError."""
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    filtering = filtering_of(settings, builder)
    return None if filtering is None else filtering.targets
