"""What a campaign did, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.kill.board import Phase


def show(kills: int, phases: Counter[Phase], events: Counter[str], more: Mapping[str, str]) -> None:
    """Print it."""
    lines = {
        "kills": f"{kills} (one may hit several phases at once)",
        **{f"  {phase}": str(count) for phase, count in phases.most_common()},
        "between them": ", ".join(f"{count} x {event}" for event, count in sorted(events.items())),
        **more,
    }
    for name, value in lines.items():
        print(f"{name:<24}{value}")
