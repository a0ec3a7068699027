"""Who waits for which name and who is next, held against a model that is too slow to be of use."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inara_daemon.commander import NotFound
from inara_daemon.inara.line import AT_ONCE, Line, Served
from inara_daemon.inara.lines import Lines
from inara_daemon.inara.suspicion import NO_SUSPICION, Suspicion
from inara_daemon.settings import Secret

_KEYS = ("one", "two")
_NAMES = tuple("abcdefghijkl")
_names = st.lists(st.sampled_from(_NAMES), unique=True, max_size=8)
_keys = st.sampled_from(_KEYS)
_sizes = st.integers(1, 9)
_turns = st.integers(AT_ONCE, 4)
_lasts = st.one_of(st.none(), st.integers(0, 4))
_REQUEST = 3
"""The request that is filled: some lines may have it and some may not."""


def line(
    tenant: str,
    wanted: Iterable[str] = (),
    *,
    key: str = "one",
    fillers: Iterable[str] = (),
    alone: Collection[str] = (),
    turn: int = 0,
    last: int | None = None,
) -> Line:
    return Line(
        tenant,
        Secret(key),
        key,
        0,
        last,
        {name: f"{tenant} {name}" for name in wanted},
        {name: f"{tenant} {name}" for name in fillers},
        frozenset(alone),
        turn,
    )


class LinesAgainstTheModel(RuleBasedStateMachine):
    """The model: lines in the order in which they came to their turns, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines()
        self.queue: list[Line] = []
        self.made = 0

    def in_turn(self, key: str | None = None) -> list[Line]:
        """Sorting is stable: of equal turns who came first is first."""
        return [each for each in sorted(self.queue, key=lambda each: each.turn) if key in (None, each.fingerprint)]

    def waiting_for(self, key: str, name: str) -> list[Line]:
        return [each for each in self.queue if each.fingerprint == key and name in {**each.wanted, **each.fillers}]

    @initialize()
    def open_for_two_keys(self) -> None:
        for key in _KEYS:
            self.stand(key=key, wanted=["a", "b"], fillers=["c"], alone=[], turn=0, last=None)

    @rule(
        key=_keys,
        wanted=_names,
        fillers=_names,
        alone=st.one_of(st.just([]), _names),
        turn=_turns,
        last=_lasts,
    )
    def stand(
        self, *, key: str, wanted: list[str], fillers: list[str], alone: list[str], turn: int, last: int | None
    ) -> None:
        self.made += 1
        resting = [name for name in fillers if name not in wanted]
        added = line(
            f"t{self.made}", wanted, key=key, fillers=resting, alone=set(alone) & set(wanted), turn=turn, last=last
        )
        self.queue.append(added)
        self.lines.add(added)

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        leaving = data.draw(st.sampled_from(self.queue))
        self.queue.remove(leaving)
        self.lines.remove(leaving)

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        closed = data.draw(st.sampled_from(self.queue))
        resting = dict(closed.fillers)
        self.lines.close(closed)
        assert (closed.wanted, closed.fillers) == ({}, resting)

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiting = [each for each in self.queue if each.wanted or each.fillers]
        assume(waiting)
        one = data.draw(st.sampled_from(waiting))
        name = data.draw(st.sampled_from([*one.wanted, *one.fillers]))
        others = [each for each in self.waiting_for(one.fingerprint, name) if each is not one]
        self.lines.give_up(one, name)
        assert self.waiting_for(one.fingerprint, name) == others

    @rule(key=_keys, names=_names, request=st.integers(1, 9))
    def answer(self, key: str, names: list[str], request: int) -> None:
        outcomes = dict.fromkeys(names, NotFound())
        expected = {
            each: Served(request, {name: NotFound() for name in names if each in self.waiting_for(key, name)})
            for each in self.queue
        }
        expected = {each: served for each, served in expected.items() if served.outcomes}
        assert self.lines.take(key, request, outcomes) == expected
        assert not any(self.waiting_for(key, name) for name in names)

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), request=st.integers(1, 9))
    def lead(self, data: st.DataObject, request: int) -> None:
        leader = data.draw(st.sampled_from(self.queue))
        self.lines.end_turn(leader, request)
        self.queue.remove(leader)
        self.queue.append(leader)
        assert leader.turn == request

    @invariant()
    def turns_are_in_order(self) -> None:
        assert list(self.lines) == self.in_turn()
        for key in _KEYS:
            assert list(self.lines.of_key(key)) == self.in_turn(key)
        assert set(self.lines.fingerprints()) == {each.fingerprint for each in self.queue}

    @invariant()
    def the_index_knows_who_waits_for_a_name_and_nobody_else(self) -> None:
        expected = {
            (key, name): waiting for key in _KEYS for name in _NAMES if (waiting := self.waiting_for(key, name))
        }
        found = {
            (key, name): list(waiting)
            for key, by_name in self.lines._by_name.items()
            for name, waiting in by_name.items()
        }
        assert found.keys() == expected.keys()
        for place, waiting in found.items():
            assert len(waiting) == len(expected[place])
            assert set(waiting) == set(expected[place])
            assert set(self.lines.carried(place[0], [place[1]])) == set(waiting)

    @invariant()
    def a_request_may_be_spent_on_a_key_if_one_of_its_lines_may_have_it(self) -> None:
        for key in tuple(self.lines.fingerprints()):
            for request in (1, 3, 5):
                expected = any(each.may_have(request) for each in self.in_turn(key))
                assert self.lines.may_ask(key, request) == expected

    def teardown(self) -> None:
        """When all have left nothing is left of them."""
        for each in self.queue:
            self.lines.remove(each)
        assert self.lines._by_name == {}
        assert self.lines._by_key == {}
        assert list(self.lines) == []


TestLines = LinesAgainstTheModel.TestCase
TestLines.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


_stands = st.lists(st.tuples(_names, _names, _turns, _lasts), min_size=1, max_size=6)


def stand_in_turn(lines: Lines, stands: list[tuple[list[str], list[str], int, int | None]]) -> list[Line]:
    """Let lines stand, with one of another key among them; those that may have the request, in turn."""
    lines.add(line("other", "az", key="two", turn=AT_ONCE))
    for number, (wanted, fillers, turn, last) in enumerate(stands):
        resting = [name for name in fillers if name not in wanted]
        lines.add(line(f"t{number}", wanted, fillers=resting, turn=turn, last=last))
    return [each for each in lines if each.fingerprint == "one" and each.may_have(_REQUEST)]


@given(stands=_stands, size=_sizes)
def test_a_request_carries_as_many_as_wait_in_turn_and_leaves_no_slot_empty(
    stands: list[tuple[list[str], list[str], int, int | None]], size: int
) -> None:
    lines = Lines()
    peers = stand_in_turn(lines, stands)
    waiting: dict[str, str] = {}
    for names in chain((each.wanted for each in peers), (each.fillers for each in peers)):
        for name, spelling in names.items():
            waiting.setdefault(name, spelling)
    filled = lines.fill("one", _REQUEST, NO_SUSPICION, size)
    assert len(filled) == min(size, len(waiting))
    assert list(filled.items()) == list(waiting.items())[:size]


@given(stands=_stands, size=_sizes, suspects=_names, alone=_names)
def test_suspects_wait_for_everybody_else_and_then_come_in_halves_and_the_known_ones_one_by_one(
    stands: list[tuple[list[str], list[str], int, int | None]], size: int, suspects: list[str], alone: list[str]
) -> None:
    lines = Lines()
    peers = stand_in_turn(lines, stands)
    for each in peers:
        each.alone = frozenset(alone) & each.wanted.keys()
    known = {name for each in peers for name in each.alone}
    wanted = list(dict.fromkeys(name for each in peers for name in each.wanted))
    fillers = list(dict.fromkeys(name for each in peers for name in each.fillers))
    free = [name for name in wanted if name not in known and name not in suspects]
    resting = [name for name in fillers if name not in known and name not in suspects and name not in free]
    suspected = [name for name in suspects if name in wanted]
    filled = list(lines.fill("one", _REQUEST, Suspicion(tuple(suspects), others_worked=True), size))
    if free:
        assert filled == [*free, *resting][:size]
    elif suspected:
        assert filled == suspected[: min((len(suspected) + 1) // 2, size)]
    else:
        assert filled == [name for each in peers for name in sorted(each.alone)][:1]


def _order(lines: Lines) -> list[str]:
    return [each.tenant_id for each in lines]


def test_who_was_served_longest_ago_is_next_and_who_came_first_of_those() -> None:
    lines = Lines()
    for tenant, turn in (("a", 7), ("b", 3), ("c", 7), ("d", 0), ("e", 3)):
        lines.add(line(tenant, "x", turn=turn))
    assert _order(lines) == ["d", "b", "e", "a", "c"]


def test_whoever_somebody_waits_for_comes_first_and_only_once() -> None:
    lines = Lines()
    for tenant, turn in (("a", 0), ("urgent", AT_ONCE), ("b", 0)):
        lines.add(line(tenant, "xy", turn=turn))
    first, *_ = lines
    assert first.tenant_id == "urgent"
    lines.end_turn(first, 1)
    assert _order(lines) == ["a", "b", "urgent"]


def test_who_only_filled_up_a_batch_keeps_its_place() -> None:
    lines = Lines()
    one, two = line("one", "ab"), line("two", "bc")
    lines.add(one)
    lines.add(two)
    lines.end_turn(one, 1)
    lines.take("one", 1, {"b": NotFound()})
    assert _order(lines) == ["two", "one"]


def test_who_has_left_meanwhile_has_no_turn_to_end() -> None:
    lines = Lines()
    gone = line("gone", "a")
    lines.add(gone)
    lines.remove(gone)
    lines.end_turn(gone, 1)
    assert _order(lines) == []


def test_another_keys_line_that_wants_the_same_name_is_not_served() -> None:
    lines = Lines()
    one, two = line("one", "a"), line("two", "a", key="two")
    lines.add(one)
    lines.add(two)
    assert list(lines.take("one", 1, {"a": NotFound()})) == [one]
    assert list(two.wanted) == ["a"]


def test_those_who_are_asked_alone_share_no_request_with_one_another() -> None:
    lines = Lines()
    lines.add(line("a", "xyz", fillers="f", alone="xyz"))
    lines.add(line("b", "z", alone="z"))
    for expected in "xyz":
        assert list(lines.fill("one", 1, NO_SUSPICION, 30)) == [expected]
        lines.take("one", 1, {expected: NotFound()})
    assert lines.fill("one", 1, NO_SUSPICION, 30) == {}
