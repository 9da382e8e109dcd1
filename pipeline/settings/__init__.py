"""Every setting of the pipeline: its type, its unit, its default and what it is for.

A file for each group; `model.py` joins them, `loading.py` reads them from file and environment and says what is wrong,
`reference.py` writes docs/settings.md.
"""

from pipeline.settings.elasticsearch import Elasticsearch
from pipeline.settings.events import Events
from pipeline.settings.filters import Filters
from pipeline.settings.index import Index
from pipeline.settings.inputs import Input
from pipeline.settings.kafka import Kafka, is_own_topic
from pipeline.settings.loading import CONFIG_FILE_VARIABLE, WORKER_PIPE_VARIABLE, load_settings
from pipeline.settings.log import Log
from pipeline.settings.metrics import Metrics
from pipeline.settings.model import Settings
from pipeline.settings.otlp import Otlp
from pipeline.settings.processes import Http, Run, Shutdown
from pipeline.settings.salvage import Salvage
from pipeline.settings.traces import Traces
from pipeline.settings.waiting import DeadLetterLimit, IndexWait

__all__ = [
    "CONFIG_FILE_VARIABLE",
    "WORKER_PIPE_VARIABLE",
    "DeadLetterLimit",
    "Elasticsearch",
    "Events",
    "Filters",
    "Http",
    "Index",
    "IndexWait",
    "Input",
    "Kafka",
    "Log",
    "Metrics",
    "Otlp",
    "Run",
    "Salvage",
    "Settings",
    "Shutdown",
    "Traces",
    "is_own_topic",
    "load_settings",
]
