"""Who dies amid the delivery of reports, and what happens to Discord, the tenants and the host meanwhile."""

from __future__ import annotations

import random
import time

from tests.kill.board import Board, Phase, Stage
from tests.kill.channels import GUEST, HOUR, LAST_DEAD, LOST, TWINS, Channels
from tests.kill.delivery_tally import DeliveryTally
from tests.kill.moods import Moods, deal
from tests.kill.population import Life, Population

_KILLS_BETWEEN_EVENTS = 4
_AIM_SECONDS = {True: 1.0, False: 0.3}
"""How long to wait for somebody amid what is aimed at: longer if there is something to do."""
_WORK_SECONDS = 0.5
"""Every other life may get something done before anybody aims at it."""
_LAST_LIFE_SECONDS = 60.0
_OUTAGE_SECONDS = 0.5
_BURIAL_SECONDS = 6.0
_PEACE_SECONDS = 3.0
_WAITING = 12
"""With more messages on their way no further hour passes: Discord takes only so many a minute."""
_MOST_HOURS = 170
"""Fewer than the runs of a tenant that the state remembers."""
_AIMS: tuple[Phase | None, ...] = (
    *(Phase.RUN_END,) * 3,
    *(Phase.NOTE,) * 3,
    *(Phase.UNSENT,) * 2,
    *(Phase.SENT,) * 3,
    *(Phase.TOLD,) * 2,
    *(Phase.SETTLE,) * 3,
    *(None,) * 4,
)
_DELAYS = {Phase.UNSENT: 0.02, Phase.SENT: 0.05, Phase.TOLD: 0.02, Phase.RUN_END: 0.004, Phase.NOTE: 0.004}
"""How long after the phase began a kill may come, in seconds; half a thousandth for the others."""
_ON_THEIR_WAY = "SELECT count(*) FROM message WHERE status IN ('waiting', 'sending')"
_WAITING_TENANTS = "SELECT DISTINCT tenant_id FROM message WHERE status = 'waiting' ORDER BY tenant_id"
_OPEN_RUNS = "SELECT 1 FROM run WHERE ended_at IS NULL AND tenant_id NOT IN (?, ?) LIMIT 1"
"""A guest who was dismissed while nobody led has its run still open when it comes back."""


class Deliveries:
    """So many kills amid reports, with Discord in bad moods; the same seed deals the same cards."""

    def __init__(self, channels: Channels, board: Board, population: Population, dice: random.Random) -> None:
        self.channels = channels
        self.board = board
        self.population = population
        self.dice = dice
        self.tally = DeliveryTally()
        self._moods = Moods(channels.stand_in, dice)
        self._aims = deal(_AIMS, dice)
        self._events = deal(
            (
                self._sync,
                self._outage,
                self._outage,
                self._lose_webhook,
                self._lose_webhook,
                self._lose_webhook,
                self._let_guest_come_or_go,
                self._reload,
                self._terminate,
                self._reboot,
                self._step_wall_clock,
                self._step_wall_clock,
                self._leave_in_peace,
                self._leave_in_peace,
            ),
            dice,
        )
        self._losses = deal(("gone", "invalid_token", "missing_access", "unknown_webhook"), dice)

    def run(self, kills: int) -> None:
        """Kill so often, then let the last lives bring everything to its end. Raises FailedError."""
        self.tally.wanted = kills
        event_at = _KILLS_BETWEEN_EVENTS
        while self.tally.kills < kills:
            if self.tally.kills >= event_at:
                event_at = self.tally.kills + _KILLS_BETWEEN_EVENTS
                self._populate()
                next(self._events)()
            self._kill(next(self._aims))
        while self.tally.lacking() and self.tally.kills < 2 * kills:
            self._kill(self.tally.lacking()[0])
        self._live_to_the_end()

    # --- Kills -----------------------------------------------------------------------------------------------------

    def _populate(self) -> None:
        """A daemon, mostly a second one, and something to report."""
        self.population.census()
        wanted = 1 if self.dice.random() < 0.2 else 2
        for _ in range(wanted - len(self.population.daemons())):
            self.population.bear("run")
        if not self._runs_are_open() and self._on_their_way() <= _WAITING:
            self._pass_an_hour()

    def _is_busy(self) -> bool:
        return self._runs_are_open() or self._on_their_way() > 0

    def _runs_are_open(self) -> bool:
        return bool(self.channels.ask(_OPEN_RUNS, LOST, GUEST))

    def _on_their_way(self) -> int:
        ((count,),) = self.channels.ask(_ON_THEIR_WAY) or [(0,)]
        return int(count)

    def _pass_an_hour(self) -> None:
        """Everybody has another power, and the next runs are due."""
        if self.tally.hours >= _MOST_HOURS:
            return
        self.tally.hours += 1
        self.channels.stand_in.order("turn_powers")
        self.channels.stand_in.world.turn_powers()
        self.board.wall_shift = self.tally.hours * HOUR

    def _kill(self, aim: Phase | None, *, in_calm: bool = False) -> None:
        """Kill whoever is amid `aim`, or anybody at any moment; nothing new happens to Discord in a calm."""
        self._populate()
        if not in_calm:
            self._moods.strike([self.channels.present[squadron] for squadron in set(self.channels.owns.values())])
        self._count(self._find(aim))

    def _count(self, victim: Life) -> None:
        death = self.population.kill(victim)
        self.tally.kills += 1
        self.tally.phases.update(death.phases)
        self.tally.deaths.append(death)
        self._look_at_the_graves()

    def _look_at_the_graves(self) -> None:
        """Note which webhooks are known to be dead by now: from here on there is no excuse to use them."""
        for (fingerprint,) in self.channels.ask("SELECT fingerprint FROM dead_webhook"):
            self.tally.buried.setdefault(fingerprint, time.monotonic())

    def _find(self, aim: Phase | None) -> Life:
        victim = None
        if aim is None:
            time.sleep(self.dice.uniform(0.0, 0.5))
        else:
            time.sleep(max(self.dice.uniform(-_WORK_SECONDS, _WORK_SECONDS), 0.0))
            victim = self.population.wait_for(aim, _AIM_SECONDS[self._is_busy()])
            if victim is not None:
                time.sleep(self.dice.uniform(0.0, _DELAYS.get(aim, 0.0005)))
        self.population.census()
        if victim in self.population.living:
            return victim
        idle = [life for life in self.population.living if self.board.stage(life.slot) is Stage.STANDING_BY]
        busy = [life for life in self.population.living if life not in idle]
        return self.dice.choice(busy or idle)

    # --- What else happens --------------------------------------------------------------------------------------------

    def _note(self, event: str) -> None:
        self.tally.events[event] += 1

    def _sync(self) -> None:
        """Somebody asks beside the daemon, and waits for the report."""
        tenants = [tenant_id for tenant_id in self.channels.owns if tenant_id not in (LOST, GUEST, *TWINS)]
        self.population.bear("sync", "--tenant", self.dice.choice(tenants))
        self._note("sync")

    def _outage(self) -> None:
        """Discord does not listen for a while, and comes back."""
        self.channels.stand_in.order("discord:stop")
        end = time.monotonic() + self.dice.uniform(0.1, _OUTAGE_SECONDS)
        while time.monotonic() < end:
            self._kill(self.dice.choice([Phase.UNSENT, Phase.TOLD, Phase.SETTLE, None]))
        self.channels.stand_in.order("discord:start")
        self._note("outage")

    def _lose_webhook(self) -> None:
        """A webhook is no more; those who find out die, and then tenant.json has a new one."""
        squadron = self.channels.owns[self._somebody_with_a_message()]
        dead, how = self.channels.present[squadron], next(self._losses)
        self.channels.stand_in.order(f"discord:calm {dead}")
        self.channels.stand_in.order(f"discord:{how} {dead}")
        end = time.monotonic() + _BURIAL_SECONDS
        before = self._buried()
        while self._buried() == before and time.monotonic() < end:
            time.sleep(self.dice.uniform(0.0, _WORK_SECONDS))
            if self._buried() != before:
                break
            self._kill(self.dice.choice([Phase.TOLD, Phase.SETTLE, Phase.RUN_END, None]), in_calm=True)
        self._pass_an_hour()  # reports are made meanwhile, and nobody may use it again
        for _ in range(self.dice.randint(2, 6)):
            self._kill(next(self._aims))
        self.channels.replace_webhook(squadron)
        self.population.reload()
        self._note(f"webhook lost: {how}")

    def _somebody_with_a_message(self) -> str:
        waiting = [tenant_id for (tenant_id,) in self.channels.ask(_WAITING_TENANTS)]
        if not waiting:
            self._pass_an_hour()
        return str(self.dice.choice(waiting or sorted(self.channels.owns.keys() - {LOST, GUEST, *TWINS})))

    def _buried(self) -> int:
        ((count,),) = self.channels.ask("SELECT count(*) FROM dead_webhook") or [(0,)]
        return int(count)

    def _let_guest_come_or_go(self) -> None:
        self.channels.has_guest = not self.channels.has_guest
        self.channels.write_tenants()
        self.population.reload()
        self._note("guest came or went")

    def _reload(self) -> None:
        self.population.reload()
        self._note("reload")

    def _terminate(self) -> None:
        if self.population.terminate_somebody():
            self._note("SIGTERM")

    def _leave_in_peace(self) -> None:
        """Nobody dies for a while: what takes several attempts comes to its end, the plain form too."""
        squadrons = sorted(set(self.channels.owns.values()))
        refused, cut_short = self.dice.sample([self.channels.present[squadron] for squadron in squadrons], 2)
        for webhook in (refused, refused, cut_short):
            self.channels.stand_in.order(f"discord:invalid_form {webhook}")
        self._populate()
        self._pass_an_hour()
        end = time.monotonic() + _PEACE_SECONDS
        while time.monotonic() < end and (self._on_their_way() or self.channels.ask(_OPEN_RUNS, LOST, GUEST)):
            time.sleep(0.05)
        self._note("peace")

    def _step_wall_clock(self) -> None:
        """The wall clock is wrong for a while, by days or hours."""
        right = self.tally.hours * HOUR
        self.board.wall_shift = right + self.dice.choice([-9 * 24, -24, -1.5, 0.5, 3, 24]) * HOUR
        for _ in range(3):
            self._kill(next(self._aims))
        self.board.wall_shift = self.tally.hours * HOUR
        self._note("wall clock stepped")

    # --- The end ------------------------------------------------------------------------------------------------------

    def _reboot(self) -> None:
        """The host is reset: everybody is gone at once, and another boot has begun."""
        for life in self.population.reset_host():
            self._count(life)
        self._note("reboot")

    def _live_to_the_end(self) -> None:
        """Discord is itself again, but for one webhook: found dead on the first day, not used on the second.

        On the third it is replaced and its losses are told, with the rest; on the fourth nothing is left.
        """
        self._reboot()
        self.channels.stand_in.order("discord:calm")
        for squadron in sorted(set(self.channels.owns.values())):
            self.channels.replace_webhook(squadron)
        self.channels.has_guest = True
        self.channels.write_tenants()
        last = self.channels.owns[LAST_DEAD]
        self.channels.stand_in.order(f"discord:gone {self.channels.present[last]}")
        for day in range(4):
            if day == 2:
                self.channels.has_lost = True
                self.channels.replace_webhook(last)
            self._live_a_day()
            self._look_at_the_graves()

    def _live_a_day(self) -> None:
        """A life without any trouble, until everybody had a run and every report has its end."""
        last_run = int((self.channels.ask("SELECT max(id) FROM run") or [(0,)])[0][0] or 0)
        self.tally.hours += 48
        self.board.wall_shift = self.tally.hours * HOUR
        self.channels.stand_in.order("turn_powers")
        self.channels.stand_in.world.turn_powers()
        life = self.population.bear("run")
        self.population.wait_until(
            lambda: self._is_settled(last_run),
            _LAST_LIFE_SECONDS,
            "a life without trouble to bring everything to its end",
        )
        self.population.terminate(life)

    def _is_settled(self, last_run: int) -> bool:
        """Whether each tenant had a whole run since, and nothing is left to do."""
        complete = "SELECT tenant_id FROM run WHERE id > ? AND outcome = 'complete' GROUP BY tenant_id"
        everybody = len(self.channels.owns) - 1
        done = len(set(self.channels.ask(complete, last_run)) - {(LOST,)}) == everybody
        return done and not self._is_busy()
