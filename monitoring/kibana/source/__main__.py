"""Write `monitoring/kibana/claude-code-bot.ndjson`."""

from pathlib import Path

from monitoring.kibana.source import contents

Path(__file__).parents[1].joinpath("claude-code-bot.ndjson").write_text(contents(), "utf-8")
