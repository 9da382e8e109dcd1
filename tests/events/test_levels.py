"""What counts as which level. The tables are the specification; the properties guard everything else."""

import math
from typing import Final

import pytest
from hypothesis import given, strategies as st

from pipeline.events.levels import normalise_level

LEVELS: Final = ("ERROR", "WARN", "INFO", "DEBUG")

NAMES: Final = {
    "log4j, logback, slf4j": {
        "FATAL": "ERROR",
        "ERROR": "ERROR",
        "WARN": "WARN",
        "INFO": "INFO",
        "DEBUG": "DEBUG",
        "TRACE": "DEBUG",
    },
    "java.util.logging": {
        "SEVERE": "ERROR",
        "WARNING": "WARN",
        "INFO": "INFO",
        "CONFIG": "INFO",
        "FINE": "DEBUG",
        "FINER": "DEBUG",
        "FINEST": "DEBUG",
    },
    "WebSphere Liberty": {"AUDIT": "INFO"},
    "syslog (RFC 5424), nginx, Apache httpd": {
        "emerg": "ERROR",
        "alert": "ERROR",
        "crit": "ERROR",
        "err": "ERROR",
        "warning": "WARN",
        "notice": "INFO",
        "informational": "INFO",
        "debug": "DEBUG",
        "trace1": "DEBUG",
        "trace8": "DEBUG",
    },
    "Google Cloud Logging, Monolog": {
        "EMERGENCY": "ERROR",
        "ALERT": "ERROR",
        "CRITICAL": "ERROR",
        "NOTICE": "INFO",
    },
    "Python": {
        "CRITICAL": "ERROR",
        "ERROR": "ERROR",
        "WARNING": "WARN",
        "SUCCESS": "INFO",  # loguru
        "VERBOSE": "DEBUG",  # verboselogs
        "SPAM": "DEBUG",
    },
    "Go": {
        "dpanic": "ERROR",  # zap
        "panic": "ERROR",
        "PNC": "ERROR",  # zerolog
        "FTL": "ERROR",
        "TRC": "DEBUG",
        "ERROR+4": "ERROR",  # slog
        "INFO+2": "INFO",
        "DEBUG-4": "DEBUG",
    },
    ".NET": {
        "Critical": "ERROR",
        "crit": "ERROR",
        "fail": "ERROR",
        "Information": "INFO",
        "dbug": "DEBUG",
        "trce": "DEBUG",
        "Verbose": "DEBUG",
        "VRB": "DEBUG",  # Serilog, three letters
        "DBG": "DEBUG",
        "INF": "INFO",
        "WRN": "WARN",
        "ERR": "ERROR",
        "Verb": "DEBUG",  # Serilog, four letters
        "Eror": "ERROR",
        "Fatl": "ERROR",
    },
    "PostgreSQL": {"PANIC": "ERROR", "LOG": "INFO", "DEBUG1": "DEBUG", "DEBUG5": "DEBUG"},
    "winston": {"verbose": "DEBUG", "silly": "DEBUG"},
    "OpenTelemetry": {
        "FATAL4": "ERROR",
        "ERROR2": "ERROR",
        "WARN3": "WARN",
        "INFO4": "INFO",
        "TRACE2": "DEBUG",
    },
    "one letter: glog, logcat, MongoDB, spdlog, Serilog": {
        "F": "ERROR",
        "C": "ERROR",
        "E": "ERROR",
        "W": "WARN",
        "I": "INFO",
        "D": "DEBUG",
        "D1": "DEBUG",
        "D5": "DEBUG",
        "T": "DEBUG",
        "V": "DEBUG",
    },
    "no logger in particular": {"failure": "ERROR"},
}


@pytest.mark.parametrize(
    ("name", "level"),
    [
        pytest.param(name, level, id=f"{who}: {name}")
        for who, names in NAMES.items()
        for name, level in names.items()
    ],
)
def test_names_of_known_loggers(name: str, level: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name.title(), name.swapcase(), f" {name}\r\n"):
        assert normalise_level(spelling) == level


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("custom", "CUSTOM"),
        ("  Very loud \n", "VERY LOUD"),
        ("http", "HTTP"),  # winston, between info and verbose
        ("off", "OFF"),
        ("none", "NONE"),
        ("null", "NULL"),
        ("unknown", "UNKNOWN"),
        ("warm", "WARM"),
        ("errors", "ERRORS"),
        ("debug6", "DEBUG6"),
        ("trace9", "TRACE9"),
        ("d6", "D6"),
        ("info+", "INFO+"),
        ("info+two", "INFO+TWO"),
        ("notice+1", "NOTICE+1"),
        ("3e1", "3E1"),
        ("0x1e", "0X1E"),
        ("30,0", "30,0"),
        (".30", ".30"),
        ("3_0", "3_0"),
        ("nan", "NAN"),
        ("٣٠", "٣٠"),  # Arabic-Indic digits are no number
        ("straße", "STRASSE"),
        ("\ud800", "\ud800"),
        ("\x00", "\x00"),
        ("x" * 10_000, "X" * 10_000),
    ],
)
def test_unknown_name_is_kept_in_upper_case(name: str, kept: str) -> None:
    assert normalise_level(name) == kept


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (9, None),
        (10, "DEBUG"),
        (19, "DEBUG"),
        (20, "DEBUG"),
        (29, "DEBUG"),
        (30, "INFO"),
        (35, "INFO"),
        (39, "INFO"),
        (40, "WARN"),
        (49, "WARN"),
        (50, "ERROR"),
        (59, "ERROR"),
        (60, "ERROR"),
        (69, "ERROR"),
        (70, None),
        (-30, None),
        (100, None),
        (200, None),
    ],
)
def test_numbers_of_pino_and_bunyan(number: int, level: str | None) -> None:
    for value in (number, float(number), str(number), f" {number} ", f"{number}.0"):
        assert normalise_level(value) == level
        assert normalise_level(value, syslog_numbers=True) == level


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (0, "ERROR"),
        (1, "ERROR"),
        (2, "ERROR"),
        (3, "ERROR"),
        (4, "WARN"),
        (5, "INFO"),
        (6, "INFO"),
        (7, "DEBUG"),
        (8, None),
        (-1, None),
    ],
)
def test_numbers_of_syslog_only_on_request(number: int, level: str | None) -> None:
    for value in (number, float(number), str(number), f" {number} ", f"{number}.0"):
        assert normalise_level(value, syslog_numbers=True) == level
        assert normalise_level(value) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        {},
        {"level": "info"},
        [],
        ["info"],
        [30],
        "",
        " \t\r\n\u2003",
        30.5,
        "30.5",
        "-30",
        0.0,
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        -(10**400),
        "1" * 10_000,
        "-" + "1" * 10_000 + ".5",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_no_level(value: object) -> None:
    assert normalise_level(value) is None
    assert normalise_level(value, syslog_numbers=False) is None


def test_true_and_false_are_not_syslog_numbers() -> None:
    assert normalise_level(value=True, syslog_numbers=True) is None
    assert normalise_level(value=False, syslog_numbers=True) is None


JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-1, 80) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(JSON_VALUES, st.booleans())
def test_any_value_gives_a_level_a_kept_name_or_none(value: object, syslog_numbers: bool) -> None:
    level = normalise_level(value, syslog_numbers=syslog_numbers)
    if isinstance(value, str):
        assert level in {None, *LEVELS, value.strip().upper()}
    else:
        assert level in {None, *LEVELS}


@given(st.text() | st.sampled_from([name for names in NAMES.values() for name in names]), st.booleans())
def test_a_level_is_its_own_level(name: str, syslog_numbers: bool) -> None:
    level = normalise_level(name, syslog_numbers=syslog_numbers)
    assert level is None or normalise_level(level, syslog_numbers=syslog_numbers) == level


@given(st.text(alphabet="0123456789.-+ \t", max_size=6))
def test_a_number_in_a_string_is_that_number(text: str) -> None:
    try:
        number = float(text)
    except ValueError:
        return
    if text.strip(" \t+-")[0] != "." and text.strip()[-1] != ".":
        assert normalise_level(text, syslog_numbers=True) == normalise_level(number, syslog_numbers=True)
