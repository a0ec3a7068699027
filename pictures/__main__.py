"""Draws the report of the example night: `python -m pictures` writes `docs/report.svg`."""

from __future__ import annotations

from pathlib import Path

from pictures.example import report_picture

PICTURE = Path(__file__).parent.parent / "docs" / "report.svg"

if __name__ == "__main__":
    PICTURE.write_text(report_picture(), encoding="utf-8")
