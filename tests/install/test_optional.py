"""What not every Elasticsearch has: left out of the templates where the server refuses it, and only there."""

from copy import deepcopy
from typing import Any

import pytest
from elasticsearch import BadRequestError

from pipeline.install import elasticsearch as server
from pipeline.install.logsdb import logsdb_note
from pipeline.install.optional import OPTIONS
from pipeline.install.resources import load_resources
from pipeline.settings import Index

WANTED = load_resources(Index())


def templates(resources: Any) -> dict[str, Any]:
    return {one.name: deepcopy(one.body.get("template", {})) for one in resources}


def test_a_distribution_gets_all_of_it() -> None:
    wanted = templates(WANTED)
    message = wanted["claude-code-bot@mappings"]["mappings"]["properties"]["message"]
    assert message["type"] == "match_only_text"
    assert "norms" not in message  # which that type does not know
    settings = wanted["claude-code-bot@settings"]["settings"]
    assert settings["index.seq_no.index_options"] == "doc_values_only"


def test_an_option_that_is_left_out_takes_nothing_else_along() -> None:
    left = WANTED
    for option in OPTIONS:
        left = option.left_out(left)
    before, after = templates(WANTED), templates(left)
    message = after["claude-code-bot@mappings"]["mappings"]["properties"]["message"]
    assert message == {
        **before["claude-code-bot@mappings"]["mappings"]["properties"]["message"],
        "type": "text",
        "norms": False,
    }
    del before["claude-code-bot@settings"]["settings"]["index.seq_no.index_options"]
    before["claude-code-bot@mappings"]["mappings"]["properties"]["message"] = message
    assert after == before


@pytest.mark.parametrize(
    "refused", [[], ["match_only_text"], ["index.seq_no.index_options", "match_only_text"]]
)
async def test_what_the_server_refuses_is_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch, refused: list[str]
) -> None:
    """Only a faulty server can be made to refuse each of them in turn."""

    async def try_templates(_client: object, wanted: Any) -> None:
        text = str(templates(wanted))
        for mark in refused:
            if mark in text:
                raise BadRequestError("bad", meta=None, body={"error": {"reason": f"unknown [{mark}]"}})  # type: ignore[arg-type]

    monkeypatch.setattr(server, "try_templates", try_templates)
    wanted, notes = await server.fitting(None, WANTED)  # type: ignore[arg-type]
    assert len(notes) == len(refused)
    assert not any(mark in str(templates(wanted)) for mark in refused)
    assert (wanted == WANTED) is (not refused)


async def test_what_is_refused_for_another_reason_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def try_templates(_client: object, _wanted: Any) -> None:
        raise BadRequestError("bad", meta=None, body={"error": {"reason": "no such setting"}})  # type: ignore[arg-type]

    monkeypatch.setattr(server, "try_templates", try_templates)
    with pytest.raises(BadRequestError):
        await server.fitting(None, WANTED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("enterprise", "put together from the fields"),
        ("trial", "When the trial ends"),
        ("basic", "licence is basic"),
        ("platinum", "standard is the better choice"),
        (None, "does not tell its licence"),
    ],
)
def test_logsdb_is_told_with_what_the_licence_makes_of_it(licence: str | None, told: str) -> None:
    note = logsdb_note(licence)
    assert told in note
    assert "more of Elasticsearch's CPU" in note
