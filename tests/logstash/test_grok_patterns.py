"""The pattern sets of grok: which patterns there are, where each is from, and what those of ours read."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from pipeline.logstash.compiler import Context, compile_filters
from pipeline.logstash.grok_library import standard_patterns
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Ecs, Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp
from pipeline.logstash.trial import plain_document

SETS = resources.files("pipeline.logstash.grok_patterns")
LISTED = Path(__file__).with_name("grok_patterns.txt")
ORIGIN = Origin("t", 0, 1, 1_705_314_600_123)


def patterns_by_source() -> dict[str, list[str]]:
    """Give the names of the patterns under `set, source`, as the sections of the files say it."""
    found: dict[str, list[str]] = {}
    for folder in ("legacy", "ecs-v1"):
        for file in SETS.joinpath(folder).iterdir():
            source = ""
            for line in file.read_text(encoding="utf-8").splitlines():
                if line.startswith("## "):
                    source = line.removeprefix("## ")
                elif line and not line.startswith("#"):
                    found.setdefault(f"{folder}, {source}", []).append(line.partition(" ")[0])
    return {source: sorted(names) for source, names in found.items()}


def listed_patterns() -> dict[str, list[str]]:
    """Read the list: `## set, source: count`, then the names; the counts are held against the names."""
    listed: dict[str, list[str]] = {}
    for section in LISTED.read_text(encoding="utf-8").removeprefix("## ").split("\n## "):
        heading, _end, names = section.partition("\n")
        source, _colon, count = heading.rpartition(": ")
        listed[source] = names.split()
        assert len(listed[source]) == int(count), source
    return listed


def test_each_pattern_is_from_where_the_list_says() -> None:
    assert patterns_by_source() == listed_patterns()


@pytest.mark.parametrize(("folder", "count"), [("legacy", 317), ("ecs-v1", 361)])
def test_no_pattern_is_defined_twice(folder: str, count: int) -> None:
    names = [
        name for source, names in listed_patterns().items() if source.startswith(folder) for name in names
    ]
    assert len(names) == len(set(names)) == count
    assert set(names) == set(standard_patterns(ecs=folder == "ecs-v1"))


def test_the_notice_names_every_package_with_its_version() -> None:
    notice = SETS.joinpath("NOTICE").read_text(encoding="utf-8")
    sources = {source.partition(", ")[2] for source in listed_patterns()} - {"own"}
    for source in sources:
        package = source.removeprefix("from ").removeprefix("the crate ").removesuffix(" (Apache-2.0)")
        assert package in notice


def grok(pattern: str, line: str, ecs: Ecs = "v8") -> dict[str, Any]:
    match = f'grok {{ match => {{ "line" => "%{{{pattern}}}" }} }}'
    pipeline = compile_filters(
        parse(f"filter {{ {match} }}").statements("filter"), Context(ecs=ecs, directory=Path())
    )
    outcomes = Outcomes()
    left, _origins = pipeline.run(
        [{"@timestamp": Timestamp.of_milliseconds(0), "line": line}], [ORIGIN], outcomes
    )
    assert not outcomes.exceptions, outcomes.samples
    return {
        name: value
        for name, value in plain_document(left[0]).items()
        if name not in {"@timestamp", "@metadata", "line"}
    }


IDS = "1300475168.853899\tCHhAvVGS1DHFjwGM9\t10.0.0.5\t53102\t192.0.2.9\t80"
OF_IDS = {
    "timestamp": "1300475168.853899",
    "source": {"ip": "10.0.0.5", "port": 53102},
    "destination": {"ip": "192.0.2.9", "port": 80},
}


def test_a_line_of_zeek_connections() -> None:
    columns = "tcp\thttp\t0.25\t73\t311\tSF\tT\t-\t0\tShADadFf\t6\t397\t4\t527\t(empty)"
    zeek = {
        "session_id": "CHhAvVGS1DHFjwGM9",
        "connection": {
            "duration": 0.25,
            "orig_bytes": 73,
            "resp_bytes": 311,
            "state": "SF",
            "local_orig": "T",
            "missed_bytes": 0,
            "history": "ShADadFf",
        },
    }
    expected: dict[str, Any] = {
        "timestamp": OF_IDS["timestamp"],
        "source": {"ip": "10.0.0.5", "port": 53102, "packets": 6, "bytes": 397},
        "destination": {"ip": "192.0.2.9", "port": 80, "packets": 4, "bytes": 527},
        "network": {"transport": "tcp", "protocol": "http"},
        "zeek": zeek,
    }
    assert grok("ZEEK_CONN", f"{IDS}\t{columns}") == expected
    expected["source"]["mac"] = "00:1b:21:00:00:01"
    expected["destination"]["mac"] = "00:1b:21:00:00:02"
    assert grok("ZEEK_CONN", f"{IDS}\t{columns}\t00:1b:21:00:00:01\t00:1b:21:00:00:02") == expected


def test_a_line_of_zeek_names() -> None:
    columns = "udp\t7\t0.01\ta.org\t1\tC_INTERNET\t1\tA\t0\tNOERROR\tF\tF\tT\tT\t0\t192.0.2.1,192.0.2.2\t60.0,60.0\tF"
    assert grok("ZEEK_DNS", f"{IDS}\t{columns}") == {
        **OF_IDS,
        "network": {"transport": "udp"},
        "dns": {"id": 7, "question": {"name": "a.org", "type": "A"}, "response_code": "NOERROR"},
        "zeek": {
            "session_id": "CHhAvVGS1DHFjwGM9",
            "dns": {
                "rtt": 0.01,
                "qclass": 1,
                "qclass_name": "C_INTERNET",
                "qtype": 1,
                "rcode": 0,
                "AA": "F",
                "TC": "F",
                "RD": "T",
                "RA": "T",
                "Z": 0,
                "answers": "192.0.2.1,192.0.2.2",
                "TTLs": "60.0,60.0",
                "rejected": "F",
            },
        },
    }


def test_a_line_of_zeek_requests() -> None:
    request = "1\tGET\texample.org\t/a?b=c\t-\t1.1\tcurl/8.0 (x)\t-\t0\t12\t200\tOK\t-\t-\t(empty)\t-\t-\t-"
    assert grok("ZEEK_HTTP", f"{IDS}\t{request}\t-\t-\t-\tF1\t-\ttext/html") == {
        **OF_IDS,
        "http": {
            "request": {"method": "GET", "body": {"bytes": 0}},
            "version": "1.1",
            "response": {"body": {"bytes": 12}, "status_code": 200, "mime_type": "text/html"},
        },
        "url": {"domain": "example.org", "original": "/a?b=c"},
        "user_agent": {"original": "curl/8.0 (x)"},
        "zeek": {
            "session_id": "CHhAvVGS1DHFjwGM9",
            "http": {"trans_depth": 1, "status_msg": "OK", "resp_fuids": "F1"},
        },
    }


@pytest.mark.parametrize(
    ("hosts", "fields"),
    [
        ("192.0.2.9\t10.0.0.5", {"server": {"ip": "192.0.2.9"}, "client": {"ip": "10.0.0.5"}}),
        ("-\t10.0.0.5", {"client": {"ip": "10.0.0.5"}}),
        (
            "192.0.2.9,192.0.2.8\t10.0.0.5",
            {"server": {"ip": "192.0.2.9"}, "tx_hosts": "192.0.2.9,192.0.2.8", "client": {"ip": "10.0.0.5"}},
        ),
    ],
)
def test_a_line_of_zeek_files(hosts: str, fields: dict[str, Any]) -> None:
    columns = "C1\tHTTP\t0\tMD5,SHA1\ttext/plain\t-\t0.5\tF\tF\t12\t12\t0\t0\tF\t-\t0cc175b9\t-\t-\t-"
    of_files = {
        "fuid": "F1",
        "session_ids": "C1",
        "source": "HTTP",
        "depth": 0,
        "analyzers": "MD5,SHA1",
        "duration": 0.5,
        "local_orig": "F",
        "is_orig": "F",
        "seen_bytes": 12,
        "missing_bytes": 0,
        "overflow_bytes": 0,
        "timedout": "F",
    }
    several = {name: value for name, value in fields.items() if name == "tx_hosts"}
    assert grok("ZEEK_FILES", f"1300475168.5\tF1\t{hosts}\t{columns}") == {
        "timestamp": "1300475168.5",
        **{name: value for name, value in fields.items() if name != "tx_hosts"},
        "file": {"mime_type": "text/plain", "size": 12, "hash": {"md5": "0cc175b9"}},
        "zeek": {"files": {**of_files, **several}},
    }


def test_a_packet_that_a_cisco_access_list_denies() -> None:
    line = 'Deny tcp src outside:192.0.2.1/4711 dst inside:10.0.0.5/22 by access-group "acl" [0x8ed66b60, 0xf8852875]'
    assert grok("CISCOFW106023", line) == {
        "cisco": {"asa": {"outcome": "Deny", "network": {"transport": "tcp"}, "rule_name": "acl"}},
        "observer": {
            "ingress": {"interface": {"name": "outside"}},
            "egress": {"interface": {"name": "inside"}},
        },
        "source": {"ip": "192.0.2.1", "port": 4711},
        "destination": {"ip": "10.0.0.5", "port": 22},
    }


@pytest.mark.parametrize(
    ("pattern", "line", "fields"),
    [
        (
            "NAGIOSLOGLINE",
            "[1427925600] SERVICE ALERT: web1;HTTP;CRITICAL;HARD;3;connection refused",
            {
                "timestamp": "1427925600",
                "nagios": {"log": {"type": "SERVICE ALERT", "state_type": "HARD", "attempt": 3}},
                "host": {"hostname": "web1"},
                "service": {"name": "HTTP", "state": "CRITICAL"},
                "message": "connection refused",
            },
        ),
        (
            "BACULA_LOGLINE",
            '15-Jan 10:30 backup-dir JobId 12: Created new Volume "Full-0001" in catalog.',
            {
                "timestamp": "15-Jan 10:30",
                "host": {"hostname": "backup-dir"},
                "bacula": {"job": {"id": "12"}, "volume": {"name": "Full-0001"}},
            },
        ),
        (
            "BIND9",
            "15-Jan-2024 10:30:00.123 queries: info: client @0x7f64 10.0.0.5#4711 (a.org): query: a.org IN A + (::1)",
            {
                "timestamp": "15-Jan-2024 10:30:00.123",
                "log": {"level": "info"},
                "client": {"ip": "10.0.0.5", "port": 4711},
                "dns": {"question": {"name": "a.org", "class": "IN", "type": "A"}},
                "bind": {"log": {"category": "queries", "question": {"name": "a.org", "flags": "+"}}},
                "server": {"ip": "::1"},
            },
        ),
        (
            "EXIM",
            "2024-01-15 10:30:00 1rPKsA-000001-2B <= a@example.org H=mx.org (helo) [192.0.2.1]:25 P=esmtp S=9 id=x",
            {
                "timestamp": "2024-01-15 10:30:00",
                "exim": {
                    "log": {
                        "message": {"id": "1rPKsA-000001-2B", "size": 9},
                        "flags": "<=",
                        "sender": {"email": "a@example.org"},
                        "remote_address": "helo",
                        "header_id": "x",
                    }
                },
                "source": {"address": "mx.org", "ip": "192.0.2.1", "port": 25},
                "network": {"protocol": "esmtp"},
            },
        ),
        ("LOGLEVEL:level", "an Information", {"level": "Information"}),
    ],
)
def test_patterns_that_were_changed_read_lines_of_their_logs(
    pattern: str, line: str, fields: dict[str, Any]
) -> None:
    assert grok(pattern, line) == fields


@pytest.mark.parametrize(
    ("pattern", "line", "fields"),
    [
        (
            "BIND9",
            "15-Jan-2024 10:30:00.123 queries: info: client @0x7f64 10.0.0.5#4711 (a.org): query: a.org IN A + (::1)",
            {
                "timestamp": "15-Jan-2024 10:30:00.123",
                "loglevel": "info",
                "clientip": "10.0.0.5",
                "clientport": "4711",
                "query": ["a.org", "a.org"],
                "querytype": "A +",
                "dns": "::1",
            },
        ),
        (
            "HTTPD24_ERRORLOG",
            "[Mon Jan 15 10:30:00.123456 2024] [:error] [pid 42] [client 10.0.0.5:4711] PHP Warning",
            {
                "timestamp": "Mon Jan 15 10:30:00.123456 2024",
                "loglevel": "error",
                "pid": "42",
                "clientip": "10.0.0.5",
                "clientport": "4711",
                "message": "PHP Warning",
            },
        ),
        (
            "EXIM",
            "2024-01-15 10:30:00 [42] 1rPKsA-000001-2B <= a@example.org H=mx.example.org [192.0.2.1]:25 S=1024",
            {
                "timestamp": "2024-01-15 10:30:00",
                "exim_year": "2024",
                "exim_month": "01",
                "exim_day": "15",
                "exim_time": "10:30:00",
                "pid": "42",
                "exim_msgid": "1rPKsA-000001-2B",
                "exim_flags": "<=",
                "exim_sender_email": "a@example.org",
                "remote_hostname": "mx.example.org",
                "remote_host": "192.0.2.1",
                "remote_port": "25",
                "exim_msg_size": "1024",
            },
        ),
    ],
)
def test_patterns_of_the_legacy_set_that_were_changed(
    pattern: str, line: str, fields: dict[str, Any]
) -> None:
    assert grok(pattern, line, "disabled") == fields
