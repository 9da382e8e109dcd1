"""What a contender is given to do."""

from dataclasses import dataclass

from pipeline.settings import DeadLetterLimit, Elasticsearch, Http, Index, Kafka, Metrics, Settings

__all__ = ["Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """Read so many events of a topic from its beginning, into an Elasticsearch where the contender has one."""

    contender: str
    bootstrap: str
    topic: str
    group: str
    events: int
    elasticsearch_url: str = "http://127.0.0.1:9200"
    index_prefix: str = "claude-code-bot"
    log_metrics: bool = True
    refuses_all: bool = False
    """Whether every document is refused, which is else taken for a fault of the index: see `flood`."""

    def settings(self) -> Settings:
        """Give the settings of a worker that does this: the defaults, but for names and addresses."""
        return Settings(
            kafka=Kafka(bootstrap_servers=(self.bootstrap,), topics=(self.topic,), group_id=self.group),
            elasticsearch=Elasticsearch(hosts=(self.elasticsearch_url,)),
            dead_letters=DeadLetterLimit(max_ratio=1.0 if self.refuses_all else 0.5),
            index=Index(prefix=self.index_prefix),
            metrics=Metrics(from_logs=self.log_metrics),
            http=Http(port=0),
        )
