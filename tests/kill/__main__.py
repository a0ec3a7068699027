"""`python -m tests.kill`: the proof of "never banned" under `kill -9`, as a table; exit code 1 if it fails."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.kill.board import Board
from tests.kill.campaign import Campaign, Tally
from tests.kill.ground import COMMANDERS, INTERVAL, LATENCY, RATE, Ground
from tests.kill.pauses import BAN_SECONDS
from tests.kill.population import FailedError, Population
from tests.kill.stand_in import StandIn, Terms
from tests.kill.verdict import complaints, gaps

_FEW_KILLS = 100


def main() -> int:
    """Run a campaign and judge it."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=310, metavar="N", help="how many SIGKILLs")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), metavar="N", help="deals the same cards")
    options = parser.parse_args()
    print(f"{options.kills} kills, --seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="inara-kill-"))
    problems = _prove(folder, options.kills, options.seed)
    if problems:
        print("", *(f"FAILED: {problem}" for problem in problems), f"Logs and databases: {folder}", sep="\n")
        return 1
    shutil.rmtree(folder)
    return 0


def _prove(folder: Path, kills: int, seed: int) -> list[str]:
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
    lines = {
        "kills": f"{tally.kills} (one may hit several phases at once)",
        **{f"  {phase}": str(count) for phase, count in tally.phases.most_common()},
        "between them": ", ".join(f"{count} x {event}" for event, count in sorted(tally.events.items())),
        "requests": f"{len(arrivals)} arrived",
        "smallest gap": f"{smallest:.4f} s, allowed {INTERVAL:.4f} s",
        "pauses": f"{len(tally.pauses)}",
        "reports": f"{len(ground.stand_in.messages)}; by the outbox: "
        + ", ".join(f"{count} {status}" for status, count in ground.ask(_STATUSES)),
        "seconds": f"{seconds:.1f}",
    }
    for name, value in lines.items():
        print(f"{name:<24}{value}")


_STATUSES = "SELECT status, count(*) FROM message GROUP BY status ORDER BY status"

if __name__ == "__main__":
    sys.exit(main())
