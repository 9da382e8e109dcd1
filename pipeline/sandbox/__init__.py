"""A real Kafka broker and a real Elasticsearch node on this machine, without Docker or a system Java."""

from pipeline.sandbox.artifacts import (
    ELASTICSEARCH_VERSION,
    KAFKA_VERSION,
    elasticsearch_jars,
    kafka_jars,
    x_pack_core,
)
from pipeline.sandbox.elasticsearch import Elasticsearch
from pipeline.sandbox.kafka import Kafka
from pipeline.sandbox.servers import Servers, start_sandbox
from pipeline.sandbox.training import prepare_quick_starts

__all__ = [
    "ELASTICSEARCH_VERSION",
    "KAFKA_VERSION",
    "Elasticsearch",
    "Kafka",
    "Servers",
    "elasticsearch_jars",
    "kafka_jars",
    "prepare_quick_starts",
    "start_sandbox",
    "x_pack_core",
]
