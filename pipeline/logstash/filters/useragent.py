"""`useragent`: a browser's text becomes names and versions, by the rules of ua-parser."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from pipeline.logstash.fields import Event, Path, get, remove, set_field
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option(
        "string",
        required=True,
        status="differs",
        note="The rules are those of the installed ua-parser: names and versions may be newer than Logstash's.",
    ),
    "target": Option("string"),
    "prefix": Option("string", ""),
    "regexes": Option("string", status="refused", note="The rules of the installed ua-parser are used."),
    "lru_cache_size": Option("number", 100_000),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}
_MAX_CACHED: Final = 1_000_000


def build(given: Given, site: Site) -> Change:
    """Take a text apart; each one only once while it stays in the cache."""
    try:
        from ua_parser import parse  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise given.position.error(
            "`useragent` needs the library ua-parser.",
            'Install it: pip install "kafka-log-pipeline[filters]".',
        ) from None
    ecs = (given["ecs_compatibility"] or site.ecs) != "disabled"
    source = site.path(given["source"], given.place("source"))
    name = given["target"] or ("user_agent" if ecs else None)
    target: Path = site.path(name, given.place("target")) if name else ()
    prefix = given["prefix"]
    write = _ecs_fields if ecs else _plain_fields
    size = min(max(int(given["lru_cache_size"]), 1), _MAX_CACHED)

    @lru_cache(size)
    def fields_of(text: str) -> tuple[tuple[Path, str], ...]:
        return tuple(write(parse(text), target, prefix))

    def run(event: Event, _origin: Origin) -> bool:
        text = get(event, source)
        if text.__class__ is list:
            text = text[0] if text else None
        if text.__class__ is not str or not text:
            return False
        if target == source:
            remove(event, source)
        for path, value in fields_of(text):
            set_field(event, path, value)
        if ecs and target != source:
            set_field(event, (*target, "original"), text)
        return True

    return Change(run)


def _version(*parts: str | None) -> str:
    known: list[str] = []
    for part in parts:
        if not part:
            break
        known.append(part)
    return ".".join(known)


def _parts(result: Any) -> tuple[Any, Any, str]:
    device = result.device.family if result.device else "Other"
    return result.user_agent, result.os, device


def _ecs_fields(result: Any, target: Path, prefix: str) -> list[tuple[Path, str]]:
    agent, system, device = _parts(result)
    fields: list[tuple[Path, str]] = [((*target, f"{prefix}name"), agent.family if agent else "Other")]
    if system:
        version = _version(system.major, system.minor, system.patch, system.patch_minor)
        fields.append(((*target, f"{prefix}os", "name"), system.family))
        if version:
            fields.append(((*target, f"{prefix}os", "version"), version))
            fields.append(((*target, f"{prefix}os", "full"), f"{system.family} {version}"))
    fields.append(((*target, f"{prefix}device", "name"), device))
    version = _version(agent.major, agent.minor, agent.patch, agent.patch_minor) if agent else ""
    if version:
        fields.append(((*target, f"{prefix}version"), version))
    return fields


def _plain_fields(result: Any, target: Path, prefix: str) -> list[tuple[Path, str]]:
    agent, system, device = _parts(result)
    found: dict[str, str | None] = {"name": agent.family if agent else "Other", "device": device}
    if system:
        version = _version(system.major, system.minor, system.patch, system.patch_minor)
        found["os"] = found["os_name"] = system.family
        found["os_version"] = version
        found["os_full"] = f"{system.family} {version}" if version else None
        found |= {"os_major": system.major, "os_minor": system.minor, "os_patch": system.patch}
    if agent:
        found["version"] = _version(agent.major, agent.minor, agent.patch, agent.patch_minor)
        found |= {
            "major": agent.major,
            "minor": agent.minor,
            "patch": agent.patch,
            "build": agent.patch_minor,
        }
    return [((*target, prefix + name), value) for name, value in found.items() if value]
