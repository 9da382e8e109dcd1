"""Business hours as the rules of Prometheus and the routes of Alertmanager have them.

PromQL knows no time zones. The rules therefore record the time by the zone's clock: UTC and the zone's distance from
it, to which each change of the clock adds what it adds from then on.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from monitoring.pack.values import DAYS, BusinessHours

__all__ = ["clock_changes", "digest_windows", "local_time_rule", "time_interval"]

_HOUR = 3600
_MINUTES_OF_HOUR = 60
_DAYS_OF_WEEK = 7
_HOURS_OF_DAY = 24


def local_time_rule(hours: BusinessHours) -> str:
    """Write the recording rules of the zone's time and of its business hours."""
    distance, changes = clock_changes(hours)
    now = f" vector(time() + {distance})"
    if changes:
        # A change from one distance to another counts from its moment on.
        terms = "".join(
            f"\n              + {change} * (time() >= bool {moment})" for moment, change in changes
        )
        now = f" |\n          vector(\n            time() + {distance}{terms}\n          )"
    local = "calendar:local_time:seconds"
    minute = f"(hour({local}) * 60 + minute({local})"
    first, last = DAYS.index(hours.first_day), DAYS.index(hours.last_day)
    return f"""\
      # {hours.first_day.capitalize()} to {hours.last_day.capitalize()}, {_clock(hours.begin)} to {_clock(hours.end)} \
in {hours.time_zone}: 1, else 0. PromQL knows UTC only, so the time
      # there is worked out first. alertmanager.yml has the same hours.
      - record: calendar:local_time:seconds
        expr:{now}
      - record: calendar:business_hours:bool
        expr: |
          {minute} >= bool {_minutes(hours.begin)})
            * {minute} < bool {_minutes(hours.end)})
            * (day_of_week({local}) >= bool {first}) * (day_of_week({local}) <= bool {last})
"""


def digest_windows(hours: BusinessHours) -> str:
    """Write the part of AlertsOutsideBusinessHours that looks back: to the last business hour, and one more."""
    _, changes = clock_changes(hours)
    night = _HOURS_OF_DAY - (_minutes(hours.end) - _minutes(hours.begin)) // _MINUTES_OF_HOUR
    first, last = DAYS.index(hours.first_day), DAYS.index(hours.last_day)
    free = _HOURS_OF_DAY * (_DAYS_OF_WEEK - (last - first + 1))
    spare = 2 if changes else 1
    series = "alert:fired_outside_business_hours:max"
    return (
        f"max_over_time({series}[{free + night + spare}h])"
        f" and on () day_of_week(calendar:local_time:seconds) == {first}\n"
        f"                or max_over_time({series}[{night + spare}h])"
    )


def time_interval(hours: BusinessHours) -> str:
    """Write Alertmanager's interval: in UTC where that is the same all year, else by the zone's clock."""
    begin, end, place = hours.begin, hours.end, f"\n        location: {hours.time_zone}"
    distance, changes = clock_changes(hours)
    in_utc = [_minutes(one) - distance // _MINUTES_OF_HOUR for one in (begin, end)]
    if not changes and in_utc[0] >= 0 and in_utc[1] < _HOURS_OF_DAY * _MINUTES_OF_HOUR:
        begin, end = (time(one // _MINUTES_OF_HOUR, one % _MINUTES_OF_HOUR) for one in in_utc)
        place = ""
    return (
        f'      - weekdays: ["{hours.first_day}:{hours.last_day}"]\n'
        f'        times: [{{start_time: "{_clock(begin)}", end_time: "{_clock(end)}"}}]{place}'
    )


def clock_changes(hours: BusinessHours) -> tuple[int, list[tuple[int, int]]]:
    """Give the distance from UTC at the start of the years, in seconds, and each change of it: when, by how much."""
    zone = ZoneInfo(hours.time_zone)
    begin = datetime(hours.years[0], 1, 1, tzinfo=UTC)
    end = datetime(hours.years[1] + 1, 1, 1, tzinfo=UTC)
    changes = []
    for day in _days(begin, end):
        before, after = _distance(day, zone), _distance(day + timedelta(days=1), zone)
        if before != after:
            changes.append((_moment_of_change(day, zone), after - before))
    return _distance(begin, zone), changes


def _days(begin: datetime, end: datetime) -> Iterator[datetime]:
    day = begin
    while day < end:
        yield day
        day += timedelta(days=1)


def _moment_of_change(day: datetime, zone: ZoneInfo) -> int:
    """Find the second within a day, by halving, from which on the distance is another."""
    first = int(day.timestamp())
    low, high = first, first + _HOURS_OF_DAY * _HOUR
    before = _distance(day, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _distance(datetime.fromtimestamp(middle, UTC), zone) == before:
            low = middle
        else:
            high = middle
    return high


def _distance(moment: datetime, zone: ZoneInfo) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _minutes(clock: time) -> int:
    return clock.hour * _MINUTES_OF_HOUR + clock.minute


def _clock(clock: time) -> str:
    return f"{clock:%H:%M}"
