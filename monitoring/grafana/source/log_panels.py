"""Panels that show documents of Elasticsearch: lines, counts, tables; and deployments as marks on graphs."""

from typing import Final

from grafana_foundation_sdk.builders import elasticsearch, logs, stat, table
from grafana_foundation_sdk.builders.common import ReduceDataOptions
from grafana_foundation_sdk.builders.elasticsearch import (
    Count,
    Dataquery,
    DateHistogram,
    ElasticsearchDateHistogramSettings,
    ElasticsearchFiltersSettings,
    ElasticsearchLogsSettings,
    ElasticsearchTermsSettings,
    Filter,
    Filters,
    Terms,
    UniqueCount,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import BigValueColorMode, BigValueGraphMode, LogsSortOrder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DataTransformerConfig,
    Panel,
)
from grafana_foundation_sdk.models.elasticsearch import BucketAggregation, MetricAggregation, TermsOrder

from monitoring.grafana.source.panels import described, lines
from monitoring.grafana.source.variables import LOGS

__all__ = ["SERVICE_OF_LOGS", "Deployments", "counts", "distinct", "log_lines", "most_frequent"]

SERVICE_OF_LOGS: Final = "service:/${service:regex}/"
"""The services chosen at the top of the dashboard."""

_TIME: Final = "@timestamp"


def log_lines(title: str, description: str, query: str) -> Panel:
    """Show the newest log lines that match."""
    panel = described(logs.Panel(), title, description, LOGS).show_time(show_time=True)
    panel.wrap_log_message(wrap_log_message=True).enable_log_details(enable_log_details=True)
    panel.sort_order(LogsSortOrder.DESCENDING)
    newest = elasticsearch.Logs().id("1").settings(ElasticsearchLogsSettings().limit("200"))
    return panel.with_target(_query(query, newest)).build()


def distinct(title: str, description: str, field: str, query: str, name: str) -> Panel:
    """Show how many different values a field has in the time shown."""
    panel = described(stat.Panel(), title, description, LOGS).no_value("none")
    panel.color_mode(BigValueColorMode.NONE).graph_mode(BigValueGraphMode.NONE)
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
    # The data source wants a bucket: this one holds everything, so that nothing is counted in two of them.
    everything = (
        Filters().id("2").settings(ElasticsearchFiltersSettings().filters([Filter().query("*").label(name)]))
    )
    return panel.with_target(_query(query, UniqueCount().id("1").field(field), everything)).build()


def counts(title: str, description: str, query: str, by: str = "") -> Panel:
    """Show how many log lines there are over time, apart by a field."""
    over_time = (
        DateHistogram()
        .id("2")
        .field(_TIME)
        .settings(ElasticsearchDateHistogramSettings().interval("auto").min_doc_count("0"))
    )
    buckets: list[Builder[BucketAggregation]] = [_terms("3", by, 10), over_time] if by else [over_time]
    panel = lines(title, description, LOGS, stacked=bool(by), columns=True)
    return panel.with_target(_query(query, Count().id("1"), *buckets)).build()


def most_frequent(title: str, description: str, query: str, fields: dict[str, str]) -> Panel:
    """Show which values the fields (field → heading) have most often together; the first one counts."""
    panel = described(table.Panel(), title, description, LOGS).no_value("-").filterable(filterable=True)
    buckets = [_terms(str(2 + number), field, 3 if number else 25) for number, field in enumerate(fields)]
    panel.with_target(_query(query, Count().id("1"), *buckets))
    panel.with_transformation(
        DataTransformerConfig(id_val="organize", options={"renameByName": dict(fields)})
    )
    return panel.build()


class Deployments(AnnotationQuery):
    """A mark where a deployment ended. Elasticsearch's own fields of an annotation are unknown to the SDK."""

    def __init__(self) -> None:
        super().__init__(name="Deployments", datasource=LOGS, enable=True, icon_color="purple")

    def to_json(self) -> dict[str, object]:
        """Add what to search for, and which fields make the mark."""
        return {
            **super().to_json(),
            "query": 'component:deployment AND message:"Deployment completed"',
            "timeField": _TIME,
            "textField": "message",
            "tagsField": "context.version",
        }


def _terms(number: str, field: str, size: int) -> Terms:
    settings = ElasticsearchTermsSettings().size(str(size)).order(TermsOrder.DESC).order_by("_count")
    return Terms().id(number).field(field).settings(settings.min_doc_count("1").missing("-"))


def _query(query: str, metric: Builder[MetricAggregation], *buckets: Builder[BucketAggregation]) -> Dataquery:
    return (
        Dataquery()
        .ref_id("A")
        .datasource(LOGS)
        .query(query)
        .time_field(_TIME)
        .metrics([metric])
        .bucket_aggs(list(buckets))
    )
