"""The command line, as far as it needs no servers."""

import base64
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline.events.fingerprints import fingerprint
from tests.logpipe import COMMAND, environment, logpipe

COMMANDS = [
    "init",
    "run",
    "index",
    "setup",
    "check",
    "generate",
    "transform",
    "sandbox",
    "demo",
    "lag",
    "top",
    "tap",
    "explain",
    "doctor",
    "plan",
    "audit",
    "backfill",
    "probe",
]
EVENT = b'{"timestamp":"2024-01-15T10:30:00.123Z","level":"ERROR","service":"api","message":"m"}'


def test_help_names_every_command_and_the_exit_codes() -> None:
    result = logpipe("--help")
    text = result.stdout.decode()
    assert result.returncode == 0
    for command in COMMANDS:
        assert command in text
    assert "Exit codes" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    result = logpipe(command, "--help")
    assert result.returncode == 0
    assert b"Usage" in result.stdout


def test_completion_is_offered() -> None:
    # Without a shell above it, as under nohup, there is none to detect.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    assert b"complete" in logpipe("--show-completion", "bash", settings=named).stdout


def test_version() -> None:
    result = logpipe("--version")
    assert result.returncode == 0
    assert result.stdout.decode().strip()[0].isdigit()


def test_unknown_option_exits_2() -> None:
    assert logpipe("index", "--nonsense").returncode == 2


@pytest.mark.parametrize("command", ["run", "index", "setup", "check", "generate", "transform"])
def test_wrong_setting_exits_2_and_is_named(command: str) -> None:
    result = logpipe(command, settings={"LOGPIPE_HTTP__PORT": "70000"})
    assert result.returncode == 2
    text = result.stderr.decode()
    assert "http.port" in text
    assert "70000" in text
    assert "65535" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("command", ["index", "generate"])
def test_unreachable_kafka_exits_3_and_names_the_setting(command: str) -> None:
    result = logpipe(
        command, settings={"LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9", "LOGPIPE_HTTP__PORT": "0"}
    )
    assert result.returncode == 3
    assert "kafka.bootstrap_servers" in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


def test_check_of_unreachable_servers_exits_3() -> None:
    result = logpipe(
        "check",
        settings={
            "LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "LOGPIPE_ELASTICSEARCH__HOSTS": "http://127.0.0.1:9",
        },
    )
    assert result.returncode == 3
    text = result.stdout.decode()
    assert "kafka.bootstrap_servers" in text
    assert "elasticsearch.hosts" in text


def test_wrong_log_level_exits_2() -> None:
    result = logpipe("--log-level", "loud", "check")
    assert result.returncode == 2
    assert "loud" in result.stderr.decode()


def test_wrong_incident_exits_2_and_says_which_there_are() -> None:
    result = logpipe("generate", "--incident", "flood")
    assert result.returncode == 2
    assert "error-spike" in result.stderr.decode()


# --- transform ------------------------------------------------------------------------------------------


def transformed(stdin: bytes, *arguments: str) -> list[dict[str, object]]:
    result = logpipe("transform", "--timestamp", "2024-01-15T10:30:00.500Z", *arguments, stdin=stdin)
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_transform_prints_a_line_for_each_document_in_order() -> None:
    first, second, third, fourth = transformed(EVENT + b"\nnot json\n[" + EVENT + b"," + EVENT + b"]\n")
    assert first == {
        "index": "claude-code-bot-2024.01.15",
        "id": "claude-code-bot.logs-0-000000000000-1705314600500",
        "document": {
            "@timestamp": "2024-01-15T10:30:00.123Z",
            "level": "ERROR",
            "service": "api",
            "message": "m",
            "service_name": "claude-code-bot",
            "tags": ["error"],
            "error.fingerprint": fingerprint({"message": "m"}),
            "kafka": {"topic": "claude-code-bot.logs", "partition": 0, "offset": 0},
        },
    }
    assert second["id"] == "claude-code-bot.logs-0-000000000001-1705314600500"
    assert [third["id"], fourth["id"]] == [
        "claude-code-bot.logs-0-000000000002-1705314600500.0",
        "claude-code-bot.logs-0-000000000002-1705314600500.1",
    ]


def test_transform_takes_an_empty_line_as_an_empty_record_and_no_newline_at_the_end() -> None:
    assert len(transformed(b"\n" + EVENT)) == 2
    assert transformed(b"") == []


def test_transform_of_base64_takes_any_bytes() -> None:
    records = [EVENT, b"a\nb\xff", b""]
    lines = b"".join(base64.b64encode(record) + b"\n" for record in records)
    documents = transformed(lines, "--base64")
    assert [document["document"]["message"] for document in documents] == ["m", "a\nb\ufffd", ""]  # type: ignore[index]


def test_transform_refuses_what_is_no_base64_by_line() -> None:
    result = logpipe("transform", "--base64", stdin=base64.b64encode(EVENT) + b"\n!!\n")
    assert result.returncode == 2
    assert "line 2" in result.stderr.decode()


def test_transform_refuses_a_wrong_time() -> None:
    result = logpipe("transform", "--timestamp", "noon", stdin=EVENT)
    assert result.returncode == 2
    assert "noon" in result.stderr.decode()


def test_transform_obeys_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump({"index": {"prefix": "mine"}, "kafka": {"topics": ["t"]}}))
    (line,) = transformed(EVENT, "--config", str(file))
    assert (line["index"], line["id"]) == ("mine-2024.01.15", "t-0-000000000000-1705314600500")


def test_help_imports_neither_client_nor_server() -> None:
    code = "import sys, pipeline.cli.app; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.decode()
    assert {"aiohttp", "aiokafka", "elasticsearch", "prometheus_client", "uvloop"}.isdisjoint(loaded.split())


def test_an_output_of_ascii_alone_is_no_failure() -> None:
    for arguments in (("formats",), ("config", "show"), ("--help",), ("explain", "--offline")):
        result = logpipe(
            *arguments, stdin='{"message":"ü → 日"}'.encode(), settings={"PYTHONIOENCODING": "ascii"}
        )
        assert result.returncode == 0, result.stderr.decode()
        assert b"Traceback" not in result.stderr


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    process = subprocess.Popen(
        [*COMMAND, "config", "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment({})
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    process.wait(60)
    assert b"Traceback" not in told, told.decode()


def test_ctrl_c_at_any_moment_is_no_traceback() -> None:
    for seconds in (0.05, 0.3, 0.8):
        process = subprocess.Popen(
            [*COMMAND, "transform"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment({})
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        # Before Python's own start-up is done, its word on it is not ours.
        assert b"pipeline/cli" not in told, told.decode()
        assert process.returncode != 0


def test_ctrl_c_is_not_lost_in_a_callback() -> None:
    script = """
import signal, time, weakref
import pipeline.cli.app
from pipeline.__main__ import main

class Gone: pass

def command():
    gone = Gone()
    watched = weakref.ref(gone, lambda _: signal.raise_signal(signal.SIGINT))
    del gone
    time.sleep(60)

pipeline.cli.app.main = command
main()
"""
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment({}), timeout=50, check=False
    )
    assert (process.returncode, process.stderr) == (128 + signal.SIGINT, b"")


def test_errors_are_lines_of_json_where_the_log_is() -> None:
    settings = {"LOGPIPE_LOG__FORMAT": "json", "LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    result = logpipe("lag", settings=settings)
    assert result.returncode == 3
    told = [json.loads(line) for line in result.stderr.splitlines()]
    assert told[-1]["level"] == "ERROR"
    assert "127.0.0.1:1 (kafka.bootstrap_servers)" in told[-1]["message"]
    assert {each["service"] for each in told} == {"log-pipeline"}


def test_log_level_of_one_command_wins_over_the_setting() -> None:
    settings = {"LOGPIPE_LOG__LEVEL": "ERROR", "LOGPIPE_LOG__FORMAT": "json"}
    shown = logpipe("--log-level", "warning", "config", "show", "--json", settings=settings)
    values = {name: each["value"] for name, each in json.loads(shown.stdout).items()}
    assert (values["log.level"], values["log.format"]) == ("WARN", "json")
