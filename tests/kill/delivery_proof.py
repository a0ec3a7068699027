"""The proof of delivery: each report arrives once, or is recorded as unknown, dead, expired or refused."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.kill.board import Board
from tests.kill.books import Books, open_books
from tests.kill.channels import CREW, DISCORD_LATENCY, LATENCY, RATE, SPARES, SQUADRONS, Channels
from tests.kill.deliveries import Deliveries
from tests.kill.delivery_tally import DeliveryTally
from tests.kill.delivery_verdict import complaints
from tests.kill.moods import REQUIRED
from tests.kill.population import FailedError, Population
from tests.kill.stand_in import StandIn, Terms
from tests.kill.table import show
from tests.kill.webhook_verdict import met

_BAN_SECONDS = 60.0
_INVALID_REQUESTS = 250
"""So few that whoever does not wait is banned within the campaign."""
_WHOLE_CAMPAIGN = 300
_REPORTS = 400


def prove(folder: Path, kills: int, seed: int) -> list[str]:
    """Run a campaign; what is wrong."""
    began = time.monotonic()
    dice = random.Random(seed)
    terms = Terms(
        RATE,
        _BAN_SECONDS,
        LATENCY,
        CREW * SQUADRONS,
        seed,
        squadrons=SQUADRONS,
        discord_latency=DISCORD_LATENCY,
        invalid_requests=_INVALID_REQUESTS,
        spares=SPARES,
    )
    stand_in = StandIn.start(folder, terms)
    channels = Channels(folder, stand_in)
    channels.prepare()
    board = Board(folder / "board", create=True)
    population = Population(channels, board, dice)
    campaign = Deliveries(channels, board, population, dice)
    problems = []
    try:
        try:
            campaign.run(kills)
        except FailedError as error:
            problems.append(str(error))
        population.extinguish()
        violations = stand_in.stop()
        books = open_books(channels)
        _show(channels, books, campaign.tally, time.monotonic() - began)
        problems += complaints(channels, books, campaign.tally, violations)
        return problems + (_too_little(channels, books, campaign.tally) if kills >= _WHOLE_CAMPAIGN else [])
    finally:
        population.extinguish()
        stand_in.kill()
        board.close()


def _too_little(channels: Channels, books: Books, tally: DeliveryTally) -> list[str]:
    """Why the campaign proves nothing, though nothing went wrong."""
    missing = REQUIRED - met(channels.stand_in.attempts).keys()
    lacking = [f"nobody met {', '.join(sorted(missing))}"] if missing else []
    lacking += [f"only {tally.phases[phase]} kills hit {phase}, of {tally.least()}" for phase in tally.lacking()]
    lacking += [f"no message was {status}" for status in _ENDINGS if not books.statuses[status]]
    return lacking + ([f"only {len(books.rows)} reports"] if len(books.rows) < _REPORTS else [])


_ENDINGS = ("sent", "unknown", "dead", "expired", "refused")


def _show(channels: Channels, books: Books, tally: DeliveryTally, seconds: float) -> None:
    attempts = channels.stand_in.attempts
    answers = met(attempts)
    plain = sum(shown.plain for shown in books.shown)
    unknown = sum(books.times_shown[row.id] for row in books.rows if row.status == "unknown")
    show(
        tally.kills,
        tally.phases,
        tally.events,
        {
            "hours": f"{tally.hours}",
            "attempts": f"{len(attempts)}: "
            + ", ".join(f"{count} x {answer}" for answer, count in answers.most_common()),
            "reports": f"{len(books.rows)}: "
            + ", ".join(f"{count} {status}" for status, count in books.statuses.most_common())
            + f"; {len(books.shown)} shown, {plain} of them in the plain form, {unknown} of them unknown to the outbox",
            "changes": f"{len(books.changes)}",
            "seconds": f"{seconds:.1f}",
        },
    )
