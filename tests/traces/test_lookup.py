"""Finding a trace by its id, however it is written."""

import pytest

from pipeline.cli.waterfall import duration
from pipeline.traces.lookup import spellings

PLAIN = "4bf92f3577b34da6a3ce929d0e0e4736"
DASHED = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"


@pytest.mark.parametrize(
    "text",
    [PLAIN, PLAIN.upper(), DASHED, DASHED.upper(), f"  {PLAIN}\n", f"00-{PLAIN}-00f067aa0ba902b7-01"],
)
def test_an_id_of_hex_digits_is_found_in_each_of_its_spellings(text: str) -> None:
    assert {PLAIN, DASHED, PLAIN.upper()} <= set(spellings(text))


@pytest.mark.parametrize("text", ["abc-123-def", "Order 7", "00-xyz"])
def test_any_other_id_is_found_as_it_is(text: str) -> None:
    assert text in spellings(text)
    assert len(spellings(text)) <= 2


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 ms"), (999, "999 ms"), (1500, "1.50 s"), (61_000, "1 min 1 s"), (7_200_000, "2 h 0 min")],
)
def test_times_are_written_as_people_read_them(milliseconds: float, text: str) -> None:
    assert duration(milliseconds) == text
