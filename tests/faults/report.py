"""What the fault suite has counted: one row a scenario, written where `--fault-report` says."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["FaultReport", "Row"]


@dataclass(slots=True)
class Row:
    """One scenario's count."""

    scenario: str
    events: int
    faults: int
    missing: int
    duplicated: int
    dead: int
    peak_rss_mb: float
    memory_mb: list[float]
    throughput_ratio: float | None = None
    """Throughput under the fault by that before it, where that was measured."""


@dataclass(slots=True)
class FaultReport:
    """All scenarios of a run."""

    rows: list[Row] = field(default_factory=list)

    def write(self, file: Path) -> None:
        """Write the rows as JSON."""
        file.write_text(json.dumps([asdict(row) for row in self.rows], indent=1) + "\n")
