from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.sandbox.world import LADDERS, Answer, Commander, World, demo_world, make_world


def _world() -> World:
    return World(
        [
            Commander(1, "owner", "Ærø", ranks={"combat": "13", "trade": 0, "cqc": None}, power="Yuri Grom"),
            Commander(2, "Solo"),
        ]
    )


def _profile(answer: Answer | None) -> dict[str, object]:
    assert answer is not None
    assert answer.profile is not None
    return answer.profile


@pytest.mark.parametrize("name", ["Ærø", "ærø", "ÆRØ"])
def test_a_search_ignores_case(name: str) -> None:
    answer = _world().answer(name)
    assert answer is not None
    assert answer.status == 200
    assert _profile(answer)["commanderName"] == "Ærø"


def test_a_player_without_a_commander_name_is_found_by_the_user_name() -> None:
    profile = _profile(_world().answer("solo"))
    assert profile["userName"] == "Solo"
    assert "commanderName" not in profile
    assert "inaraURL" not in profile


def test_an_account_with_a_commander_name_is_not_found_by_its_user_name() -> None:
    assert _world().answer("owner") == Answer(204, text="No results found.")


def test_ranks_go_out_as_they_are_written() -> None:
    assert _profile(_world().answer("Ærø"))["commanderRanksPilot"] == [
        {"rankName": "combat", "rankValue": "13", "rankProgress": 0},
        {"rankName": "trade", "rankValue": 0, "rankProgress": 0},
        {"rankName": "cqc", "rankValue": None, "rankProgress": 0},
    ]


def test_a_squadron_of_none_is_null_and_a_hidden_one_is_missing() -> None:
    world = _world()
    assert _profile(world.answer("Solo"))["commanderSquadron"] is None
    world.find("Solo").hidden.add("commanderSquadron")
    assert "commanderSquadron" not in _profile(world.answer("Solo"))


def test_extra_fields_overrule_everything() -> None:
    world = _world()
    world.find("Solo").extra = {"userID": "2", "commanderSquadron": []}
    profile = _profile(world.answer("Solo"))
    assert profile["userID"] == "2"
    assert profile["commanderSquadron"] == []


def test_an_admitted_mistake_names_the_others() -> None:
    world = _world()
    world.mistake("exiton", "Ærø", others=["Exiton the Great", "Ærø"])
    answer = world.answer("EXITON")
    assert answer is not None
    assert answer.status == 202
    assert _profile(answer)["otherNamesFound"] == ["Exiton the Great", "Ærø"]
    assert _profile(answer)["userID"] == 1


def test_a_silent_mistake_looks_like_an_exact_answer() -> None:
    world = _world()
    world.mistake("exiton", "Ærø", status=200)
    assert world.answer("exiton") == world.answer("Ærø")


def test_a_mistake_that_shows_nobody_is_nobody() -> None:
    world = _world()
    world.mistake("exiton", "Ærø")
    world.remove("Ærø")
    answer = world.answer("exiton")
    assert answer is not None
    assert answer.status == 204


def test_a_rename_is_found_under_both_names() -> None:
    world = _world()
    world.rename("Ærø", "Læsø")
    assert _profile(world.answer("Læsø"))["userID"] == 1
    old = world.answer("Ærø")
    assert old is not None
    assert old.status == 202
    assert _profile(old)["commanderName"] == "Læsø"


def test_a_rename_without_a_trace_leaves_nobody_behind() -> None:
    world = _world()
    world.rename("Ærø", "Læsø", status=None)
    assert world.answer("Ærø") == Answer(204, text="No results found.")


def test_another_player_can_take_a_name() -> None:
    world = _world()
    world.add(Commander(99, "thief", "ærø"))
    assert _profile(world.answer("Ærø"))["userID"] == 99
    assert len(world.commanders) == 2


def test_names_can_be_poison_unanswered_or_an_error_ignoring_case() -> None:
    world = _world()
    world.poison.add("Arsenic")
    world.unanswered.add("SOLO")
    world.errors["ærø"] = "Not this one."
    assert world.is_poison("arsenic")
    assert not world.is_poison("Solo")
    assert world.answer("Solo") is None
    assert world.answer("Ærø") == Answer(400, text="Not this one.")


def test_a_key_opens_its_owners_profile() -> None:
    world = _world()
    world.owners = {"mine": "solo", "generic": None}
    assert _profile(world.own_profile("mine"))["userID"] == 2
    assert world.own_profile("generic").status == 204
    assert _profile(world.own_profile("any other"))["userID"] == 1
    assert World().own_profile("any").status == 204


def test_the_demo_is_always_the_same() -> None:
    first, second = demo_world(), demo_world()
    assert [c.profile() for c in first.commanders] == [c.profile() for c in second.commanders]
    assert first.rosters == second.rosters


def test_the_demo_can_be_changed_without_changing_the_next_one() -> None:
    demo_world().find("Elite V Vera").ranks["combat"] = "0"
    assert demo_world().find("Elite V Vera").ranks["combat"] == "13"


def test_the_demo_fits_a_database_and_the_wire() -> None:
    world = demo_world()
    assert len(world.commanders) == 60
    assert len(world.rosters) == 3
    names = [name for roster in world.rosters.values() for name in roster]
    assert all(0 < len(name) <= 64 for name in names)
    assert len({commander.user_id for commander in world.commanders}) == 60
    for commander in world.commanders:
        assert json.loads(json.dumps(commander.profile())) == commander.profile()


def test_the_demo_holds_every_oddity() -> None:
    world = demo_world()
    profiles = {commander.name: commander.profile() for commander in world.commanders}
    assert world.find("Elite V Vera").ranks == dict.fromkeys(LADDERS, "13")
    assert world.find("Zero Zane").ranks == dict.fromkeys(LADDERS, "0")
    assert "commanderRanksPilot" not in profiles["Hidden Hana"]
    assert profiles["Null Nils"]["commanderSquadron"] is None
    assert "commanderSquadron" not in profiles["No Squad Nora"]
    assert "commanderName" not in profiles["Userless Uma"]
    statuses = {
        name: answer.status
        for roster in world.rosters.values()
        for name in roster
        if (answer := world.answer(name)) is not None
    }
    assert set(statuses.values()) == {200, 202, 204}
    assert _profile(world.answer("Lost Lark"))["commanderName"] == "Marrow"


def test_a_second_night_changes_what_it_says_and_nothing_else() -> None:
    world, before = demo_world(), demo_world()
    night = world.second_night()
    assert len(night.promoted) == 5
    assert night.moved is not None
    assert night.new_power is not None
    assert night.renamed is not None
    old_name, new_name = night.renamed
    touched = {*night.promoted, night.moved, night.new_power, old_name}
    assert len(touched) == 8
    for commander in before.commanders:
        if commander.name not in touched:
            assert world.answer(commander.name) == before.answer(commander.name)
    for name in night.promoted:
        was, now = before.find(name).ranks, world.find(name).ranks
        risen = [ladder for ladder in was if was[ladder] != now[ladder]]
        assert len(risen) == 1
        assert int(str(now[risen[0]])) == int(str(was[risen[0]])) + 1
    home, goal = before.find(night.moved).squadron, world.find(night.moved).squadron
    assert home is not None
    assert goal is not None
    assert goal["squadronID"] != home["squadronID"]
    assert goal["squadronMemberRank"] == "Recruit"
    assert world.find(night.new_power).power != before.find(night.new_power).power
    assert world.find(new_name).user_id == before.find(old_name).user_id


def test_the_second_night_of_the_demo_touches_every_squadron() -> None:
    world = demo_world()
    night = world.second_night()
    touched = {*night.promoted, night.moved, night.new_power, *(night.renamed or ())}
    assert all(touched & set(roster) for roster in world.rosters.values())


def test_the_wire_type_of_a_rank_survives_a_promotion() -> None:
    world = World([Commander(1, "a", "A", ranks={"combat": 3}), Commander(2, "b", "B", ranks={"trade": "9"})])
    assert world.second_night().promoted == ("A", "B")
    assert world.find("A").ranks["combat"] == 4
    assert world.find("B").ranks["trade"] == "10"


@pytest.mark.parametrize("value", ["13", 13, "", None])
def test_who_is_at_the_top_or_shows_no_rank_is_not_promoted(value: str | int | None) -> None:
    commander = Commander(1, "a", "A", ranks={"combat": value})
    assert not commander.promote("combat")
    assert commander.ranks["combat"] == value


def test_what_is_hidden_does_not_change_in_a_second_night() -> None:
    hidden = {"commanderRanksPilot", "preferredPowerName", "commanderSquadron"}
    hermit = Commander(1, "a", "A", ranks={"combat": "3"}, power="Yuri Grom", squadron={"squadronID": 1}, hidden=hidden)
    world = World([hermit, Commander(2, "b", "B", squadron={"squadronID": 2})])
    night = world.second_night()
    assert (night.promoted, night.moved, night.new_power) == ((), None, None)


def test_an_empty_world_has_a_second_night_too() -> None:
    night = World().second_night()
    assert (night.promoted, night.moved, night.new_power, night.renamed) == ((), None, None, None)


@given(count=st.integers(0, 60), seed=st.integers(0, 9), squadrons=st.integers(1, 7))
def test_a_made_world_is_repeatable_and_everybody_in_it_is_found(count: int, seed: int, squadrons: int) -> None:
    world, again = make_world(count, seed, squadrons=squadrons), make_world(count, seed, squadrons=squadrons)
    names = [name for roster in world.rosters.values() for name in roster]
    assert len(world.commanders) == len(names) == count
    for name in names:
        answer = world.answer(name)
        assert answer is not None
        assert answer.status == 200
        assert answer == again.answer(name)
