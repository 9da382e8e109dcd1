"""`logpipe init`: the file it writes is the one that the other commands read."""

import json
from pathlib import Path

from pipeline.settings import load_settings
from tests.logpipe import logpipe


def test_the_file_holds_what_was_asked_for_and_loads(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    result = logpipe(
        *(
            "init",
            str(file),
            "--bootstrap-servers",
            "kafka-1:9092, kafka-2:9092",
            "--hosts",
            "https://es:9200",
        ),
        *("--topic", "app.logs", "--topic", "web.logs", "--group-id", "logs", "--prefix", "app"),
    )
    assert result.returncode == 0, result.stderr.decode()
    settings = load_settings(file)
    assert settings.kafka.bootstrap_servers == ("kafka-1:9092", "kafka-2:9092")
    assert settings.kafka.topics == ("app.logs", "web.logs")
    assert settings.kafka.group_id == "logs"
    assert settings.elasticsearch.hosts == ("https://es:9200",)
    assert settings.index.prefix == "app"


def test_it_says_what_to_do_next_and_what_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = logpipe("init", str(file), settings={"LOGPIPE_KAFKA__TOPICS": "a"}).stdout.decode()
    for command in ("setup", "check", "run"):
        assert f"logpipe {command} --config {file}" in text
    assert "win over the file: LOGPIPE_KAFKA__TOPICS" in text


def test_in_the_usual_place_no_command_needs_an_option(tmp_path: Path) -> None:
    text = logpipe("init", directory=tmp_path).stdout.decode()
    assert "logpipe run  " in text
    assert (tmp_path / "logpipe.toml").exists()
    line = logpipe("transform", stdin=b'{"message":"m"}', directory=tmp_path)
    assert json.loads(line.stdout)["document"]["message"] == "m"


def test_a_file_that_is_there_is_left_alone_without_force(tmp_path: Path) -> None:
    file = tmp_path / "logpipe.toml"
    file.write_text("mine")
    result = logpipe("init", str(file))
    assert result.returncode == 2
    assert "--force" in result.stderr.decode()
    assert file.read_text() == "mine"
    assert logpipe("init", str(file), "--force").returncode == 0
    assert load_settings(file).kafka.group_id == "logpipe"


def test_wrong_values_and_places_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "logpipe.toml"
    result = logpipe("init", str(file), "--hosts", "es")
    assert result.returncode == 2
    assert "elasticsearch.hosts" in result.stderr.decode()
    assert not file.exists()
    assert "*.toml" in logpipe("init", str(tmp_path / "a.yaml")).stderr.decode()
    assert "cannot be written" in logpipe("init", str(tmp_path / "none" / "a.toml")).stderr.decode()
