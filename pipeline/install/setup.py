"""`logpipe setup` as a whole: look at the servers, say what will change, change it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from elasticsearch import AsyncElasticsearch

from pipeline.bulk.client import make_client, server_errors
from pipeline.errors import LogpipeError, ServerRefused, SettingsError
from pipeline.install import elasticsearch as server
from pipeline.install.kibana import Kibana, SavedObject, load_saved_objects
from pipeline.install.logsdb import logsdb_note
from pipeline.install.other_templates import (
    conflicting_templates,
    overriding_templates,
    templates_taken_over,
)
from pipeline.install.plan import Change, plan_changes
from pipeline.install.resources import Kind, Resource, load_resources
from pipeline.install.server_version import server_version
from pipeline.install.topics import TopicPlan, TopicSpec, create_topics, plan_topics, wanted_topics
from pipeline.settings import Settings

__all__ = ["SetupResult", "run_setup"]

# Workers of a group share partitions: eight leave room to grow without a new topic.
_PARTITIONS = 8


@dataclass(frozen=True, slots=True)
class SetupResult:
    """What was changed or, in a dry run, would be."""

    dry_run: bool
    with_ilm: bool
    changes: tuple[Change, ...]
    write_index: str | None
    """The first index behind the write alias, if it was (or is to be) created; `index.roll = "ilm"` only."""
    topics: tuple[str, ...]
    """The topics that were (or are to be) created."""
    saved_objects: tuple[str, ...] = ()
    """What was (or is to be) imported into Kibana; whether that changes anything Kibana does not say."""
    server: str = ""
    """Product and version of what was found at `elasticsearch.hosts`."""

    @property
    def changed(self) -> bool:
        """Tell whether there was anything to do."""
        return bool(self.changes or self.write_index or self.topics or self.saved_objects)


class _Dashboards(NamedTuple):
    """What is to be imported, and where."""

    kibana: Kibana
    objects: list[SavedObject]

    async def install(self, *, dry_run: bool, report: Callable[[str], None]) -> tuple[str, ...]:
        if not dry_run:
            await self.kibana.import_objects(self.objects)
        for one in self.objects:
            report(f"{'would import' if dry_run else 'imported'} {one} into {self.kibana.url}")
        return tuple(one.id for one in self.objects)


class _Plan(NamedTuple):
    """What is to be done in Elasticsearch."""

    wanted: list[Resource]
    """What this server is to hold: without what it does not have and ours can be without."""
    changes: list[Change]
    current: dict[str, dict[str, Any] | None]
    """What is there now, by path; None for what is not."""
    needs_write_index: bool
    """Whether the first index behind the write alias is missing."""
    notes: list[str]
    """What there is to say of this server."""


async def run_setup(
    settings: Settings,
    *,
    dry_run: bool = False,
    without_ilm: bool = False,
    with_topics: bool = True,
    partitions: int = _PARTITIONS,
    replication_factor: int | None = None,
    index_settings: Mapping[str, str] | None = None,
    kibana: str | None = None,
    jaeger: str | None = None,
    report: Callable[[str], None],
) -> SetupResult:
    """Bring the servers to the state that the pipeline needs; a second run finds nothing to do.

    dry_run -- only report what would change, as a unified diff against what the server holds
    without_ilm -- leave out the lifecycle, for a server that has none
    with_topics -- create topics that are missing
    partitions, replication_factor -- of topics to create; the broker's default replication if None
    index_settings -- index settings that win over those of `mappings/`
    kibana -- URL of a Kibana to import the dashboards into, over those that are there
    jaeger -- URL of Jaeger's pages, for the links of trace ids
    report -- told, a text at a time, what is done

    Raises SettingsError, ServerUnavailable and ServerRefused. Nothing is changed before all servers were asked
    and everything that can be known beforehand to fail has been looked at, in a dry run too. What Elasticsearch refuses
    all the same leaves it as it was.
    """
    if without_ilm and settings.index.roll == "ilm":
        raise SettingsError("index.roll = 'ilm' needs ILM: --without-ilm goes with index.roll = 'day' only")
    wanted = load_resources(settings.index, lifecycle=not without_ilm, index_settings=index_settings)
    dashboards = await _look_at_kibana(settings, kibana, jaeger)
    topics = TopicPlan((), ())
    if with_topics:
        specs = wanted_topics(settings, partitions=partitions, replication_factor=replication_factor)
        topics = await plan_topics(settings.kafka, specs)
    async with make_client(settings.elasticsearch) as client:
        found = await _supported_server(client, settings)
        plan = await _plan(client, settings, wanted, without_ilm=without_ilm)
        if dry_run:
            _report_plan(plan, topics, settings, report)
            first = server.index_of_today(settings.index, datetime.now(UTC))
            write_index = first if plan.needs_write_index else None
        else:
            write_index = await _apply(client, settings, plan, report)
    if not dry_run:
        await create_topics(settings.kafka, topics.missing)
        for spec in topics.missing:
            report(f"created {_described(spec)}")
    imported = () if dashboards is None else await dashboards.install(dry_run=dry_run, report=report)
    for remark in (*plan.notes, *topics.remarks):
        report(f"note: {remark}")
    if without_ilm:
        report("note: without ILM no index is ever moved or deleted; delete old ones yourself")
    return SetupResult(
        dry_run=dry_run,
        with_ilm=not without_ilm,
        changes=tuple(plan.changes),
        write_index=write_index,
        topics=tuple(spec.name for spec in topics.missing),
        saved_objects=imported,
        server=found,
    )


async def _supported_server(client: AsyncElasticsearch, settings: Settings) -> str:
    """Name the server; raises ServerRefused for one that is not supported."""
    with server_errors(settings.elasticsearch, "say which version it is"):
        found = await server_version(client)
    if found.supported is False:
        where = ", ".join(settings.elasticsearch.hosts)
        raise ServerRefused(f"{where} (elasticsearch.hosts): {found.detail}")
    return found.detail


async def _plan(
    client: AsyncElasticsearch, settings: Settings, wanted: list[Resource], *, without_ilm: bool
) -> _Plan:
    """Look at everything that could be in the way; raises ServerRefused where something is."""
    with server_errors(settings.elasticsearch, "show its templates and policies"):
        if not without_ilm and not await server.has_ilm(client, wanted[0].name):
            raise ServerRefused(
                "this Elasticsearch has no index lifecycle management (ILM): nothing would move or delete old "
                "indices. `logpipe setup --without-ilm` installs everything else"
            )
        current = await server.read(client, wanted)
        _refuse_beside(await server.read_index_templates(client), wanted, settings)
        needs_write_index = settings.index.roll == "ilm" and not await server.has_write_alias(
            client, settings.index.prefix
        )
    with server_errors(settings.elasticsearch, "take the index templates"):
        wanted, notes = await server.fitting(client, wanted)
    if settings.index.storage == "logsdb":
        notes.append(logsdb_note(await server.licence(client)))
    return _Plan(wanted, plan_changes(wanted, current), current, needs_write_index, notes)


def _refuse_beside(there: list[dict[str, Any]], wanted: list[Resource], settings: Settings) -> None:
    """Raise ServerRefused when an index template that is there and ours would be in each other's way."""
    template = wanted[-1]
    what_to_do = "Delete it, change its priority, or choose another index.prefix"
    winners = overriding_templates(there, template, server.index_of_today(settings.index, datetime.now(UTC)))
    if winners:
        raise ServerRefused(
            f"indices named {settings.index.prefix}-YYYY.MM.dd would not get our template: "
            f"{'; '.join(winners)} has a higher priority than {template.body['priority']}. {what_to_do}"
        )
    for one in wanted:
        if one.kind is not Kind.INDEX_TEMPLATE:
            continue
        if conflicts := conflicting_templates(there, one):
            raise ServerRefused(
                f"Elasticsearch would refuse the index template {one.name}: {'; '.join(conflicts)} matches the same "
                f"indices with the same priority. {what_to_do}"
            )
        if losers := templates_taken_over(there, one):
            raise ServerRefused(
                f"the index template {one.name} would take the indices of {', '.join(losers)}, which an earlier "
                "version has installed. Run `logpipe setup` for that index.prefix first"
            )


async def _apply(
    client: AsyncElasticsearch,
    settings: Settings,
    plan: _Plan,
    report: Callable[[str], None],
) -> str | None:
    applied: list[Change] = []
    try:
        for change in plan.changes:
            with server_errors(settings.elasticsearch, str(change)):
                await server.put(client, change.resource)
            applied.append(change)
            report(_done(change))
        return await _finish(client, settings, plan, report)
    except LogpipeError:
        await _undo(client, settings, applied, plan, report)
        raise


async def _undo(
    client: AsyncElasticsearch,
    settings: Settings,
    applied: list[Change],
    plan: _Plan,
    report: Callable[[str], None],
) -> None:
    """Put back what was there, the last change first; says so, and what could not be put back."""
    for change in reversed(applied):
        resource = change.resource
        try:
            with server_errors(settings.elasticsearch, f"put {resource.name} back"):
                await server.restore(client, resource, plan.current[resource.path])
        except LogpipeError as error:
            report(f"not undone: {_done(change)}: {error}")
        else:
            report(f"undone: {_done(change)}")


async def _finish(
    client: AsyncElasticsearch,
    settings: Settings,
    plan: _Plan,
    report: Callable[[str], None],
) -> str | None:
    """Ask whether the templates are in force, and create the first index behind the write alias if it is missing."""
    template = plan.wanted[-1]
    with server_errors(settings.elasticsearch, "say which template an index would get"):
        overridden = await server.overridden_for(client, template, settings.index, datetime.now(UTC))
    if overridden:
        raise ServerRefused(f"the index {overridden} would not get the index template {template.name}")
    if not plan.needs_write_index:
        return None
    alias = settings.index.prefix
    with server_errors(settings.elasticsearch, f"create the first index behind the alias {alias}"):
        write_index = await server.create_write_index(client, alias)
    report(f"created index {write_index} behind the write alias {alias}")
    return write_index


async def _look_at_kibana(settings: Settings, kibana: str | None, jaeger: str | None) -> _Dashboards | None:
    if kibana is None:
        if jaeger is not None:
            raise SettingsError("--jaeger is for the links of the dashboards: it goes with --kibana")
        return None
    objects = load_saved_objects(settings.index.prefix, jaeger=jaeger)
    target = Kibana(kibana, settings.elasticsearch)
    await target.check()
    return _Dashboards(target, objects)


def _report_plan(
    plan: _Plan,
    topics: TopicPlan,
    settings: Settings,
    report: Callable[[str], None],
) -> None:
    for change in plan.changes:
        report(f"would {change}")
        report(change.diff)
    if plan.needs_write_index:
        report(f"would create the first index behind the write alias {settings.index.prefix}")
    for spec in topics.missing:
        report(f"would create {_described(spec)}")


def _done(change: Change) -> str:
    verb, _, what = str(change).partition(" ")
    return f"{verb}d {what}"


def _described(spec: TopicSpec) -> str:
    configs = "".join(f", {name}={value}" for name, value in spec.configs.items())
    return f"topic {spec.name} ({spec.partitions} partitions{configs})"
