"""The counter where all tenants queue, under virtual time: never early, never idle, fair, and nobody forgotten."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inara_daemon.commander import NotFound, Outcome, SetAside, Unanswered
from inara_daemon.inara.budget import Budget
from inara_daemon.inara.decision import Failure
from inara_daemon.inara.desk import Desk
from inara_daemon.inara.line import AT_ONCE, NIGHT_SPENT, Line, Served, Stopped, Trouble
from inara_daemon.inara.pauses import Pauses
from inara_daemon.inara.wire import Answers, Outage, Refusal, RefusalKind, Reply
from inara_daemon.settings import Secret
from tests.unit.inara.test_budget import Store as BudgetRow
from tests.unit.inara.test_budget import StoreError
from tests.unit.inara.test_pauses import Store as PauseRows
from tests.virtual_time import VirtualTimeLoop, virtual_clock

pytestmark = pytest.mark.virtual_time
INTERVAL = 31.0
_Answer = Callable[[str, Sequence[str]], Reply]


def know_nobody(_key: str, names: Sequence[str]) -> Reply:
    return Answers(dict.fromkeys(range(len(names)), NotFound()))


@dataclass
class Inara:
    """Answers as told, after `seconds`, and notes what came when."""

    answer: _Answer = know_nobody
    seconds: float = 0.5
    requests: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)

    async def lookup(self, key: Secret, names: Sequence[str]) -> Reply:
        self.requests.append((asyncio.get_running_loop().time(), key.reveal(), tuple(names)))
        await asyncio.sleep(self.seconds)
        return self.answer(key.reveal(), names)

    @property
    def batches(self) -> list[tuple[str, ...]]:
        return [names for _, _, names in self.requests]


@dataclass
class Counter:
    """A desk at work, its stores, and what came of each line."""

    desk: Desk
    inara: Inara
    budget_row: BudgetRow
    pause_rows: PauseRows

    async def stand(self, line: Line) -> dict[str, Outcome]:
        """Wait in line until all is answered or the line is stopped; the answers, with the troubles noted."""
        answers: dict[str, Outcome] = {}
        with self.desk.line(line):
            while line.wanted or line.in_flight:
                await line.listen(10)
                while (notice := line.heard()) is not None:
                    if isinstance(notice, Served):
                        answers.update(notice.outcomes)
        while (notice := line.heard()) is not None:
            if isinstance(notice, Served):
                answers.update(notice.outcomes)
        return answers


@asynccontextmanager
async def counter(
    inara: Inara, *, batch_size: int = 30, row: BudgetRow | None = None, rows: PauseRows | None = None
) -> AsyncIterator[Counter]:
    """A desk at work, with what an earlier one stored."""
    clock = virtual_clock()
    row, rows = row or BudgetRow(), rows or PauseRows()
    budget = Budget(row, clock, rate=2, deadline=60)
    pauses = Pauses(rows, clock, application="App")
    await budget.start()
    await pauses.start()
    desk = Desk(budget, pauses, inara, batch_size=batch_size)
    running = asyncio.create_task(desk.run())
    try:
        yield Counter(desk, inara, row, rows)
    finally:
        desk.stop()
        await running


def line(
    tenant: str, names: Sequence[str], *, key: str = "k", fillers: Sequence[str] = (), last: int | None = None
) -> Line:
    return Line(tenant, Secret(key), key, 0, last, {name: name for name in names}, {name: name for name in fillers})


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


async def test_every_request_leaves_with_its_token_and_full() -> None:
    async with counter(Inara()) as at:
        answers = await at.stand(line("a", numbered("n", 75)))
    assert len(answers) == 75
    assert [len(batch) for batch in at.inara.batches] == [30, 30, 15]
    times = [time for time, _, _ in at.inara.requests]
    assert times == pytest.approx([31.0, 62.5, 94.0], abs=0.01)


async def test_one_lookup_serves_every_tenant_that_waits_for_the_name() -> None:
    async with counter(Inara()) as at:
        both = await asyncio.gather(at.stand(line("a", ["x", "y"])), at.stand(line("b", ["y", "z"])))
    assert [set(answers) for answers in both] == [{"x", "y"}, {"y", "z"}]
    assert [set(batch) for batch in at.inara.batches] == [{"x", "y", "z"}]


async def test_a_key_is_never_sent_with_another_keys_names() -> None:
    async with counter(Inara()) as at:
        await asyncio.gather(at.stand(line("a", ["x"], key="one")), at.stand(line("b", ["x", "y"], key="two")))
    assert {(key, frozenset(names)) for _, key, names in at.inara.requests} == {
        ("one", frozenset({"x"})),
        ("two", frozenset({"x", "y"})),
    }


async def test_isolation_a_small_tenant_is_not_kept_waiting_by_a_large_one() -> None:
    order: list[str] = []

    async def stand(at: Counter, tenant: str, names: list[str], key: str) -> None:
        await at.stand(line(tenant, names, key=key))
        order.append(f"{tenant} after {len(at.inara.requests)}")

    for key in ("same", "other"):
        order.clear()
        async with counter(Inara()) as at:
            await asyncio.gather(
                stand(at, "large", numbered("l", 300), "same"), stand(at, "small", numbered("s", 20), key)
            )
        assert order[0] == "small after 2"


async def test_who_is_newly_found_has_the_next_request_however_many_wait() -> None:
    async with counter(Inara()) as at:
        waiting = [
            asyncio.create_task(at.stand(line(f"t{number}", numbered(f"t{number} ", 60)))) for number in range(50)
        ]
        await asyncio.sleep(40)
        found = line("small", ["new"])
        found.turn = AT_ONCE
        assert await at.stand(found) == {"new": NotFound()}
        assert "new" in at.inara.batches[1]
        assert [len(batch) for batch in at.inara.batches] == [30, 30]  # and nobody's slot stays empty
        for each in waiting:
            each.cancel()


async def test_an_urgent_line_has_one_turn_before_the_others_and_then_its_own() -> None:
    async with counter(Inara(), batch_size=10) as at:
        waiting = [asyncio.create_task(at.stand(line(name, numbered(name, 20)))) for name in "abc"]
        await asyncio.sleep(1)
        urgent = line("u", numbered("u", 20))
        urgent.turn = AT_ONCE
        await at.stand(urgent)
        await asyncio.gather(*waiting)
    assert [batch[0][0] for batch in at.inara.batches] == list("uabcuabc")


async def test_who_was_served_longest_ago_is_next_so_that_no_night_forgets_the_same_tenants() -> None:
    names = {f"t{number}": numbered(f"t{number} ", 20) for number in range(8)}
    served = dict.fromkeys(names, 0)
    for _night in range(2):
        async with counter(Inara(), batch_size=10) as at:
            lines = [line(tenant, those, last=5) for tenant, those in names.items()]
            for each in lines:
                each.turn = served[each.tenant_id]
            await asyncio.gather(*(at.stand(each) for each in lines))
            for number, batch in enumerate(at.inara.batches, 1):
                for name in batch:
                    served[name.split()[0]] = number
    assert all(served.values())


async def test_names_come_in_the_order_of_their_line() -> None:
    names = numbered("n", 60)
    async with counter(Inara()) as at:
        await at.stand(line("a", names))
    assert [name for batch in at.inara.batches for name in batch] == names


async def test_resting_names_only_fill_free_slots() -> None:
    async with counter(Inara(), batch_size=10) as at:
        first = line("a", numbered("n", 15), fillers=numbered("f", 20))
        await at.stand(first)
    assert [len(batch) for batch in at.inara.batches] == [10, 10]
    assert sum(name.startswith("f") for batch in at.inara.batches for name in batch) == 5
    async with counter(Inara(), batch_size=10) as at:
        await at.stand(line("a", [], fillers=numbered("f", 20)))
        await asyncio.sleep(1_000)
    assert at.inara.batches == []


async def test_a_token_waits_a_moment_for_who_is_still_reading() -> None:
    async with counter(Inara()) as at:
        await asyncio.sleep(100)
        waiting = asyncio.create_task(at.stand(line("a", ["x"])))
        with at.desk.reading():
            await asyncio.sleep(0.5)
            assert at.inara.batches == []
            joining = asyncio.create_task(at.stand(line("b", ["y"])))
            await asyncio.sleep(0.1)
        await asyncio.gather(waiting, joining)
    assert [set(batch) for batch in at.inara.batches] == [{"x", "y"}]


async def test_a_reader_that_takes_long_holds_nobody_up_for_more_than_a_second() -> None:
    async with counter(Inara()) as at:
        await asyncio.sleep(100)
        with at.desk.reading():
            begun = asyncio.get_running_loop().time()
            await at.stand(line("a", ["x"]))
            assert at.inara.requests[0][0] - begun <= 1.01


async def test_a_name_that_good_replies_lack_is_given_up_after_three_tries() -> None:
    def forgetful(_key: str, names: Sequence[str]) -> Reply:
        return Answers({index: NotFound() for index, name in enumerate(names) if name != "lost"})

    async with counter(Inara(forgetful), batch_size=2) as at:
        answers = await at.stand(line("a", ["lost", "x", "y", "z"]))
    assert answers["lost"] == Unanswered()
    assert sum("lost" in batch for batch in at.inara.batches) == 3
    assert at.inara.batches[1] == ("y", "z") or at.inara.batches[1][0] != "lost"


async def test_an_outage_asks_for_the_same_names_again_and_counts_against_nobody() -> None:
    replies: list[Reply] = [Outage("down")] * 4

    def flaky(key: str, names: Sequence[str]) -> Reply:
        return replies.pop() if replies else know_nobody(key, names)

    async with counter(Inara(flaky)) as at:
        answers = await at.stand(line("a", ["x", "y"]))
    assert answers == {"x": NotFound(), "y": NotFound()}
    times = [time for time, _, _ in at.inara.requests]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([31.5, 60.5, 120.5, 300.5], abs=0.01)


async def test_a_broken_limit_holds_every_key_for_an_hour() -> None:
    replies: list[Reply] = [Refusal(RefusalKind.LIMITED, "Too much requests")]

    def limited_once(key: str, names: Sequence[str]) -> Reply:
        return replies.pop() if replies else know_nobody(key, names)

    async with counter(Inara(limited_once)) as at:
        await asyncio.gather(at.stand(line("a", ["x"], key="one")), at.stand(line("b", ["y"], key="two")))
    times = [time for time, _, _ in at.inara.requests]
    assert times[1] - times[0] >= 3_600
    assert times[2] - times[1] == pytest.approx(31.5)


async def test_a_bad_key_stops_its_own_lines_and_no_other() -> None:
    def picky(key: str, names: Sequence[str]) -> Reply:
        return Refusal(RefusalKind.BAD_KEY, "Invalid API key") if key == "bad" else know_nobody(key, names)

    bad, good = line("a", ["x"], key="bad"), line("b", ["y"], key="good")
    async with counter(Inara(picky)) as at:
        with at.desk.line(bad):
            assert await at.stand(good) == {"y": NotFound()}
            await asyncio.sleep(100)
            assert bad.heard() == Stopped("bad_key", "Invalid API key")
        await asyncio.sleep(100_000)
    assert [key for _, key, _ in at.inara.requests].count("bad") == 1


async def test_an_unknown_refusal_is_narrowed_down_to_the_one_name() -> None:
    def poisoned(key: str, names: Sequence[str]) -> Reply:
        return Refusal(RefusalKind.UNKNOWN, "hm") if "n13" in names else know_nobody(key, names)

    async with counter(Inara(poisoned)) as at:
        answers, other = await asyncio.gather(
            at.stand(line("a", numbered("n", 30))), at.stand(line("b", ["free"], key="other"))
        )
    assert answers.pop("n13") == SetAside("hm")
    assert set(answers.values()) == {NotFound()}
    assert len(answers) == 29
    assert other == {"free": NotFound()}
    assert at.inara.requests[1][1] == "other"  # nobody else waits for the pause


@dataclass
class Poisoned:
    """Refuses whatever carries `name`, for no reason that it would tell."""

    name: str
    refused: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, key: str, names: Sequence[str]) -> Reply:
        if self.name not in names:
            return know_nobody(key, names)
        self.refused.append(tuple(names))
        return Refusal(RefusalKind.UNKNOWN, "hm")


@pytest.mark.parametrize("culprit", ["n0", "n13", "n29", "n45", "n89"])
@pytest.mark.parametrize("restarts", [False, True], ids=["in one go", "across restarts"])
async def test_failures_one_poisonous_name_costs_a_logarithm_of_requests_and_nobody_elses_answer(
    culprit: str, *, restarts: bool
) -> None:
    """Of 90 names 30 are refused, then the others cost 3 requests, as the first of them is halved.

    Each halving costs one request, and one more for those whom it clears.
    """
    poisoned = Poisoned(culprit)
    inara = Inara(poisoned)
    async with counter(inara) as first:
        waiting, other = line("a", numbered("n", 90)), line("b", numbered("o", 20), key="other")
        answers: dict[str, Outcome] = {}
        at = first
        with at.desk.line(other):
            await asyncio.sleep(200)
            assert not other.wanted  # another key waits for none of it
        for _ in range(100):
            async with counter(inara, row=at.budget_row, rows=at.pause_rows) if restarts else nullcontext(at) as at:
                with at.desk.line(waiting):
                    await asyncio.sleep(600)
                while (notice := waiting.heard()) is not None:
                    answers |= notice.outcomes if isinstance(notice, Served) else {}
            if len(poisoned.refused) == 1 and len(answers) >= 60:
                assert asyncio.get_running_loop().time() < 3_600  # the others are through after the first pause
    assert answers.pop(culprit) == SetAside("hm")
    assert set(answers.values()) == {NotFound()}
    assert len(answers) == 89
    asked = [names for _, key, names in inara.requests if key == "k"]
    assert len(asked) <= 1 + 3 + 2 * math.ceil(math.log2(30)) + 1
    assert len(poisoned.refused) <= 1 + math.ceil(math.log2(30)) + 1
    assert poisoned.refused[-1] == (culprit,)


async def test_failures_while_nothing_works_with_a_key_nobody_is_taken_for_the_culprit() -> None:
    refuse = Inara(lambda _key, _names: Refusal(RefusalKind.UNKNOWN, "hm"))
    async with counter(refuse) as at:
        waiting = line("a", numbered("n", 90))
        with at.desk.line(waiting):
            await asyncio.sleep(86_400)
            heard = [waiting.heard() for _ in refuse.requests]
    assert {type(notice) for notice in heard} == {Trouble}
    assert len(waiting.wanted) == 90
    assert 5 <= len(refuse.requests) <= 8  # the pauses double: 15, 30, 60, 120, 240, 360, 360 min
    assert [len(batch) for batch in refuse.batches[:5]] == [30, 15, 7, 3, 1]


async def test_failures_a_name_known_as_poison_is_asked_alone_and_last() -> None:
    poisoned = Poisoned("p")
    async with counter(Inara(poisoned)) as at:
        waiting = line("a", ["p", *numbered("n", 29)])
        waiting.alone = frozenset({"p"})
        answers = await at.stand(waiting)
    assert [len(batch) for batch in at.inara.batches] == [29, 1]
    assert poisoned.refused == [("p",)]
    assert answers["p"] == SetAside("hm")
    assert len(answers) == 30


async def test_a_night_ends_with_its_share_of_requests() -> None:
    limited = line("a", numbered("n", 100), last=2)
    async with counter(Inara(), batch_size=10) as at:
        with at.desk.line(limited):
            await asyncio.sleep(1_000)
            heard = []
            while (notice := limited.heard()) is not None:
                heard.append(notice)
    assert len(at.inara.requests) == 2
    assert [type(notice) for notice in heard] == [Served, Served, Stopped]
    assert isinstance(heard[-1], Stopped)
    assert heard[-1].reason == NIGHT_SPENT


async def test_a_night_that_is_spent_already_is_said_at_once() -> None:
    late = line("a", ["x"], last=0)
    async with counter(Inara()) as at:
        with at.desk.line(late):
            notice = late.heard()
            await asyncio.sleep(1_000)
    assert isinstance(notice, Stopped)
    assert at.inara.requests == []


async def test_while_the_state_can_not_be_written_nothing_is_sent() -> None:
    async with counter(Inara()) as at:
        at.budget_row.faults = [("before", StoreError)] * 20
        waiting = asyncio.create_task(at.stand(line("a", ["x"])))
        await asyncio.sleep(60)
        assert at.inara.requests == []
        await waiting
    assert len(at.inara.requests) == 1


async def test_a_pause_is_stored_before_anything_else_is_sent() -> None:
    replies: list[Reply] = [Refusal(RefusalKind.LIMITED, "Too much requests")]

    def limited_once(key: str, names: Sequence[str]) -> Reply:
        return replies.pop() if replies else know_nobody(key, names)

    async with counter(Inara(limited_once)) as at:
        at.pause_rows.broken = True
        waiting = asyncio.create_task(at.stand(line("a", ["x"])))
        await asyncio.sleep(10_000)
        assert len(at.inara.requests) == 1
        at.pause_rows.broken = False
        await waiting
    assert len(at.inara.requests) == 2


async def test_quiet_moments_are_told_while_no_token_is_near_and_never_else() -> None:
    clock, told = virtual_clock(), list[float]()
    budget, pauses = Budget(BudgetRow(), clock, rate=2, deadline=60), Pauses(PauseRows(), clock, application="App")
    await budget.start()
    loop = asyncio.get_running_loop()
    desk = Desk(budget, pauses, Inara(), batch_size=30, quiet=lambda: told.append(loop.time()))
    running = asyncio.create_task(desk.run())
    with desk.line(line("a", numbered("n", 60))):
        await asyncio.sleep(70)
    desk.stop()
    await running
    assert told
    assert not [time for time in told if 30.0 < time < 31.4 or 61.5 < time < 62.9]  # a token, or an answer, is due


async def test_who_leaves_the_line_before_its_turn_burns_no_token() -> None:
    async with counter(Inara()) as at:
        leaving = line("a", ["x"])
        with at.desk.line(leaving):
            await asyncio.sleep(5)
        await asyncio.sleep(1_000)
        assert at.inara.requests == []
        begun = asyncio.get_running_loop().time()
        await at.stand(line("b", ["y"]))
        assert asyncio.get_running_loop().time() - begun < 1


async def test_a_request_under_way_is_saved_when_the_desk_stops() -> None:
    waiting = line("a", numbered("n", 40))
    async with counter(Inara(seconds=5)) as at:
        with at.desk.line(waiting):
            await asyncio.sleep(33)
            at.desk.stop()
            await asyncio.sleep(100)
            notice = waiting.heard()
    assert isinstance(notice, Served)
    assert len(notice.outcomes) == 30
    assert len(at.inara.requests) == 1
    assert at.budget_row.row is not None
    assert at.budget_row.row["open"] is False


async def test_trouble_is_told_to_the_lines_it_concerns() -> None:
    replies: list[Reply] = [Outage("down")]

    def flaky(key: str, names: Sequence[str]) -> Reply:
        return replies.pop() if replies else know_nobody(key, names)

    mine, other = line("a", ["x"], key="one"), line("b", ["y"], key="two")
    async with counter(Inara(flaky)) as at:
        with at.desk.line(mine), at.desk.line(other):
            await asyncio.sleep(40)
            assert mine.heard() == Trouble(Failure.OUTAGE, "down")
            assert other.heard() is None


_tenants = st.lists(
    st.tuples(st.sampled_from(["k1", "k2", "k3"]), st.sets(st.integers(0, 80), min_size=1, max_size=60)),
    min_size=1,
    max_size=6,
)


@given(tenants=_tenants, size=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_names_that_wait_together_cost_the_fewest_requests_and_none_waits_idly(
    tenants: list[tuple[str, set[int]]], size: int
) -> None:
    """Without faults: ceil(names / size) for each key, each request within 50 ms of its token, everyone answered."""

    async def scenario() -> None:
        async with counter(Inara(), batch_size=size) as at:
            lines = [
                line(str(index), [str(name) for name in names], key=key) for index, (key, names) in enumerate(tenants)
            ]
            wanted = [set(waiting.wanted) for waiting in lines]
            answers = await asyncio.gather(*(at.stand(waiting) for waiting in lines))
        assert [set(got) for got in answers] == wanted
        by_key: dict[str, set[int]] = {}
        for key, names in tenants:
            by_key.setdefault(key, set()).update(names)
        assert len(at.inara.requests) == sum(math.ceil(len(names) / size) for names in by_key.values())
        times = [time for time, _, _ in at.inara.requests]
        assert times[0] == pytest.approx(INTERVAL, abs=0.05)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(INTERVAL + 0.5 <= gap + 1e-6 <= INTERVAL + 0.55 for gap in gaps)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_whoever_reads_while_others_are_answered_does_not_ask_for_the_same_names_again() -> None:
    async with counter(Inara()) as at:
        names = numbered("n", 30)
        with at.desk.reading():
            first = await at.stand(line("a", names))
            second = line("b", [*names, "own"])
            with at.desk.line(second):
                served = second.heard()
        assert isinstance(served, Served)
        assert set(served.outcomes) == set(first) == set(names)
        assert set(second.wanted) == {"own"}
    assert len(at.inara.batches) == 1


async def test_an_answer_older_than_the_run_serves_nobody() -> None:
    async with counter(Inara()) as at:
        with at.desk.reading():
            await at.stand(line("a", ["n"]))
            later = Line("b", Secret("k"), "k", at.desk.requests, wanted={"n": "n"})
            with at.desk.line(later):
                assert later.heard() is None
        with at.desk.reading():  # nobody reads any more: what was kept goes with the next answer
            pass
        await at.stand(line("a", ["m"]))
        fresh = line("c", ["n"])
        with at.desk.line(fresh):
            assert fresh.heard() is None


async def test_an_answer_for_one_key_serves_no_other_key() -> None:
    async with counter(Inara()) as at:
        with at.desk.reading():
            await at.stand(line("a", ["n"]))
            other = line("b", ["n"], key="other")
            with at.desk.line(other):
                assert other.heard() is None


async def test_an_outage_holds_over_a_restart_and_no_wake_ends_it() -> None:
    async with counter(Inara(lambda _key, _names: Outage("away", 3_000))) as at:
        with at.desk.line(line("a", ["n"])):
            await asyncio.sleep(40)
            at.desk.wake()
            await asyncio.sleep(2_000)
            assert len(at.inara.requests) == 1
            assert [pause["reason"] for pause in await at.pause_rows.pauses()] == ["outage"]
            await asyncio.sleep(1_100)
            assert len(at.inara.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [Answers({0: NotFound()}, 500), Refusal(RefusalKind.UNKNOWN, "odd", 5_000), Outage("away", 500)],
    ids=["good", "refused", "away"],
)
async def test_a_wait_that_the_server_names_is_kept_wherever_it_comes(reply: Reply) -> None:
    async with counter(Inara(lambda _key, _names: reply)) as at:
        with at.desk.line(line("a", ["n", "m"])):
            await asyncio.sleep(400)
    assert len(at.inara.requests) == 1


async def test_readers_delay_a_request_for_a_second_after_they_were_woken_and_no_longer() -> None:
    async with counter(Inara()) as at:
        with at.desk.reading():
            await asyncio.sleep(100)
            await at.stand(line("a", ["n"]))
            await at.stand(line("a", ["m"]))
    times = [time for time, _, _ in at.inara.requests]
    assert times == pytest.approx([100.0, 131.5], abs=0.02)


async def test_the_last_answers_of_a_night_arrive_whoever_else_comes_meanwhile() -> None:
    async with counter(Inara(seconds=5), batch_size=10) as at:
        limited = asyncio.create_task(at.stand(line("a", numbered("n", 30), last=2)))
        await asyncio.sleep(31 + 5 + 31 + 2)  # the second request is under way
        with at.desk.line(line("b", ["x"], key="other")):
            await asyncio.sleep(1)
        answers = await limited
    assert len(answers) == 20


async def test_readers_that_keep_coming_hold_a_token_for_a_second_in_all() -> None:
    async with counter(Inara()) as at:
        await asyncio.sleep(100)
        waiting = asyncio.create_task(at.stand(line("a", ["x"])))
        for _ in range(10):
            with at.desk.reading():
                await asyncio.sleep(0.5)
        await waiting
    assert at.inara.requests[0][0] == pytest.approx(101, abs=0.6)


async def test_an_answer_under_way_when_a_run_begins_counts_for_it() -> None:
    async with counter(Inara(seconds=5)) as at:
        first = asyncio.create_task(at.stand(line("a", ["x"])))
        await asyncio.sleep(33)
        assert at.desk.requests == 0
        await first
        assert at.desk.requests == 1


async def test_failures_a_poisonous_name_spoils_no_night_for_its_neighbours_though_more_wait_than_a_night_holds() -> (
    None
):
    poisoned, answered = Poisoned("n5"), set[str]()
    row, rows = BudgetRow(), PauseRows()
    names = numbered("n", 600)
    for night in range(8):
        order = [name for name in names if name not in answered] + [name for name in names if name in answered]
        async with counter(Inara(poisoned), row=row, rows=rows) as at:
            limited = line(f"night {night}", order, last=at.desk.requests + 12)
            answered |= (await at.stand(limited)).keys()
    assert answered == set(names)
