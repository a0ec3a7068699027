"""The night's limit at the desk, whatever stands in line: no request is spent on whom it forbids."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from inara_daemon.inara.line import NIGHT_SPENT, Line, Served, Stopped
from inara_daemon.settings import Secret
from tests.unit.inara.test_desk import Inara, counter, numbered
from tests.virtual_time import VirtualTimeLoop

_lines = st.lists(
    st.tuples(
        st.sampled_from(["k1", "k2"]),
        st.integers(1, 40),  # names
        st.none() | st.integers(0, 6),  # the last request
        st.floats(0, 200),  # seconds until it stands in line
    ),
    min_size=1,
    max_size=5,
)


@given(_lines, st.integers(1, 12))
@settings(max_examples=80, deadline=None)
def test_no_request_beyond_its_last_serves_a_line_and_who_has_no_limit_is_served_completely(
    tenants: list[tuple[str, int, int | None, float]], batch_size: int
) -> None:
    async def scenario() -> None:
        async with counter(Inara(), batch_size=batch_size) as at:

            async def stand(number: int, key: str, count: int, last: int | None, seconds: float) -> None:
                await asyncio.sleep(seconds)
                names = {name: name for name in numbered(f"{number} ", count)}  # nobody's name is another's
                line = Line(str(number), Secret(key), key, 0, last, names)
                served: dict[str, int] = {}
                stopped: Stopped | None = None
                with at.desk.line(line):
                    while True:
                        while (notice := line.heard()) is not None:
                            if isinstance(notice, Served):
                                served.update(dict.fromkeys(notice.outcomes, notice.request))
                            elif isinstance(notice, Stopped):
                                stopped = notice
                        if not line.wanted and not line.in_flight:
                            break
                        await line.listen(10)
                if last is None:
                    assert len(served) == count
                    assert stopped is None
                else:
                    assert max(served.values(), default=0) <= last
                    assert (stopped is None) is (len(served) == count)
                    assert stopped is None or (stopped.reason, at.desk.requests >= last) == (NIGHT_SPENT, True)

            await asyncio.gather(*(stand(number, *tenant) for number, tenant in enumerate(tenants)))
            # No request was spent beyond all limits: each one served somebody who might have it.
            asked = [name for batch in at.inara.batches for name in batch]
            assert len(asked) == len(set(asked))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 10), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_tenants_that_begin_together_cost_one_night_together(
    rosters: list[int], batch_size: int, night_requests: int
) -> None:
    async def scenario() -> None:
        async with counter(Inara(), batch_size=batch_size) as at:
            lines = [
                Line(str(n), Secret("k"), "k", 0, night_requests, {f"{n} {name}": "x" for name in range(count)})
                for n, count in enumerate(rosters)
            ]
            await asyncio.gather(*(at.stand(line) for line in lines))
            await asyncio.sleep(10_000)
        assert len(at.inara.requests) == min(night_requests, -(-sum(rosters) // batch_size))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
