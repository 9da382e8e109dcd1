"""The dashboard of PostgreSQL and Redis, from their exporters and from what the services say of them."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.grafana.source import limits
from monitoring.grafana.source.layout import Row, arrange, line
from monitoring.grafana.source.log_panels import SERVICE_OF_LOGS, log_lines
from monitoring.grafana.source.panels import Series, bars, dial, graph, number
from monitoring.grafana.source.queries import (
    DATABASE_TIME,
    FROM_LOGS,
    quantile,
    rate,
    total,
)
from monitoring.grafana.source.variables import POSTGRES, REDIS, SERVICES, text_box

__all__ = ["database"]

_SLOW: Final = text_box(
    "slow_query_ms", "Slow query, ms", "100", "From how many milliseconds on a query is slow"
)
_POSTGRES: Final = "From postgres_exporter."
_STATEMENTS: Final = "From postgres_exporter with --collector.stat_statements."
_REDIS: Final = "From redis_exporter."


def database() -> Dashboard:
    """Make the dashboard."""
    return arrange(
        "ccb-database",
        "Claude Code Bot - Database",
        "Database performance: PostgreSQL and Redis",
        [_connections(), _queries(), _resources(), _replication(), _redis()],
        choices=[SERVICES, POSTGRES, REDIS],
        texts=[_SLOW],
    )


def _connections() -> Row:
    return Row(
        "Connection management",
        [
            line(
                number(
                    "Active connections",
                    f"Connections that execute a query now. {_POSTGRES}",
                    Series('sum(pg_stat_activity_count{state="active"})'),
                ),
                dial(
                    "Connection pool utilization",
                    "Connections of max_connections, which all pools share. How full the pool of a single service "
                    f"is, only the service knows; see the timeouts beside. {_POSTGRES}",
                    Series("sum(pg_stat_activity_count) / min(pg_settings_max_connections)"),
                    limits=limits.CONNECTIONS,
                ),
                graph(
                    "Connections by state",
                    f"Connections of all databases. {_POSTGRES}",
                    Series("sum by (state) (pg_stat_activity_count)", "{{state}}"),
                    stacked=True,
                ),
                graph(
                    "Timeouts waiting for a connection",
                    "TimeoutError per second, by service: with SQLAlchemy it says that a pool was exhausted. "
                    + FROM_LOGS,
                    Series(
                        total(rate("log_exceptions_total", 'exception_type="TimeoutError"'), "service"),
                        "{{service}}",
                    ),
                    unit="eps",
                ),
                widths=(4, 6, 7, 7),
            ),
            line(
                graph(
                    "Wait events",
                    f"Connections that wait, by what for. {_POSTGRES}",
                    Series(
                        'sum by (wait_event_type, wait_event) (pg_stat_activity_count{wait_event_type!=""}) > 0',
                        "{{wait_event_type}}: {{wait_event}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Longest transaction",
                    f"A long one holds locks and keeps the database from tidying up. {_POSTGRES}",
                    Series("max by (datname) (pg_stat_activity_max_tx_duration)", "{{datname}}"),
                    unit="s",
                ),
            ),
        ],
    )


def _queries() -> Row:
    calls = total(rate("pg_stat_statements_calls_total"), "queryid")
    seconds = total(rate("pg_stat_statements_seconds_total"), "queryid")
    frequent = total(rate(f"{DATABASE_TIME}_count", window="$__range"), "operation", "table")
    return Row(
        "Query performance",
        [
            line(
                graph(
                    "Query execution time percentiles",
                    "As the services saw it, with the way there and back: PostgreSQL itself keeps no percentiles. "
                    + FROM_LOGS,
                    Series(quantile(0.5, DATABASE_TIME), "P50"),
                    Series(quantile(0.95, DATABASE_TIME), "P95"),
                    Series(quantile(0.99, DATABASE_TIME), "P99"),
                    unit="s",
                ),
                graph(
                    "Slowest queries by mean time",
                    f"The ten queries with the greatest mean time at each moment. {_STATEMENTS}",
                    Series(f"topk(10, {seconds} / ({calls} > 0))", "{{queryid}}"),
                    unit="s",
                ),
                log_lines(
                    "Slow query log",
                    "The newest queries that took longer than the time at the top of the dashboard. From "
                    "Elasticsearch.",
                    f"component:database AND context.processing_time_ms:>=$slow_query_ms AND {SERVICE_OF_LOGS}",
                ),
                widths=(7, 7, 10),
            ),
            line(
                bars(
                    "Most frequent queries",
                    f"Queries a second in the time shown, by operation and table. {FROM_LOGS}",
                    Series(f"sort_desc(topk(10, {frequent}))", "{{operation}} {{table}}"),
                    unit="ops",
                ),
                graph(
                    "Most frequent queries on the server",
                    f"The ten queries called most often at each moment. {_STATEMENTS}",
                    Series(f"topk(10, {calls})", "{{queryid}}"),
                    unit="ops",
                ),
            ),
        ],
    )


def _resources() -> Row:
    index_scans = total(rate("pg_stat_user_tables_idx_scan"), "relname")
    table_scans = total(rate("pg_stat_user_tables_seq_scan"), "relname")
    in_memory = total(rate("pg_stat_database_blks_hit"), "datname")
    from_disk = total(rate("pg_stat_database_blks_read"), "datname")
    real = '{datname!~"template.*|postgres"}'
    return Row(
        "Resource usage",
        [
            line(
                graph(
                    "Database size",
                    f"Bytes on disk. {_POSTGRES}",
                    Series(f"max by (datname) (pg_database_size_bytes{real})", "{{datname}}"),
                    unit="bytes",
                ),
                graph(
                    "Database size growth",
                    f"By how much each database has grown in the day before. {_POSTGRES}",
                    Series(f"max by (datname) (delta(pg_database_size_bytes{real}[1d]))", "{{datname}}"),
                    unit="bytes",
                ),
                graph(
                    "Blocks found in memory",
                    f"Share of the blocks that were in shared buffers. {_POSTGRES}",
                    Series(f"{in_memory} / ({in_memory} + {from_disk} > 0)", "{{datname}}"),
                    unit="percentunit",
                    maximum=1,
                ),
            ),
            line(
                bars(
                    "Index usage statistics",
                    "Share of scans that used an index: the ten tables with the smallest. A small table is read "
                    f"whole with good reason. {_POSTGRES}",
                    Series(
                        f"bottomk(10, {index_scans} / ({index_scans} + {table_scans} > 0))", "{{relname}}"
                    ),
                    unit="percentunit",
                ),
                graph(
                    "Lock contention",
                    f"Locks held or waited for, by mode. {_POSTGRES}",
                    Series("sum by (mode) (pg_locks_count) > 0", "{{mode}}"),
                    stacked=True,
                ),
                graph(
                    "Deadlocks in an hour",
                    f"Each has cost a transaction. {_POSTGRES}",
                    Series("sum by (datname) (increase(pg_stat_database_deadlocks[1h]))", "{{datname}}"),
                ),
            ),
        ],
    )


def _replication() -> Row:
    return Row(
        "Replication health",
        [
            line(
                graph(
                    "Replication lag",
                    f"How far the replicas are behind; 0 on the primary. {_POSTGRES}",
                    Series("max by (instance) (pg_replication_lag_seconds)", "{{instance}}"),
                    unit="s",
                    limits=limits.Limits("green", (30, "red")),
                ),
                graph(
                    "WAL generation rate",
                    "Bytes a second that the primary writes to its log; shown while a replica is connected. "
                    + _POSTGRES,
                    Series(f"max({rate('pg_stat_replication_pg_current_wal_lsn_bytes')})", "WAL"),
                    unit="binBps",
                ),
                number(
                    "Backup status",
                    "Time since the last WAL segment was archived: what a restore would lose at most. That there "
                    f"is a base backup too, only the backup tool's own exporter can tell. {_POSTGRES}",
                    Series("max(pg_stat_archiver_last_archive_age)"),
                    unit="s",
                    limits=limits.Limits("green", (900, "yellow"), (3600, "red")),
                    none="not archived",
                ),
                number(
                    "Failed archivings",
                    f"WAL segments whose archiving failed in the time shown. {_POSTGRES}",
                    Series("sum(increase(pg_stat_archiver_failed_count[$__range]))"),
                    limits=limits.ANY_IS_BAD,
                    decimals=0,
                ),
                widths=(8, 8, 4, 4),
            ),
        ],
    )


def _redis() -> Row:
    hits = total(rate("redis_keyspace_hits_total"))
    misses = total(rate("redis_keyspace_misses_total"))
    return Row(
        "Redis",
        [
            line(
                dial(
                    "Memory of maxmemory",
                    f"Without maxmemory there is no value. {_REDIS}",
                    Series("max(redis_memory_used_bytes / (redis_memory_max_bytes > 0))"),
                    limits=limits.UTILISATION,
                ),
                graph(
                    "Connected clients",
                    f"By instance. {_REDIS}",
                    Series("sum by (instance) (redis_connected_clients)", "{{instance}}"),
                ),
                graph(
                    "Commands per second",
                    f"By instance. {_REDIS}",
                    Series(total(rate("redis_commands_processed_total"), "instance"), "{{instance}}"),
                    unit="ops",
                ),
                graph(
                    "Cache hit rate",
                    f"Share of look-ups that found their key. {_REDIS}",
                    Series(f"{hits} / ({hits} + {misses} > 0)", "hits"),
                    unit="percentunit",
                    maximum=1,
                ),
            ),
        ],
    )
