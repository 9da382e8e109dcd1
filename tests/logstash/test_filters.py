"""Filters, or parts of them, that no golden case shows."""

from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Context, compile_filters
from pipeline.logstash.filters import geoip
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Ecs, Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp
from pipeline.logstash.trial import plain_document

ORIGIN = Origin("t", 0, 1, 1_705_314_600_123)


def filtered(
    text: str, ecs: Ecs = "disabled", directory: Path | None = None, **fields: Any
) -> dict[str, Any]:
    statements = parse(f"filter {{ {text} }}").statements("filter")
    pipeline = compile_filters(statements, Context(ecs=ecs, directory=directory or Path()))
    made: dict[str, Any] = {"@timestamp": Timestamp.of_milliseconds(0), **fields}
    outcomes = Outcomes()
    left, _origins = pipeline.run([made], [ORIGIN], outcomes)
    assert not outcomes.exceptions, outcomes.samples
    document = plain_document(left[0]) if left else {"dropped": True}
    return {
        name: value
        for name, value in document.items()
        if name not in {"@timestamp", "@metadata"} and name not in fields
    }


@pytest.mark.parametrize(
    ("code", "fields", "added"),
    [
        ("event.set('n', event.get('a').to_i(16))", {"a": "ff"}, {"n": 255}),
        ("event.set('n', event.get('a').to_f / 1000)", {"a": "1500"}, {"n": 1.5}),
        ("event.set('now', Time.now)", {}, {"now": "2024-01-15T10:30:00.123Z"}),
        ("event.set('u', event.get('l').uniq)", {"l": [1, 1, 2]}, {"u": [1, 2]}),
        ("event.get('o').each { |k, v| event.set(k, v) }", {"o": {"x": 1, "y": 2}}, {"x": 1, "y": 2}),
        ("h = event.get('o')\nh.each do |k, v|\n  event.set('p_' + k, v)\nend", {"o": {"x": 1}}, {"p_x": 1}),
        ("if event.get('a') == 'x' then event.set('b', 1) else event.set('b', 2) end", {"a": "y"}, {"b": 2}),
        ("event.tag('t') unless event.get('a')", {}, {"tags": ["t"]}),
        ("event.set('s', event.get('a').gsub(/o+/, '0').upcase)", {"a": "foo"}, {"s": "F0"}),
        ("event.set('l', event.get('a').split(',').map { |x| x.strip })", {"a": "a, b"}, {"l": ["a", "b"]}),
        ("event.set('n', event.get('l').length + 1)", {"l": [1, 2]}, {"n": 3}),
        ("event.set('d', (event.get('a') - event.get('b')) * 2)", {"a": 5, "b": 3}, {"d": 4}),
        ("event.set('c', event.get('a') ? 'yes' : 'no')", {"a": False}, {"c": "no"}),
        ("event.set('d', event.get('a') || 'none')", {}, {"d": "none"}),
        ("event.set('x', event.get('a').upcase)", {}, {"tags": ["_rubyexception"]}),
        ("event.cancel if event.get('a') > 1 && event.get('b').nil?", {"a": 2}, {"dropped": True}),
    ],
)
def test_the_common_shapes_of_ruby_are_read(code: str, fields: dict[str, Any], added: dict[str, Any]) -> None:
    assert filtered(f'ruby {{ code => "{code}" }}', **fields) == added


@pytest.mark.parametrize(
    "code",
    ["`ls`", "File.read('x')", "require 'json'", "event.get('a').send('x')", "while true do end", "(" * 60],
)
def test_other_ruby_is_refused_with_a_skeleton(code: str) -> None:
    with pytest.raises(LogstashError, match="def enrich"):
        filtered(f'ruby {{ code => "{code}" }}')


def test_ruby_texts_may_hold_expressions() -> None:
    code = 'name = "a"; event.set("t", "#{event.get(name)}-#{1 + 2}")'
    assert filtered(f"ruby {{ code => '{code}' }}", a="x") == {"t": "x-3"}


def test_xml_becomes_an_object_as_xmlsimple_makes_it() -> None:
    text = '<r id="7"><a>1</a><a>2</a><b x="y">t</b><c/><d><e>5</e></d></r>'
    added = filtered('xml { source => "m" target => "x" }', m=text)
    assert added == {
        "x": {"id": "7", "a": ["1", "2"], "b": [{"x": "y", "content": "t"}], "d": [{"e": ["5"]}]}
    }
    single = filtered('xml { source => "m" target => "x" force_array => false }', m="<r><a>1</a></r>")
    assert single == {"x": {"a": "1"}}


def test_xml_is_asked_by_xpath_and_brings_nothing_from_outside() -> None:
    added = filtered(
        'xml { source => "m" store_xml => false xpath => { "/r/a/text()" => "a" } }',
        m="<r><a>1</a><a>2</a></r>",
    )
    assert added == {"a": ["1", "2"]}
    assert filtered('xml { source => "m" target => "x" }', m="<r>") == {"tags": ["_xmlparsefailure"]}
    hostile = '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><r>&e;</r>'
    assert "root:" not in str(filtered('xml { source => "m" target => "x" }', m=hostile))


AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36"
)


def test_a_user_agent_is_taken_apart() -> None:
    added = filtered('useragent { source => "a" target => "ua" }', a=AGENT)["ua"]
    assert (added["name"], added["major"], added["os_name"], added["device"]) == (
        "Chrome",
        "120",
        "Windows",
        "Other",
    )
    ecs = filtered('useragent { source => "a" }', ecs="v8", a=AGENT)["user_agent"]
    assert (ecs["name"], ecs["version"], ecs["os"]["name"]) == ("Chrome", "120.0.0.0", "Windows")
    assert ecs["original"] == AGENT
    assert filtered('useragent { source => "a" }', b=1) == {}


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("databases")
    city = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-City")
    place = {
        "city": {"names": {"en": "Oslo"}},
        "continent": {"code": "EU", "names": {"en": "Europe"}},
        "country": {"iso_code": "NO", "names": {"en": "Norway"}},
        "location": {"latitude": 59.9, "longitude": 10.7, "time_zone": "Europe/Oslo"},
        "subdivisions": [{"iso_code": "03", "names": {"en": "Oslo County"}}],
    }
    city.insert_network(IPSet(["192.0.2.0/24"]), place)
    city.to_db_file(str(folder / "city.mmdb"))
    asn = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-ASN")
    asn.insert_network(
        IPSet(["192.0.2.0/24"]),
        {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"},
    )
    asn.to_db_file(str(folder / "asn.mmdb"))
    return folder


def test_an_address_is_placed(databases: Path) -> None:
    text = 'geoip { source => "ip" database => "city.mmdb" }'
    found = filtered(text, directory=databases, ip="192.0.2.7")["geoip"]
    assert (found["city_name"], found["country_code2"], found["location"]) == (
        "Oslo",
        "NO",
        {"lon": 10.7, "lat": 59.9},
    )
    assert filtered(text, directory=databases, ip="198.51.100.1") == {"tags": ["_geoip_lookup_failure"]}
    assert filtered(text, directory=databases, ip="no address") == {"tags": ["_geoip_lookup_failure"]}
    assert filtered(text, directory=databases, other=1) == {}


def test_an_installed_database_serves_where_none_is_named(
    databases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geoip, "FOLDERS", (tmp_path / "none", tmp_path))
    with pytest.raises(LogstashError, match=r"GeoLite2-City\.mmdb is installed in"):
        filtered('geoip { source => "ip" }', ip="192.0.2.7")
    (tmp_path / "GeoLite2-City.mmdb").symlink_to(databases / "city.mmdb")
    (tmp_path / "GeoLite2-ASN.mmdb").symlink_to(databases / "asn.mmdb")
    assert filtered('geoip { source => "ip" }', ip="192.0.2.7")["geoip"]["city_name"] == "Oslo"
    text = 'geoip { source => "ip" default_database_type => "ASN" }'
    assert filtered(text, ip="192.0.2.7")["geoip"]["asn"] == 64496


def test_an_address_is_placed_by_the_common_schema(databases: Path) -> None:
    text = 'geoip { source => "[client][ip]" database => "city.mmdb" fields => ["city_name", "region_iso_code"] }'
    statements = parse(f"filter {{ {text} }}").statements("filter")
    made: dict[str, Any] = {"client": {"ip": "192.0.2.7"}}
    left, _ = compile_filters(statements, Context(directory=databases)).run([made], [ORIGIN], Outcomes())
    assert left[0]["client"]["geo"] == {"city_name": "Oslo", "region_iso_code": "NO-03"}


def test_an_address_belongs_to_a_network(databases: Path) -> None:
    text = 'geoip { source => "ip" target => "g" database => "asn.mmdb" }'
    assert filtered(text, directory=databases, ip="192.0.2.7")["g"] == {
        "ip": "192.0.2.7",
        "asn": 64496,
        "as_org": "Example",
    }


def test_json_is_written_as_a_text() -> None:
    assert filtered('json_encode { source => "o" target => "t" }', o={"b": [1, None], "a": "é"}) == {
        "t": '{"b":[1,null],"a":"é"}'
    }


def test_dictionaries_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "d.yml").write_text('"200": ok\n404: missing\n')
    (tmp_path / "d.json").write_text('{"200": "ok"}')
    (tmp_path / "d.csv").write_text('200,ok\n"a,b",both\n')
    for name, value, found in (("yml", 404, "missing"), ("json", "200", "ok"), ("csv", "a,b", "both")):
        text = f'translate {{ source => "c" target => "t" dictionary_path => "d.{name}" }}'
        assert filtered(text, directory=tmp_path, c=value) == {"t": found}


def test_patterns_are_read_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "patterns").mkdir()
    (tmp_path / "patterns" / "own").write_text("# ours\nORDER [A-Z]{2}-%{INT}\n")
    text = 'grok { patterns_dir => ["patterns"] match => { "m" => "%{ORDER:order}" } }'
    assert filtered(text, directory=tmp_path, m="see AB-12.") == {"order": "AB-12"}


def test_a_network_file_and_several_addresses(tmp_path: Path) -> None:
    (tmp_path / "networks").write_text("192.0.2.0/24\n2001:db8::/32\nnonsense\n")
    text = 'cidr { address => ["%{a}", "%{b}"] network_path => "networks" add_tag => ["in"] }'
    assert filtered(text, directory=tmp_path, a="10.0.0.1", b="2001:db8::5") == {"tags": ["in"]}
    assert filtered(text, directory=tmp_path, a="10.0.0.1", b="no address") == {}


def test_dots_become_underscores_or_levels_at_any_depth() -> None:
    plain: Any = {"k": 1, "a.b": 2}
    assert filtered("de_dot { }", **plain) == {"a_b": 2}
    assert filtered('de_dot { fields => ["[o][a.b]"] }', o={"a.b": 1}) == {}
    deep: Any = {"x.y": {"a.b": 1}}
    assert filtered("de_dot { recursive => true nested => true }", **deep) == {"x": {"y": {"a": {"b": 1}}}}


def test_ids_are_the_same_for_the_same_record_and_differ_by_event() -> None:
    first, again = (filtered('uuid { target => "id" }', a=1) for _ in range(2))
    assert first == again
    assert filtered('uuid { target => "id" }', a=2) != first


@pytest.mark.parametrize(
    ("pattern", "text", "read"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2024-02-29 23:59:59", "2024-02-29T23:59:59.000Z"),
        ("yyyy-MM-dd HH:mm:ss", "2023-02-29 00:00:00", None),
        ("MMM d HH:mm:ss", "Dec 31 23:59:59", "2023-12-31T23:59:59.000Z"),
        ("dd.MM.yy", "05.06.07", "2007-06-05T00:00:00.000Z"),
        ("D yyyy", "60 2024", "2024-02-29T00:00:00.000Z"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSSSSZ", "2024-01-15T10:30:00.123456+0100", "2024-01-15T09:30:00.123Z"),
        ("hh:mm a dd/MM/yyyy", "12:05 PM 15/01/2024", "2024-01-15T12:05:00.000Z"),
        ("yyyy-MM-dd ZZZ", "2024-01-15 Asia/Tokyo", "2024-01-14T15:00:00.000Z"),
        ("xxxx-'W'ww", "2024-W03", None),
    ],
)
def test_dates_are_read_by_joda_patterns(pattern: str, text: str, read: str | None) -> None:
    added = filtered(f'date {{ match => ["t", "{pattern}"] target => "x" }}', t=text)
    if pattern.startswith("xxxx"):
        assert added["x"].startswith("2024-01-")
        return
    assert added == ({"x": read} if read else {"tags": ["_dateparsefailure"]})
