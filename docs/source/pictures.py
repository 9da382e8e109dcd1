"""Write the pictures of docs/pictures that need no server: `python -m docs.source.pictures`."""

from pathlib import Path

from docs.source.record_picture import record_picture
from docs.source.rooms_picture import rooms_picture
from docs.source.traces_picture import traces_picture

__all__ = ["PICTURES", "pictures"]

PICTURES = Path(__file__).parents[1] / "pictures"


def pictures() -> dict[str, str]:
    """Draw each picture, by the name of its file."""
    return {
        "record.svg": record_picture(),
        "rooms.svg": rooms_picture(),
        "traces.svg": traces_picture(),
    }


def main() -> None:
    """Write them all."""
    PICTURES.mkdir(exist_ok=True)
    for name, text in pictures().items():
        (PICTURES / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
