"""What the state remembers of a roster, on SQLite and PostgreSQL: no change is lost, doubled or told twice."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.answers import Update
from inara_daemon.commander import Change, ChangeKind, RankKind, Record, Snapshot, Squadron, Standing
from inara_daemon.roster_plan import Spelling
from inara_daemon.roster_row import row_of
from inara_daemon.store.state import changes, roster
from inara_daemon.store.state.changes import StoredChange
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.roster import TenantRow
from inara_daemon.store.tenant_db import Applied, RosterWrite

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ELITE = Change(ChangeKind.PROMOTED, "7", "8", RankKind.COMBAT)
JOINED = Change(ChangeKind.SQUADRON_JOINED, None, "Void 🚀")
KNOWN = Snapshot(
    user_id=2**40,
    inara_name="Nova",
    ranks={RankKind.COMBAT: 8, RankKind.SOLDIER: 0},
    power="Aisling Duval",
    inara_url="https://inara.cz/1",
    squadron=Squadron("Void 🚀", "Recruit"),
    squadron_absent_since=NOW,
)


def found(key: str, *kinds: Change, spellings: tuple[str, ...] = (), snapshot: Snapshot = KNOWN) -> Update:
    """A reply that knows the commander."""
    return Update(
        key,
        Record(Standing.FOUND, 9, NOW, 0, None, 41),
        snapshot=snapshot,
        changes=kinds,
        row=row_of(snapshot),
        spellings=tuple(Spelling(name, 40 + number) for number, name in enumerate(spellings or (key,))),
    )


def missed(key: str) -> Update:
    """A reply that knows nobody of that name."""
    return Update(key, Record(Standing.NOT_FOUND, 9, NOW, 2, NOW + 2 * DAY, 41))


async def write_ahead(state: StateDatabase, *updates: Update, tenant: str = "alpha", at: datetime = NOW) -> None:
    async with state.write() as connection:
        await roster.write_ahead(connection, tenant, 3, updates, at)


async def mark_applied(state: StateDatabase, *, written: Collection[str] = (), gone: Collection[str] = ()) -> None:
    writes = await pending(state)
    applied = Applied(
        tuple(write for write in writes if write.name in written),
        tuple(write for write in writes if write.name in gone),
    )
    async with state.write() as connection:
        await roster.mark_applied(connection, "alpha", applied)


async def pending(state: StateDatabase, tenant: str = "alpha") -> list[RosterWrite]:
    async with state.read() as connection:
        return list(await roster.pending_writes(connection, tenant))


async def unreported(state: StateDatabase, tenant: str = "alpha") -> list[StoredChange]:
    async with state.read() as connection:
        return list(await changes.unreported(connection, tenant))


async def history(state: StateDatabase) -> list[Change]:
    async with state.read() as connection:
        return [item.change for item in await changes.history(connection)]


async def test_what_a_reply_taught_is_remembered_as_it_was(state: StateDatabase) -> None:
    await write_ahead(state, found("nova"), missed("zane"))
    async with state.read() as connection:
        assert await roster.records(connection, "alpha") == {
            "nova": Record(Standing.FOUND, 9, NOW, 0, None, 41),
            "zane": Record(Standing.NOT_FOUND, 9, NOW, 2, NOW + 2 * DAY, 41),
        }
        assert await roster.snapshots(connection, "alpha", ["nova", "zane", "nobody"]) == {"nova": KNOWN}
        assert await roster.keys_of_users(connection, "alpha", [2**40, 5]) == {2**40: "nova"}
        assert await roster.counts(connection, "alpha") == {"found": 1, "not_found": 1}


async def test_a_later_miss_keeps_what_was_known(state: StateDatabase) -> None:
    await write_ahead(state, found("nova"))
    await write_ahead(state, missed("nova"))
    async with state.read() as connection:
        assert await roster.snapshots(connection, "alpha", ["nova"]) == {"nova": KNOWN}
        assert (await roster.records(connection, "alpha"))["nova"].standing is Standing.NOT_FOUND


async def test_a_change_is_told_only_when_its_row_is_written_and_then_once(state: StateDatabase) -> None:
    await write_ahead(state, found("nova", ELITE, JOINED, spellings=("Nova", "NOVA")), found("zane", JOINED))
    row = row_of(KNOWN)
    assert await pending(state) == [
        RosterWrite("nova", "NOVA", 41, row),
        RosterWrite("nova", "Nova", 40, row),
        RosterWrite("zane", "zane", 40, row),
    ]
    assert await unreported(state) == []
    await mark_applied(state, written={"Nova", "NOVA"})
    assert [write.name for write in await pending(state)] == ["zane"]
    told = await unreported(state)
    assert [(item.key, item.name, item.change, item.at) for item in told] == [
        ("nova", "Nova", ELITE, NOW),
        ("nova", "Nova", JOINED, NOW),
    ]
    async with state.write() as connection:
        await changes.claim(connection, 3, told)
    assert await unreported(state) == []
    await mark_applied(state, written={"zane"})
    assert [item.key for item in await unreported(state)] == ["zane"]
    assert [(item.report_run_id, item.applied) for item in await unreported(state)] == [(None, True)]


async def test_a_newer_reply_replaces_the_row_to_write_and_adds_its_changes(state: StateDatabase) -> None:
    await write_ahead(state, found("nova", ELITE))
    newer = Snapshot(ranks={RankKind.COMBAT: 9})
    await write_ahead(state, found("nova", JOINED, snapshot=newer))
    assert await pending(state) == [RosterWrite("nova", "nova", 40, row_of(newer))]
    await mark_applied(state, written={"nova"})
    assert [item.change for item in await unreported(state)] == [ELITE, JOINED]


async def test_who_is_gone_from_the_tenants_database_is_forgotten_with_what_was_not_told(state: StateDatabase) -> None:
    await write_ahead(state, found("nova", ELITE))
    await mark_applied(state, written={"nova"})
    await write_ahead(state, found("nova", JOINED), found("zane", JOINED))
    await mark_applied(state, gone={"nova"})
    assert await history(state) == [ELITE, JOINED]
    assert [write.name for write in await pending(state)] == ["zane"]
    async with state.read() as connection:
        assert set(await roster.records(connection, "alpha")) == {"zane"}


async def test_a_commander_with_one_spelling_left_is_not_gone(state: StateDatabase) -> None:
    await write_ahead(state, found("nova", ELITE, spellings=("Nova", "NOVA")))
    await mark_applied(state, written={"NOVA"}, gone={"Nova"})
    assert [item.change for item in await unreported(state)] == [ELITE]
    assert await pending(state) == []
    async with state.read() as connection:
        assert set(await roster.records(connection, "alpha")) == {"nova"}


async def test_isolation_no_tenant_sees_or_settles_what_is_anothers(state: StateDatabase) -> None:
    await write_ahead(state, found("nova", ELITE))
    await write_ahead(state, found("nova", JOINED), tenant="beta")
    await mark_applied(state, written={"nova"})
    assert [item.change for item in await unreported(state)] == [ELITE]
    assert await unreported(state, "beta") == []
    assert len(await pending(state, "beta")) == 1
    async with state.write() as connection:
        await roster.forget_tenant(connection, "alpha")
        assert await roster.keys_of_users(connection, "alpha", [2**40]) == {}
        assert await roster.keys_of_users(connection, "beta", [2**40]) == {2**40: "nova"}
    assert len(await pending(state, "beta")) == 1


async def test_a_tenant_keeps_its_memory_until_its_database_is_another_one(state: StateDatabase) -> None:
    fresh = TenantRow("alpha", "sqlite:/one.db", 0, None, reported=False)
    async with state.write() as connection:
        assert await roster.adopt_tenant(connection, "alpha", "sqlite:/one.db") == fresh
        await roster.save_tenant(connection, "alpha", cursor=700, last_full_at=NOW, reported=True)
    await write_ahead(state, found("nova", ELITE), found("zane", JOINED))
    await mark_applied(state, written={"nova"})
    async with state.write() as connection:
        kept = await roster.adopt_tenant(connection, "alpha", "sqlite:/one.db")
        assert kept == TenantRow("alpha", "sqlite:/one.db", 700, NOW, reported=True)
        assert len(await roster.records(connection, "alpha")) == 2
        moved = await roster.adopt_tenant(connection, "alpha", "sqlite:/two.db")
        assert moved == await roster.load_tenant(connection, "alpha")
        assert moved == TenantRow("alpha", "sqlite:/two.db", 0, None, reported=False)
        assert await roster.records(connection, "alpha") == {}
    assert await pending(state) == []
    assert await history(state) == [ELITE]


async def test_names_about_to_be_asked_for_are_noted_without_forgetting_what_is_known(state: StateDatabase) -> None:
    await write_ahead(state, missed("zane"))
    async with state.write() as connection:
        await roster.note_names(connection, "alpha", ["zane", "nova"])
        await roster.note_names(connection, "alpha", [])
        known = await roster.records(connection, "alpha")
    assert known == {"nova": Record(), "zane": missed("zane").record}


async def test_history_is_narrowed_and_shows_the_newest_in_the_order_they_happened(state: StateDatabase) -> None:
    await write_ahead(state, found("nova", ELITE), at=NOW)
    await write_ahead(state, found("zane", ELITE), at=NOW + DAY)
    await write_ahead(state, found("nova", JOINED), at=NOW + 2 * DAY)
    await write_ahead(state, found("nova", JOINED), tenant="beta", at=NOW + 3 * DAY)
    async with state.read() as connection:
        shown = {
            "all": await changes.history(connection),
            "alpha": await changes.history(connection, tenant_id="alpha"),
            "nova": await changes.history(connection, tenant_id="alpha", key="nova"),
            "since": await changes.history(connection, since=NOW + DAY),
            "run": await changes.history(connection, run_id=4),
            "newest": await changes.history(connection, limit=2),
        }
    days = {what: [(item.at - NOW) // DAY for item in items] for what, items in shown.items()}
    assert days == {
        "all": [0, 1, 2, 3],
        "alpha": [0, 1, 2],
        "nova": [0, 2],
        "since": [1, 2, 3],
        "run": [],
        "newest": [2, 3],
    }


async def test_two_years_of_told_changes_are_kept_and_none_is_dropped_untold(state: StateDatabase) -> None:
    for age in (731, 730, 1):
        await write_ahead(state, found("nova", ELITE), at=NOW - age * DAY)
    await mark_applied(state, written={"nova"})
    async with state.write() as connection:
        await changes.claim(connection, 3, await changes.unreported(connection, "alpha"))
    await write_ahead(state, found("zane", JOINED), at=NOW - 900 * DAY)
    async with state.write() as connection:
        await changes.prune(connection, "beta", NOW)
        await changes.prune(connection, "alpha", NOW)
    assert await history(state) == [ELITE, ELITE, JOINED]


async def test_a_night_of_many_names_fits_into_statements(
    state: StateDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "_KEYS_A_STATEMENT", 2)
    names = {f"name {number}" for number in range(7)}
    await write_ahead(state, *(found(name, ELITE) for name in sorted(names)))
    async with state.read() as connection:
        assert set(await roster.snapshots(connection, "alpha", names)) == names
    await mark_applied(state, written=names - {"name 6"}, gone={"name 6"})
    told = await unreported(state)
    assert {item.key for item in told} == names - {"name 6"}
    async with state.write() as connection:
        await changes.claim(connection, 3, told)
    assert (await unreported(state), await pending(state)) == ([], [])
