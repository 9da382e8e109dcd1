"""Which topics are read: never a pipeline's own."""

import pytest

from pipeline.errors import SettingsError
from pipeline.kafka.topics import chosen_topics
from pipeline.settings import load_settings

EXISTING = [
    "claude-code-bot.logs",
    "claude-code-bot.more",
    "claude-code-bot.dead-letters",
    "claude-code-bot.trace-events",
    "claude-code-bot-traces-__assignor-__leader",
    "other.dead-letters",
    "other.dead-letters.logs",
    "unlike",
    "__consumer_offsets",
    "__transaction_state",
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (".*", ["claude-code-bot.logs", "claude-code-bot.more", "other.dead-letters.logs", "unlike"]),
        (r"claude-code-bot\..*", ["claude-code-bot.logs", "claude-code-bot.more"]),
        (r"(?i)CLAUDE-CODE-BOT\.l", ["claude-code-bot.logs"]),
        (r".*\.dead-letters", ["other.dead-letters.logs"]),
    ],
)
def test_a_pattern_leaves_a_pipelines_own_topics_out(pattern: str, expected: list[str]) -> None:
    settings = load_settings(overrides={"kafka": {"topics": (), "topic_pattern": pattern}})
    assert chosen_topics(settings.kafka, EXISTING) == expected


def test_topics_that_do_not_exist_are_left_out() -> None:
    settings = load_settings(overrides={"kafka": {"topics": ["unlike", "missing"]}})
    assert chosen_topics(settings.kafka, EXISTING) == ["unlike"]


@pytest.mark.parametrize("topic", ["p.dead-letters", "p.trace-events"])
def test_a_list_that_names_one_of_the_pipelines_own_is_refused(topic: str) -> None:
    overrides = {"kafka": {"topics": ["logs", topic]}, "index": {"prefix": "p"}}
    with pytest.raises(SettingsError, match=f"kafka.topics names {topic}, which is the pipeline's own"):
        load_settings(overrides=overrides)
    load_settings(overrides={**overrides, "index": {"prefix": "q"}})
