"""`fingerprint`: a hash of fields."""

import base64
import hashlib
import hmac
import ipaddress
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

import mmh3

from pipeline.logstash.fields import MISSING, Event, Path, find, get, set_field
from pipeline.logstash.filters.uuid import uuid_of
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import to_i, to_s

__all__ = ["OPTIONS", "build"]

_DIGESTS: Final = {"SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512", "MD5": "md5"}
# Worked out from what Logstash 9.2.8 makes of known texts.
_MURMUR_SEED: Final = 2
OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("array", ["message"]),
    "target": Option("string"),
    "method": Option(
        "string",
        "SHA1",
        choices=(*_DIGESTS, "MURMUR3", "MURMUR3_128", "IPV4_NETWORK", "UUID", "PUNCTUATION"),
        status="differs",
        note="UUID is made of the record's coordinates, so that a replay gives the same.",
    ),
    "key": Option("string"),
    "base64encode": Option("boolean", False),
    "concatenate_sources": Option("boolean", False),
    "concatenate_all_fields": Option("boolean", False),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}


def build(given: Given, site: Site) -> Change:
    """Hash fields one by one, the last winning, or joined."""
    ecs = (given["ecs_compatibility"] or site.ecs) != "disabled"
    target = site.path(given["target"] or ("[event][hash]" if ecs else "fingerprint"), given.place("target"))
    sources = [(name, site.path(name, given.place("source"))) for name in given.texts("source")]
    method = given["method"]
    if method == "UUID":

        def identify(event: Event, origin: Origin) -> bool:
            set_field(event, target, uuid_of(event, origin, site.label))
            return True

        return Change(identify)
    if method == "PUNCTUATION":
        return Change(lambda event, _origin: _punctuate(event, sources, target))
    hashed = _hasher(given)
    if given["concatenate_sources"] or given["concatenate_all_fields"]:
        everything = given["concatenate_all_fields"]

        def join(event: Event, _origin: Origin) -> bool:
            pairs = (
                ((name, event[name]) for name in sorted(event) if name != "@metadata")
                if everything
                else ((name, get(event, path)) for name, path in sorted(sources))
            )
            set_field(
                event,
                target,
                hashed("".join(f"|{name}|{to_s(_sorted(value))}" for name, value in pairs) + "|"),
            )
            return True

        return Change(join)

    def run(event: Event, _origin: Origin) -> bool:
        for _name, path in sources:
            value = find(event, path)
            if value.__class__ is list:
                set_field(event, target, [hashed(_sorted(inner)) for inner in value])
            elif value is not MISSING:
                set_field(event, target, hashed(_sorted(value)))
        return True

    return Change(run)


def _punctuate(event: Event, sources: list[tuple[str, Path]], target: Path) -> bool:
    for _name, path in sorted(sources):
        value = find(event, path)
        if value is not MISSING:
            set_field(event, target, "".join(c for c in to_s(value) if unicodedata.category(c)[0] in "PS"))
    return True


def _sorted(value: Any) -> Any:
    """Sort the names of objects, at every depth."""
    if value.__class__ is dict:
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(inner) for inner in value] if value.__class__ is list else value


def _hasher(given: Given) -> Callable[[Any], Any]:
    method, key, encode = given["method"], given["key"], given["base64encode"]
    if method == "IPV4_NETWORK":
        if key is None:
            raise given.position.error(
                "`fingerprint`: IPV4_NETWORK needs the option `key`, the length of the prefix."
            )
        return lambda value: str(ipaddress.ip_network(f"{value}/{to_i(key)}", strict=False).network_address)
    if method == "MURMUR3":
        return lambda value: mmh3.hash(_murmur_bytes(value), signed=False)
    if method == "MURMUR3_128":

        def murmur(value: Any) -> str:
            digest = mmh3.hash_bytes(_murmur_bytes(value), _MURMUR_SEED)
            return base64.b64encode(digest).decode() if encode else digest.hex()

        return murmur
    name = _DIGESTS[method]

    def digest(value: Any) -> str:
        data = to_s(value).encode("utf-8", "surrogatepass")
        if key is None:
            made = hashlib.new(name, data, usedforsecurity=False).digest()
        else:
            made = hmac.digest(key.encode(), data, name)
        return base64.b64encode(made).decode() if encode else made.hex()

    return digest


def _murmur_bytes(value: Any) -> bytes:
    if value.__class__ is int:
        return (value & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little")
    return to_s(value).encode("utf-8", "surrogatepass")
