"""Write every dashboard beside its provisioning."""

from pathlib import Path

from monitoring.grafana.source import DASHBOARDS, as_json

OUTPUT = Path(__file__).parents[1] / "dashboards"

if __name__ == "__main__":
    OUTPUT.mkdir(exist_ok=True)
    for name, make in DASHBOARDS.items():
        (OUTPUT / f"{name}.json").write_text(as_json(make()))
