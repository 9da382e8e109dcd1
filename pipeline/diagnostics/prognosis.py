"""What is wrong with indices, shards, lifecycle and fields, or will be: pure, from what the servers have said."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from pipeline.diagnostics.verdicts import Verdict
from pipeline.install.check import Finding

__all__ = [
    "FieldCounts",
    "IndexFacts",
    "Stay",
    "age_days",
    "count_fields",
    "days_kept",
    "ends_with_day",
    "field_findings",
    "index_findings",
    "lifecycle_plan",
    "partition_finding",
    "shard_finding",
]

_DAY = re.compile(r"-(\d{4})\.(\d{2})\.(\d{2})(?:-\d{6})?$")
_AGE = re.compile(r"(\d+)(nanos|micros|ms|s|m|h|d)")
_DAYS = {
    "nanos": 0.0,
    "micros": 0.0,
    "ms": 1 / 86_400_000,
    "s": 1 / 86_400,
    "m": 1 / 1440,
    "h": 1 / 24,
    "d": 1.0,
}
_NAMED = 5
_CROWDED = 0.9
_SOON = 30


class IndexFacts(NamedTuple):
    """What Elasticsearch says of an index."""

    name: str
    policy: str | None
    blocks: Sequence[str]
    """Blocks that are set, such as `read_only_allow_delete`."""
    shards: int
    """Primaries and their copies."""
    fields: int
    fields_limit: int
    error_step: str | None
    """Why its lifecycle stands still; None where it does not."""


class Stay(NamedTuple):
    """Where the lifecycle has an index on a day."""

    name: str
    """Of the index."""
    age_days: int
    phase: str
    """`deleted` where it is no more."""
    next_phase: str | None
    next_on: date | None


def index_findings(indices: Sequence[IndexFacts], policy: str | None) -> list[Finding]:
    """Judge the indices that are there; `policy` is the one they should have, None on a server without lifecycle."""
    if not indices:
        return [Finding("indices", None, "there are none yet: a worker makes each with its first document")]
    found = []
    if stuck := [one for one in indices if one.error_step is not None]:
        reasons = "; ".join(dict.fromkeys(str(one.error_step) for one in stuck))
        found.append(
            Finding(
                "lifecycle",
                False,
                f"stands still for {_names(stuck)}: {reasons}. Mend it, then POST <index>/_ilm/retry",
            )
        )
    if blocked := [one for one in indices if one.blocks]:
        blocks = ", ".join(sorted({block for one in blocked for block in one.blocks}))
        found.append(
            Finding(
                "indices",
                False,
                f"{_names(blocked)} take no documents ({blocks}): what is for them waits. Free disk space where it is "
                "read_only_allow_delete; else take the block off",
            )
        )
    if policy is not None and (others := [one for one in indices if one.policy != policy]):
        named = ", ".join(sorted({one.policy or "none" for one in others}))
        found.append(
            Finding(
                "lifecycle",
                None,
                f"{_names(others)} have another policy ({named}) than {policy}: they were made before `logpipe setup`, "
                "or by another template; PUT <index>/_settings with index.lifecycle.name changes that",
            )
        )
    if crowded := [one for one in indices if one.fields > _CROWDED * one.fields_limit]:
        worst = max(crowded, key=lambda one: one.fields / one.fields_limit)
        found.append(
            Finding(
                "fields",
                None,
                f"{_names(crowded)} are nearly full of fields ({worst.fields} of {worst.fields_limit} in "
                f"{worst.name}): further ones are kept and cannot be searched",
            )
        )
    return found or [
        Finding("indices", True, f"{len(indices)} are there; none is blocked, none stands still")
    ]


def _names(indices: Sequence[IndexFacts]) -> str:
    names = [one.name for one in indices]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def shard_finding(
    *, shards: int, nodes: int, per_node: int, own: int, shards_a_day: int, kept: float | None
) -> Finding:
    """Say how long the cluster's limit of shards lasts.

    shards, own -- that are there: of all, and of this pipeline
    shards_a_day -- that a new day takes
    kept -- days until an index is deleted; None where none ever is
    """
    limit = nodes * per_node
    left = limit - shards
    told = f"{shards} of {limit} ({nodes} data nodes, cluster.max_shards_per_node = {per_node})"
    if not shards_a_day:
        return Finding("shards", True, told)
    to_come = None if kept is None else max(math.ceil(kept) * shards_a_day - own, 0)
    if to_come is not None and to_come <= left:
        return Finding(
            "shards",
            True,
            f"{told}; {shards_a_day} more a day, {to_come} more until the first index is deleted",
        )
    days = max(left, 0) // shards_a_day
    why = "no index is ever deleted" if to_come is None else f"{to_come} more are to come"
    return Finding(
        "shards",
        False if days < _SOON or to_come is not None else None,
        f"{told}; {shards_a_day} more a day and {why}: the limit is reached in {days} days, and then no index of a new "
        "day is made. Delete sooner, take fewer shards a day, or add a node",
    )


def days_kept(phases: Mapping[str, str]) -> float | None:
    """Give the age at which an index is deleted, in days, by the minimum ages of the phases."""
    return age_days(phases["delete"]) if "delete" in phases else None


def ends_with_day(index: str) -> bool:
    """Tell whether an index is one of a day, by its name."""
    return _DAY.search(index) is not None


def age_days(text: str) -> float:
    """Read a minimum age of a policy, such as `7d`, in days; 0 for what is none."""
    match = _AGE.fullmatch(text)
    return int(match[1]) * _DAYS[match[2]] if match else 0.0


def lifecycle_plan(phases: Mapping[str, str], indices: Iterable[str], on: date) -> list[Stay]:
    """Simulate the lifecycle: in which phase each daily index is on a day, by the date in its name.

    phases -- the minimum age of each phase, as in the policy: `{"hot": "0ms", "warm": "7d", …}`
    """
    ages = sorted(((age_days(text), phase) for phase, text in phases.items()), key=lambda each: each[0])
    plan = []
    for index in sorted(indices):
        match = _DAY.search(index)
        if match is None:
            continue
        day = date(*map(int, match.groups()))
        age = (on - day).days
        reached = [phase for least, phase in ages if age >= least]
        coming = next(((least, phase) for least, phase in ages if age < least), None)
        phase = reached[-1] if reached else "not there yet"
        plan.append(
            Stay(
                index,
                age,
                "deleted" if phase == "delete" else phase,
                None if coming is None else coming[1],
                None if coming is None else day + timedelta(days=math.ceil(coming[0])),
            )
        )
    return plan


class FieldCounts(NamedTuple):
    """What became of one field in a sample of documents."""

    documents: int
    example: str
    """Why, of the first of them."""


def count_fields(judged: Iterable[Verdict], into: dict[tuple[str, str], FieldCounts]) -> None:
    """Add the verdicts on one document to the counts, which are by field and outcome."""
    for verdict in judged:
        if verdict.outcome == "conflict" or (verdict.outcome == "kept" and verdict.unfit):
            key = verdict.field, verdict.outcome
            before = into.get(key, FieldCounts(0, verdict.why))
            into[key] = before._replace(documents=before.documents + 1)


def field_findings(counts: Mapping[tuple[str, str], FieldCounts], sampled: int) -> list[Finding]:
    """Say which fields of the sample are refused, or cannot be searched as they are."""
    if not sampled:
        return [Finding("sample", None, "no record of the last hour: nothing was held against the mapping")]
    found = []
    for (field, outcome), count in sorted(counts.items(), key=lambda each: -each[1].documents):
        if outcome == "conflict":
            found.append(
                Finding(
                    f"field {field}",
                    False,
                    f"conflicts in {count.documents:,} of {sampled:,} documents ({count.example}). Give the field one "
                    "type where it is logged, or map it in <prefix>@custom",
                )
            )
        else:
            found.append(
                Finding(
                    f"field {field}",
                    None,
                    f"in {count.documents:,} of {sampled:,} documents: {count.example}",
                )
            )
    return found or [Finding("sample", True, f"{sampled:,} documents of the last hour: no field conflicts")]


def partition_finding(topic: str, partitions: int, workers: int) -> Finding:
    """Say whether every worker can have a partition."""
    if not workers:
        return Finding(
            f"topic {topic}", True, f"has {partitions} partitions; there is a worker for each core"
        )
    if partitions < workers:
        return Finding(
            f"topic {topic}",
            None,
            f"has {partitions} partitions for {workers} workers (run.workers): the others stand idle. Add partitions",
        )
    return Finding(f"topic {topic}", True, f"has {partitions} partitions for {workers} workers")
