"""Business hours by the clock of a zone: in the rules of Prometheus, in Alertmanager, and in agreement."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given, strategies as st

from monitoring.pack.business_hours import clock_changes, digest_windows, local_time_rule, time_interval
from monitoring.pack.values import BusinessHours
from tests.monitoring.tools import find


def hours(
    zone: str, days: str = "monday friday", times: str = "09:00 18:00", years: str = "2025 2028"
) -> BusinessHours:
    first, last = days.split()
    begin, end = times.split()
    given = {"time_zone": zone, "first_day": first, "last_day": last, "from": begin, "to": end}
    return BusinessHours.model_validate({**given, "years": tuple(map(int, years.split()))})


ZONES = ["UTC", "Europe/Moscow", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]


@pytest.mark.parametrize("zone", ZONES)
@given(moment=st.datetimes(datetime(2025, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_time_that_is_worked_out_is_that_of_the_zone(zone: str, moment: datetime) -> None:
    distance, changes = clock_changes(hours(zone))
    worked_out = distance + sum(change for since, change in changes if moment.timestamp() >= since)
    offset = moment.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    assert worked_out == offset.total_seconds()


def test_a_zone_whose_clocks_stay_has_no_changes() -> None:
    assert clock_changes(hours("Europe/Moscow")) == (10800, [])


@pytest.mark.parametrize(
    ("zone", "times", "expected"),
    [
        ("Europe/Moscow", "09:00 18:00", ("06:00", "15:00", None)),
        ("Asia/Kolkata", "09:00 18:00", ("03:30", "12:30", None)),
        ("Asia/Tokyo", "08:00 17:00", ("08:00", "17:00", "Asia/Tokyo")),
        ("America/Bogota", "12:00 20:00", ("12:00", "20:00", "America/Bogota")),
        ("Europe/Berlin", "08:30 20:00", ("08:30", "20:00", "Europe/Berlin")),
    ],
)
def test_alertmanager_has_the_hours_in_utc_where_that_is_the_same_all_year(
    zone: str, times: str, expected: tuple[str, str, str | None]
) -> None:
    (interval,) = yaml.safe_load(time_interval(hours(zone, times=times)))
    (span,) = interval["times"]
    assert (span["start_time"], span["end_time"], interval.get("location")) == expected


@pytest.mark.parametrize(
    ("days", "times", "expected"),
    [
        ("monday friday", "09:00 18:00", (64, 16, 1)),
        ("monday saturday", "08:30 20:00", (38, 14, 1)),
        ("sunday thursday", "09:00 17:00", (65, 17, 0)),
        ("sunday saturday", "09:00 17:00", (17, 17, 0)),
    ],
)
def test_the_digest_looks_back_to_the_last_business_hour(
    days: str, times: str, expected: tuple[int, int, int]
) -> None:
    weekend, night, day = expected
    assert digest_windows(hours("Europe/Moscow", days, times)) == (
        f"max_over_time(alert:fired_outside_business_hours:max[{weekend}h])"
        f" and on () day_of_week(calendar:local_time:seconds) == {day}\n"
        f"                or max_over_time(alert:fired_outside_business_hours:max[{night}h])"
    )


# promtool counts from the epoch: 1970-01-01 was a Thursday, and New York's clocks went forward on April 26th.
NEW_YORK = hours("America/New_York", "monday friday", "08:30 18:00", "1970 1970")


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        pytest.param("1970-01-02 13:00", False, id="Friday 08:00 by the winter's clock"),
        pytest.param("1970-01-02 13:30", True, id="Friday 08:30"),
        pytest.param("1970-01-02 22:30", True, id="Friday 17:30"),
        pytest.param("1970-01-02 23:00", False, id="Friday 18:00"),
        pytest.param("1970-01-03 15:00", False, id="Saturday 10:00"),
        pytest.param("1970-04-27 12:00", False, id="Monday 08:00 by the summer's clock"),
        pytest.param("1970-04-27 12:30", True, id="Monday 08:30 by the summer's clock"),
        pytest.param("1970-04-27 22:00", False, id="Monday 18:00 by the summer's clock"),
    ],
)
def test_prometheus_follows_the_clocks(at: str, open_: bool, tmp_path: Path) -> None:
    minutes = int(datetime.fromisoformat(f"{at}+00:00").timestamp()) // 60
    rules = f"groups:\n  - name: calendar\n    interval: 30m\n    rules:\n{local_time_rule(NEW_YORK)}"
    (tmp_path / "calendar.rules.yml").write_text(rules)
    name = "calendar:business_hours:bool"
    case = {
        "interval": "30m",
        "input_series": [],
        "promql_expr_test": [
            {"expr": name, "eval_time": f"{minutes}m", "exp_samples": [{"labels": name, "value": int(open_)}]}
        ],
    }
    test = {"rule_files": ["calendar.rules.yml"], "evaluation_interval": "30m", "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [find("promtool"), "test", "rules", "test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
