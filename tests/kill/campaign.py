"""Who dies, when and how; and what happens to the host, the tenants and Inara meanwhile."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.kill.board import Board, Phase, Stage
from tests.kill.ground import Ground
from tests.kill.moods import deal
from tests.kill.pauses import LONGER_THAN_ANY_PAUSE, Pause, Trouble
from tests.kill.population import Death, Life, Population

DAY = 86_400.0
_LAST_LIFE_SECONDS = 90.0
_KILLS_BETWEEN_EVENTS = 4
_AIM_SECONDS = 0.8
_REQUIRED = (Phase.CONNECT, Phase.IN_FLIGHT, Phase.COMMIT)
_LEAST_HITS = 20
_LATEST_DAYS = 26
"""Settled messages are kept for 30 days, and are counted in the end."""
_AIMS: tuple[Phase | None, ...] = (
    *(Phase.CONNECT,) * 3,
    *(Phase.IN_FLIGHT,) * 3,
    *(Phase.COMMIT,) * 4,
    *(None,) * 2,
    Phase.GRANT,
    Phase.ANSWERED,
    Phase.WRITE_AHEAD,
    Phase.APPLY,
    Phase.REPORT,
)
_DELAYS = {Phase.CONNECT: 0.012, Phase.IN_FLIGHT: 0.05, Phase.GRANT: 0.002, Phase.REPORT: 0.02}
"""How long after the phase began a kill may come, in seconds; half a thousandth for the others."""


@dataclass(slots=True)
class Tally:
    """What was done."""

    phases: Counter[Phase] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    deaths: list[Death] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)

    def least(self) -> int:
        """How many kills must hit each phase in which a limit could be broken."""
        return min(_LEAST_HITS, self.kills // 12)

    def lacking(self) -> list[Phase]:
        """Where more kills are needed for a proof."""
        return [phase for phase in _REQUIRED if self.phases[phase] < self.least()]


class Campaign:
    """So many kills, and something else between a few of them; the same seed deals the same cards."""

    def __init__(self, ground: Ground, board: Board, population: Population, dice: random.Random) -> None:
        self.ground = ground
        self.board = board
        self.population = population
        self.dice = dice
        self.tally = Tally()
        self._aims = deal(_AIMS, dice)
        self._events = deal(
            (
                self._sync,
                self._sync,
                self._reload,
                self._reload,
                self._break_tenants,
                self._terminate,
                self.reboot,
                self._suspend,
                self._step_wall_clock,
                Trouble(self).strike,
            ),
            dice,
        )
        self._days = 0

    def run(self, kills: int) -> None:
        """Kill so often, then let a last life bring everything to its end. Raises FailedError."""
        nights = [kills // 3, 2 * kills // 3]
        event_at = _KILLS_BETWEEN_EVENTS
        while self.tally.kills < kills:
            if nights and self.tally.kills >= nights[0]:
                nights.pop(0)
                self._change_commanders()
            if self.tally.kills >= event_at:
                event_at = self.tally.kills + _KILLS_BETWEEN_EVENTS
                self.populate()
                next(self._events)()
            self.kill(self._aim())
        while self.tally.lacking() and self.tally.kills < 2 * kills:
            self.kill(self.tally.lacking()[0])
        self._live_to_the_end()

    # --- Kills -----------------------------------------------------------------------------------------------------

    def populate(self) -> None:
        """A daemon, mostly a second one, and something to do for them."""
        self.population.census()
        count = len(self.population.daemons())
        wanted = 1 if self.dice.random() < 0.3 else 2
        for _ in range(wanted - count):
            self.population.bear("run")
        if not self.ground.ask("SELECT 1 FROM run WHERE ended_at IS NULL LIMIT 1") and self.dice.random() < 0.5:
            self.pass_a_day()

    def kill(self, aim: Phase | None, *, in_pause: bool = False) -> None:
        """Kill whoever is amid `aim`, or anybody at any moment; unless that is meant, no pause keeps them idle."""
        self.populate()
        if not in_pause and self.ground.ask("SELECT 1 FROM pause WHERE until > ?", self.board.boottime()):
            self.population.sleep(LONGER_THAN_ANY_PAUSE)  # a reboot began it anew, or a kill had hit what ends it
        victim = self._find(aim)
        self.count(victim)

    def count(self, victim: Life) -> None:
        """Kill, and note what that hit."""
        death = self.population.kill(victim)
        self.tally.kills += 1
        self.tally.phases.update(death.phases)
        self.tally.deaths.append(death)

    def _aim(self) -> Phase | None:
        if self.ground.ask("SELECT 1 FROM message WHERE status = 'waiting'") and self.dice.random() < 0.5:
            return Phase.REPORT
        return next(self._aims)

    def _find(self, aim: Phase | None) -> Life:
        victim = None
        if aim is None:
            time.sleep(self.dice.uniform(0.0, 0.3))
        else:
            victim = self.population.wait_for(aim, _AIM_SECONDS)
            if victim is not None:
                time.sleep(self.dice.uniform(0.0, _DELAYS.get(aim, 0.0005)))
        self.population.census()
        if victim in self.population.living:
            return victim
        idle = [life for life in self.population.living if self.board.stage(life.slot) is Stage.STANDING_BY]
        busy = [life for life in self.population.living if life not in idle]
        return self.dice.choice(busy or idle)

    # --- What else happens --------------------------------------------------------------------------------------------

    def pass_a_day(self) -> None:
        """The next night has come."""
        if self._days < _LATEST_DAYS:
            self._days += 1
            self.board.wall_shift = self._days * DAY
            self._note("a day passed")

    def _note(self, event: str) -> None:
        self.tally.events[event] += 1

    def _sync(self) -> None:
        """Somebody asks beside the daemon."""
        name = self.dice.choice(self.ground.names["alpha"])
        words = self.dice.choice([(), ("--tenant", "alpha"), ("--tenant", "beta"), ("--name", name), ("--dry-run",)])
        sync = self.population.bear("sync", *words)
        self._note("sync")
        if self.dice.random() < 0.5:
            time.sleep(self.dice.uniform(0.0, 0.8))
            if sync.process.is_alive():
                self.count(sync)
                self._note("sync killed")

    def _reload(self) -> None:
        self.population.wait_for_leader(5.0)
        self.ground.change_tenants(self.dice)
        self.population.reload()
        time.sleep(self.dice.uniform(0.0, 0.1))
        self._note("reload")

    def _break_tenants(self) -> None:
        """A reload that must be refused; a daemon that is just starting would rightly end."""
        self.population.wait_until(self._have_all_begun, 5.0, "every daemon to have read tenant.json")
        self.ground.break_tenants()
        self.population.reload()
        time.sleep(0.05)
        self.ground.write_tenants()
        self.population.reload()
        self._note("reload of a broken file")

    def _terminate(self) -> None:
        if self.population.terminate_somebody():
            self._note("SIGTERM")

    def reboot(self) -> None:
        """The host is reset: everybody is gone at once, and another boot has begun."""
        for life in self.population.reset_host():
            self.count(life)
        self._note("reboot")

    def _suspend(self) -> None:
        self.population.sleep(self.dice.uniform(1.0, 100_000.0))
        self._note("suspend")

    def _step_wall_clock(self) -> None:
        """The wall clock is wrong for a while, weeks before or hours after what it was.

        Not by more than a month, after which the outbox forgets what it has sent, and the verdict could not count.
        """
        self.board.wall_shift = self._days * DAY + self.dice.choice([-20 * DAY, -DAY, -3_600.0, 3_600.0, 0.4 * DAY])
        self._note("wall clock stepped")
        self.kill(None)
        self.kill(None)
        self.board.wall_shift = self._days * DAY

    def _change_commanders(self) -> None:
        """Promotions, a move, a rename: what the reports will tell."""
        self.ground.stand_in.order("second_night")
        changed = self.ground.stand_in.world.second_night()
        if changed.renamed is not None:
            self.ground.renamed.add(changed.renamed[0])
        self._note("commanders changed")

    def _have_all_begun(self) -> bool:
        return all(self.board.stage(life.slot) >= Stage.STANDING_BY for life in self.population.daemons())

    # --- The end ------------------------------------------------------------------------------------------------------

    def _live_to_the_end(self) -> None:
        for life in tuple(self.population.living):
            if life.process.is_alive():
                self.count(life)
        self.population.census()
        self.population.sleep(LONGER_THAN_ANY_PAUSE)
        self.ground.complete_tenants()
        self._days += 2  # whatever run began last, and when, another night has come since
        self.board.wall_shift = self._days * DAY
        last_run = (self.ground.ask("SELECT max(id) FROM run") or [(0,)])[0][0] or 0
        life = self.population.bear("run")
        self.population.wait_until(
            lambda: self._is_settled(last_run), _LAST_LIFE_SECONDS, "the last life to bring everything to its end"
        )
        self.population.terminate(life)

    def _is_settled(self, last_run: int) -> bool:
        """Whether each tenant had a whole run, and nothing is left to do."""
        complete = "SELECT tenant_id FROM run WHERE id > ? AND only IS NULL AND outcome = 'complete' GROUP BY tenant_id"
        left = (
            "SELECT 1 FROM run WHERE ended_at IS NULL",
            "SELECT 1 FROM message WHERE status IN ('waiting', 'sending')",
            "SELECT 1 FROM request WHERE result IS NULL",
            "SELECT 1 FROM roster_write",
            "SELECT 1 FROM budget WHERE open",
        )
        return len(self.ground.ask(complete, last_run)) == len(self.ground.names) and not any(
            map(self.ground.ask, left)
        )
