"""Inara wants to hear nothing for a while: refusals are injected, and nothing may arrive until the pause is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.kill.board import Phase
from tests.kill.population import FailedError
from tests.kill.stand_in import Seen

if TYPE_CHECKING:
    from tests.kill.campaign import Campaign

LONGER_THAN_ANY_PAUSE = 7 * 3_600.0
BAN_SECONDS = 1.0
"""How long the stand-in's own ban lasts: it must be over when the daemon's pause of an hour is."""
_MOODS: tuple[tuple[str, ...], ...] = (
    ("ban",),
    ("access_revoked",),
    ("limit_exceeded",),
    ("unknown_refusal",),
    ("http_503", "html_page"),
    ("close_after", "half"),
)
_WORK_SECONDS = 1.5
_MET_SECONDS = 8.0
_STORED_SECONDS = 3.0
_QUIET_SECONDS = 0.3
_LONG = 30.0
"""A pause is meant; what is shorter is no pause of ours."""


@dataclass(frozen=True, slots=True)
class Pause:
    """From `since` to `until`, in the stand-in's seconds, nothing may arrive: with that key, or at all."""

    mood: str
    key: str | None
    since: float
    until: float


class Trouble:
    """Strikes while a campaign is under way."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    def strike(self) -> None:
        """Let requests be refused, kill those who live through the pause, then let it be over. Raises FailedError."""
        campaign = self._campaign
        mood = campaign.dice.choice(_MOODS)
        refused = self._refuse(mood)
        if refused is None:
            return
        scope = self._await_pause(mood)
        if len(campaign.tally.pauses) % 2 == 0:
            campaign.reboot()  # nothing tells how long the host was off: the pause begins anew
        for _ in range(campaign.dice.randint(2, 4)):
            campaign.kill(campaign.dice.choice([Phase.COMMIT, None]), in_pause=True)
        campaign.populate()
        campaign.population.wait_for_leader(5.0)
        time.sleep(max(_QUIET_SECONDS, refused.at + BAN_SECONDS + 0.1 - time.monotonic()))
        until = campaign.population.sleep(LONGER_THAN_ANY_PAUSE)
        everybody = scope in {"*", "outage"}
        campaign.tally.pauses.append(Pause(mood[0], None if everybody else refused.key, refused.at, until))
        campaign.tally.events[f"pause: {mood[0]}"] += 1

    def _refuse(self, mood: tuple[str, ...]) -> Seen | None:
        """Order the mood and wait until requests met all of it; the last of them, None if nobody asks anything."""
        stand_in = self._campaign.ground.stand_in
        stand_in.look()
        before = len(stand_in.arrivals)
        if not self._wait_for(lambda: len(stand_in.arrivals) > before, _WORK_SECONDS):
            self._campaign.pass_a_day()
            return None
        before = len(stand_in.arrivals)
        for word in mood:
            stand_in.order(word)
        met: list[Seen] = []

        def all_met() -> bool:
            met[:] = [seen for seen in stand_in.arrivals[before:] if seen.answer != "accepted"]
            return len(met) >= len(mood)

        if not self._wait_for(all_met, _MET_SECONDS):
            if met or self._campaign.ground.ask("SELECT 1 FROM run WHERE ended_at IS NULL LIMIT 1"):
                raise FailedError(f"{', '.join(mood)} was met only by {[seen.answer for seen in met]}")
            self._campaign.pass_a_day()  # the night's work had just ended: the next night meets it
            self._campaign.kill(None)
            if not self._wait_for(all_met, _MET_SECONDS):
                raise FailedError(f"nobody met {', '.join(mood)} in another night")
        return met[-1]

    def _wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._campaign.populate()
            self._campaign.ground.stand_in.look()
            if condition():
                return True
            time.sleep(0.01)
        return False

    def _await_pause(self, mood: tuple[str, ...]) -> str:
        """The scope of the pause, once it is stored."""
        campaign = self._campaign
        end = time.monotonic() + _STORED_SECONDS
        while time.monotonic() < end:
            now = campaign.board.boottime()
            rows = campaign.ground.ask("SELECT scope FROM pause WHERE until > ?", now + _LONG)
            if rows:
                return str(rows[0][0])
            time.sleep(0.01)
        raise FailedError(f"after {', '.join(mood)} no pause was stored")
