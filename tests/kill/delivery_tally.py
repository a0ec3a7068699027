"""What was done in a campaign amid deliveries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.kill.board import Phase
from tests.kill.population import Death

REQUIRED = (Phase.RUN_END, Phase.NOTE, Phase.UNSENT, Phase.SENT, Phase.TOLD, Phase.SETTLE)
_LEAST_HITS = 20


@dataclass(slots=True)
class DeliveryTally:
    """What was done."""

    phases: Counter[Phase] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    wanted: int = 0
    kills: int = 0
    hours: int = 0
    deaths: list[Death] = field(default_factory=list)
    buried: dict[str, float] = field(default_factory=dict)
    """By fingerprint, when a webhook was found among those that are dead, in the stand-in's seconds."""

    def least(self) -> int:
        """How many kills must hit each step of a report."""
        return min(_LEAST_HITS, self.wanted // 15)

    def lacking(self) -> list[Phase]:
        """Where more kills are needed for a proof."""
        return [phase for phase in REQUIRED if self.phases[phase] < self.least()]
