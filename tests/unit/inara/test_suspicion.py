"""The one name that makes Inara refuse whole batches is found in few requests, whoever else waits."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.inara.suspicion import NO_SUSPICION, Suspicion


def test_a_refused_batch_is_suspected_and_a_refused_part_of_it_alone() -> None:
    first = NO_SUSPICION.refused(["a", "b", "c"])
    assert first.names == ("a", "b", "c")
    assert first.refused(["b", "a"]).names == ("a", "b")


def test_a_refusal_of_others_makes_them_suspects_too() -> None:
    assert Suspicion(("a", "b")).refused(["c", "b"]).names == ("a", "b", "c")


def test_an_answer_clears_its_names_and_the_key() -> None:
    assert Suspicion(("a", "b", "c")).worked(["b", "x"]) == Suspicion(("a", "c"), others_worked=True)
    assert Suspicion(("a",)).worked(["a"]) == NO_SUSPICION


def test_nobody_is_convicted_before_another_request_with_the_key_worked() -> None:
    alone = Suspicion(("a",))
    assert not alone.convicts(["a"])
    assert alone.worked(["x"]).convicts(["a"])
    assert not alone.worked(["x"]).convicts(["x"])
    assert not Suspicion(("a", "b"), others_worked=True).convicts(["a", "b"])


def test_a_culprit_sets_its_fellow_suspects_free() -> None:
    both = Suspicion(("a", "b"), others_worked=True)
    assert both.settled("a") == NO_SUSPICION
    assert both.settled("known before") == both


def test_half_of_those_still_waited_for_is_tried_next() -> None:
    suspects = Suspicion(("a", "b", "c", "d", "e"))
    assert list(suspects.next_try(dict.fromkeys("abcde", ""), 30)) == ["a", "b", "c"]
    assert list(suspects.next_try(dict.fromkeys("bd", ""), 30)) == ["b"]
    assert list(suspects.next_try(dict.fromkeys("abcde", ""), 2)) == ["a", "b"]
    assert suspects.next_try({}, 30) == {}


@given(count=st.integers(1, 100), data=st.data())
def test_whoever_it_is_is_found_with_the_logarithm_of_the_batch(count: int, data: st.DataObject) -> None:
    names = [f"n{number}" for number in range(count)]
    culprit = data.draw(st.sampled_from(names))
    suspicion = NO_SUSPICION.refused(names).worked(["somebody else"])
    for requests in range(1, 100):
        batch = suspicion.next_try(dict.fromkeys(names, ""), 100)
        if culprit not in batch:
            suspicion = suspicion.worked(batch)
        elif suspicion.convicts(batch):
            assert list(batch) == [culprit]
            assert requests <= math.ceil(math.log2(count)) + 1
            return
        else:
            suspicion = suspicion.refused(batch)
    raise AssertionError("never found")
