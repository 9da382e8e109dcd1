"""`cidr`: the common options apply when an address lies in a network."""

import ipaddress
from collections.abc import Mapping
from typing import Final, TypeAlias

from pipeline.logstash.fields import Event
from pipeline.logstash.interpolation import interpolate, is_dynamic
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "address": Option("array", [], required=True),
    "network": Option("array", []),
    "network_path": Option("string"),
    "refresh_interval": Option("number", 600, status="differs", note="The file is read at start."),
    "separator": Option("string", "\n"),
}
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def build(given: Given, site: Site) -> Change:
    """Hold addresses against networks; the first that fits is enough."""
    addresses = given.texts("address")
    texts = given.texts("network")
    if given["network_path"] is not None:
        if texts:
            raise given.place("network").error("`cidr` takes `network` or `network_path`, not both.")
        path = site.file(given["network_path"], given.place("network_path"))
        texts = path.read_text(encoding="utf-8").split(given["separator"])
    fixed = [network for text in texts if not is_dynamic(text) for network in _networks(text)]
    dynamic = [text for text in texts if is_dynamic(text)]

    def run(event: Event, _origin: Origin) -> bool:
        networks = fixed
        if dynamic:
            networks = [
                *fixed,
                *(network for text in dynamic for network in _networks(interpolate(event, text))),
            ]
        for text in addresses:
            try:
                address = ipaddress.ip_address(interpolate(event, text).strip())
            except ValueError:
                continue
            if any(address.version == network.version and address in network for network in networks):
                return True
        return False

    return Change(run)


def _networks(text: str) -> list[Network]:
    found: list[Network] = []
    for part in text.split(","):
        try:
            found.append(ipaddress.ip_network(part.strip(), strict=False))
        except ValueError:
            continue
    return found
