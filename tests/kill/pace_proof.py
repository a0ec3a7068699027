"""The proof of "never banned": nobody asks Inara too fast, or at all while it wants to hear nothing."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.kill.board import Board
from tests.kill.campaign import Campaign, Tally
from tests.kill.ground import COMMANDERS, INTERVAL, LATENCY, RATE, Ground
from tests.kill.pauses import BAN_SECONDS
from tests.kill.population import FailedError, Population
from tests.kill.stand_in import StandIn, Terms
from tests.kill.table import show
from tests.kill.verdict import complaints, gaps

_FEW_KILLS = 100
_STATUSES = "SELECT status, count(*) FROM message GROUP BY status ORDER BY status"


def prove(folder: Path, kills: int, seed: int) -> list[str]:
    """Run a campaign; what is wrong."""
    began = time.monotonic()
    dice = random.Random(seed)
    commanders = COMMANDERS if kills >= _FEW_KILLS else COMMANDERS // 2
    stand_in = StandIn.start(folder, Terms(RATE, BAN_SECONDS, LATENCY, commanders, seed))
    ground = Ground(folder, stand_in)
    ground.prepare()
    board = Board(folder / "board", create=True)
    population = Population(ground, board, dice)
    campaign = Campaign(ground, board, population, dice)
    problems = []
    try:
        try:
            campaign.run(kills)
        except FailedError as error:
            problems.append(str(error))
        population.extinguish()
        violations = stand_in.stop()
        _show(ground, campaign.tally, time.monotonic() - began)
        return problems + complaints(ground, campaign.tally, [*violations.inara, *violations.discord])
    finally:
        population.extinguish()
        stand_in.kill()
        board.close()


def _show(ground: Ground, tally: Tally, seconds: float) -> None:
    arrivals = ground.stand_in.arrivals
    smallest = min(gaps(arrivals), default=float("nan"))
    show(
        tally.kills,
        tally.phases,
        tally.events,
        {
            "requests": f"{len(arrivals)} arrived",
            "smallest gap": f"{smallest:.4f} s, allowed {INTERVAL:.4f} s",
            "pauses": f"{len(tally.pauses)}",
            "reports": f"{len(ground.stand_in.messages)}; by the outbox: "
            + ", ".join(f"{count} {status}" for status, count in ground.ask(_STATUSES)),
            "seconds": f"{seconds:.1f}",
        },
    )
