"""Rules are refused with a word on what is wrong; the pipeline's own are complete."""

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.log_metrics.rules import chosen_rules, label_text, load_rules
from pipeline.settings import Metrics

GOOD = '[[rules]]\nname = "a_total"\ntype = "counter"\nhelp = "A"\n'


def load(text: str, tmp_path: Path) -> object:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    return load_rules(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[rules]", "is not TOML"),
        (GOOD + "colour = 1\n", "a_total, colour: Extra inputs"),
        (GOOD.replace("a_total", "a"), "a: a counter's name ends in _total"),
        (GOOD.replace("counter", "gauge"), "ends in _total"),
        (GOOD.replace("a_total", "a").replace("counter", "gauge"), "a gauge needs the field of its value"),
        (GOOD.replace("a_total", "A-b"), "name: String should match"),
        (GOOD.replace("a_total", "logpipe_a_total"), "names of the pipeline's own metrics are taken"),
        (GOOD + 'when.message.matches = "("\n', "not a regular expression"),
        (GOOD + 'labels.le = "x"\n', "'le' is not a label name"),
        (GOOD + 'labels.a = { field = "x", constant = "y" }\n', "either a field or a constant"),
        (GOOD + 'labels.a = "service_name"\n', "service_name is added by the pipeline"),
        (GOOD + "when.kafka.exists = true\n", "kafka is added by the pipeline"),
        (GOOD + "buckets = [2, 1]\n", "buckets have to rise"),
        (GOOD + "buckets = [1, inf]\n", "infinite bucket"),
        (GOOD + GOOD.replace('"A"', '"B"'), "a_total has two rules that differ in help"),
        (GOOD + GOOD + 'labels.x = "x"\n', "a_total has two rules with different labels"),
    ],
)
def test_a_mistake_is_named(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"metrics\.rules_file = .*rules\.toml: ") as caught:
        load(text, tmp_path)
    assert says in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_rules(tmp_path / "nowhere.toml")


def test_a_file_of_no_rules_derives_nothing(tmp_path: Path) -> None:
    assert load("", tmp_path) == ()


def test_metrics_can_be_left_out_by_name() -> None:
    names = {rule.name for rule in chosen_rules(Metrics(disabled=("http_requests_total",)))}
    assert names == {rule.name for rule in load_rules()} - {"http_requests_total"}
    with pytest.raises(SettingsError, match=r"metrics\.disabled: there is no rule named nonsense"):
        chosen_rules(Metrics(disabled=("nonsense",)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"), ("", None), (" \n", None), (5, "5"), (5.0, "5"), (0.5, "0.5"), (True, "true"), (False, "false"),
        (None, None), ([1], None), ({"a": 1}, None), ("a\x00b", "a b"), ("\ud800", None), ("x" * 200, "x" * 128),
    ],
)  # fmt: skip
def test_any_value_as_a_label(value: object, text: str | None) -> None:
    assert label_text(value) == text
