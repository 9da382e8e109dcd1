"""`syslog_pri`: syslog's priority number becomes facility and severity."""

from collections.abc import Mapping
from typing import Final

from pipeline.logstash.fields import Event, get, set_field
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import to_i

__all__ = ["OPTIONS", "build"]

# RFC 3164, section 4.1.1, in Logstash's words.
_FACILITIES: Final = [
    "kernel",
    "user-level",
    "mail",
    "daemon",
    "security/authorization",
    "syslogd",
    "line printer",
    "network news",
    "uucp",
    "clock",
    "security/authorization",
    "ftp",
    "ntp",
    "log audit",
    "log alert",
    "clock",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
]
_SEVERITIES: Final = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "informational",
    "debug",
]
OPTIONS: Final[Mapping[str, Option]] = {
    "syslog_pri_field_name": Option("string"),
    "use_labels": Option("boolean", True),
    "facility_labels": Option("array", _FACILITIES),
    "severity_labels": Option("array", _SEVERITIES),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}
_DEFAULT: Final = 13


def build(given: Given, site: Site) -> Change:
    """Take the priority apart; without one it is 13, as RFC 3164 says."""
    ecs = (given["ecs_compatibility"] or site.ecs) != "disabled"
    source = site.path(
        given["syslog_pri_field_name"] or ("[log][syslog][priority]" if ecs else "syslog_pri"),
        given.place("syslog_pri_field_name"),
    )
    facilities, severities = given.texts("facility_labels"), given.texts("severity_labels")
    labels = given["use_labels"]
    place = ("log", "syslog")
    facility_code = (*place, "facility", "code") if ecs else ("syslog_facility_code",)
    facility_name = (*place, "facility", "name") if ecs else ("syslog_facility",)
    severity_code = (*place, "severity", "code") if ecs else ("syslog_severity_code",)
    severity_name = (*place, "severity", "name") if ecs else ("syslog_severity",)

    def run(event: Event, _origin: Origin) -> bool:
        value = get(event, source)
        if value.__class__ is list:
            value = value[0] if value else None
        priority = _DEFAULT if value is None or value is False else to_i(value)
        facility, severity = priority >> 3, priority & 7
        set_field(event, severity_code, severity)
        set_field(event, facility_code, facility)
        if labels:
            if -len(facilities) <= facility < len(facilities):
                set_field(event, facility_name, facilities[facility])
            if severity < len(severities):
                set_field(event, severity_name, severities[severity])
        return True

    return Change(run)
