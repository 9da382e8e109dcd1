"""`geoip`: where an address is, or whose, from a MaxMind database on disk."""

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.logstash.fields import Event, Path as FieldPath, get, set_field, tag_failure
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("string", required=True),
    "target": Option("string"),
    "database": Option("string"),
    "default_database_type": Option("string", "City", choices=("City", "ASN")),
    "fields": Option("array"),
    "cache_size": Option("number", 1000, status="ignored", note="The library maps the file into memory."),
    "tag_on_failure": Option("array", ["_geoip_lookup_failure"]),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}
Fields = dict[str, Any]
# Where `geoipupdate` and the packages of distributions put databases.
FOLDERS: Final = (Path("/usr/share/GeoIP"), Path("/usr/local/share/GeoIP"), Path("/var/lib/GeoIP"))
_NAMES: Final = ("GeoIP2-{}.mmdb", "GeoLite2-{}.mmdb")


def build(given: Given, site: Site) -> Change:
    """Look up an address in the database that is named, or else in one that is installed: none is downloaded."""
    try:
        import maxminddb  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise given.position.error(
            "`geoip` needs the library maxminddb.", 'Install it: pip install "kafka-log-pipeline[filters]".'
        ) from None
    path = _database(given, site)
    try:
        reader = maxminddb.open_database(path)
    except (maxminddb.InvalidDatabaseError, OSError) as error:
        raise given.place("database").error(f"The database {path} cannot be read: {error}") from None
    ecs = (given["ecs_compatibility"] or site.ecs) != "disabled"
    source = site.path(given["source"], given.place("source"))
    target = _target(given, site, source, ecs)
    is_asn = "ASN" in reader.metadata().database_type or "ISP" in reader.metadata().database_type
    write = (_asn_fields if is_asn else _city_fields)(ecs)
    wanted = None if given["fields"] is None else {name.lower() for name in given.texts("fields")}
    tags = given.texts("tag_on_failure")

    def run(event: Event, _origin: Origin) -> bool:
        value = get(event, source)
        if value.__class__ is list:
            value = value[0] if value else None
        try:
            address = ipaddress.ip_address(value) if value.__class__ is str else None
            found = reader.get(address) if address is not None else None
        except ValueError:
            found = None
        if not isinstance(found, dict) or not found:
            if value is None:
                return False
            for tag in tags:
                tag_failure(event, tag)
            return False
        for name, (place, inner) in write(found, str(address)).items():
            if inner is not None and (wanted is None or name in wanted):
                set_field(event, (*target, *place), inner)
        return True

    return Change(run)


def _database(given: Given, site: Site) -> Path:
    if given["database"] is not None:
        return site.file(given["database"], given.place("database"))
    kind = given["default_database_type"]
    for folder in FOLDERS:
        for name in _NAMES:
            if (path := folder / name.format(kind)).is_file():
                return path
    raise given.position.error(
        "`geoip` needs the option `database`.",
        f"Logstash downloads one; here it is the path of an .mmdb file, or {_NAMES[1].format(kind)} is installed in "
        f"{' or '.join(map(str, FOLDERS))}, as geoipupdate does.",
    )


def _target(given: Given, site: Site, source: FieldPath, ecs: bool) -> FieldPath:
    if given["target"]:
        return site.path(given["target"], given.place("target"))
    if not ecs:
        return ("geoip",)
    if len(source) > 1 and source[-1] == "ip":
        return source[:-1]
    raise given.position.error(
        "`geoip` needs the option `target`.", "With ECS it has a default only when `source` ends in [ip]."
    )


Written = Callable[[Fields, str], dict[str, tuple[FieldPath, Any]]]


def _city_fields(ecs: bool) -> Written:
    """Give the function that picks what a City or Country database says, by Logstash's names."""

    def write(found: Fields, address: str) -> dict[str, tuple[FieldPath, Any]]:
        location = found.get("location") or {}
        country, continent = found.get("country") or {}, found.get("continent") or {}
        region = (found.get("subdivisions") or [{}])[0]
        latitude, longitude = location.get("latitude"), location.get("longitude")
        point = (
            {"lon": longitude, "lat": latitude} if latitude is not None and longitude is not None else None
        )
        code, region_code = country.get("iso_code"), region.get("iso_code")
        values = {
            "ip": ("ip", ("ip",), address),
            "city_name": ("city_name", ("geo", "city_name"), _english(found.get("city"))),
            "continent_code": ("continent_code", ("geo", "continent_code"), continent.get("code")),
            "continent_name": ("continent_name", ("geo", "continent_name"), _english(continent)),
            "country_name": ("country_name", ("geo", "country_name"), _english(country)),
            "country_code2": ("country_code2", ("geo", "country_iso_code"), code),
            "country_code3": ("country_code3", (), code),
            "latitude": ("latitude", (), latitude),
            "longitude": ("longitude", (), longitude),
            "location": ("location", ("geo", "location"), point),
            "postal_code": ("postal_code", ("geo", "postal_code"), (found.get("postal") or {}).get("code")),
            "region_name": ("region_name", ("geo", "region_name"), _english(region)),
            "region_code": ("region_code", (), region_code),
            "region_iso_code": (
                "region_iso_code",
                ("geo", "region_iso_code"),
                f"{code}-{region_code}" if code and region_code else None,
            ),
            "timezone": ("timezone", ("geo", "timezone"), location.get("time_zone")),
            "dma_code": ("dma_code", ("mmdb", "dma_code"), location.get("metro_code")),
        }
        skipped = {"continent_name", "region_iso_code"}
        return {
            name: (place if ecs else (plain,), value)
            for name, (plain, place, value) in values.items()
            if (place if ecs else name not in skipped)
        }

    return write


def _asn_fields(ecs: bool) -> Written:
    def write(found: Fields, address: str) -> dict[str, tuple[FieldPath, Any]]:
        number = found.get("autonomous_system_number")
        name = found.get("autonomous_system_organization")
        return {
            "ip": (("ip",), address),
            "asn": (("as", "number") if ecs else ("asn",), number),
            "as_org": (("as", "organization", "name") if ecs else ("as_org",), name),
        }

    return write


def _english(names: Any) -> Any:
    return (names or {}).get("names", {}).get("en")
