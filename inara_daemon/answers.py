"""What a reply from Inara means for one tenant: memory, changes and rows to write. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from inara_daemon.commander import (
    Change,
    ChangeKind,
    Found,
    Identity,
    NotFound,
    Outcome,
    Profile,
    Record,
    Rejected,
    SetAside,
    Snapshot,
    Standing,
    Unanswered,
    diff,
    fill,
    identify,
    merge,
)
from inara_daemon.roster_plan import Spelling, backoff, newest_event
from inara_daemon.roster_row import RosterRow, row_of


@dataclass(frozen=True, slots=True)
class Known:
    """What a tenant knows of one name when the reply comes.

    `namesake` is the key of another name of this tenant that has the account which answered.
    """

    spellings: tuple[Spelling, ...]
    record: Record
    snapshot: Snapshot | None
    namesake: Namesake | None = None


@dataclass(frozen=True, slots=True)
class Namesake:
    """The same Inara account under the name it had before."""

    key: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Update:
    """What follows from one name's outcome; without a snapshot only the memory of the reply changes."""

    key: str
    record: Record
    snapshot: Snapshot | None = None
    changes: tuple[Change, ...] = ()
    row: RosterRow | None = None
    spellings: tuple[Spelling, ...] = ()
    detail: str | None = None
    """What Inara said, where the outcome is not a plain answer: a stranger's name or a refusal."""
    renamed_from: str | None = None
    """The key whose snapshot takes the new name too, so that the rename is told once."""


def weigh(key: str, outcome: Outcome, known: Known, *, request: int, now: datetime) -> Update:
    """Decide what one outcome changes; nothing stored changes unless the reply is about this very commander."""
    answered = replace(
        known.record,
        answered_request=request,
        answered_at=now,
        last_event_id=newest_event(known.spellings) or known.record.last_event_id,
    )
    match outcome:
        case Found(profile):
            return _weigh_profile(key, profile, known, answered, now)
        case NotFound():
            return Update(key, _missed(answered, Standing.NOT_FOUND, now))
        case Rejected(text):
            return Update(key, _missed(answered, Standing.REJECTED, now), detail=text)
        case SetAside(text):
            return Update(key, _missed(answered, Standing.SET_ASIDE, now), detail=text)
        case Unanswered():
            unheard = replace(answered, standing=Standing.UNANSWERED, last_event_id=known.record.last_event_id)
            return Update(key, unheard)


def _missed(record: Record, standing: Standing, now: datetime) -> Record:
    misses = record.misses + 1
    return replace(record, standing=standing, misses=misses, due_at=now + backoff(misses))


def _weigh_profile(key: str, profile: Profile, known: Known, answered: Record, now: datetime) -> Update:
    searched = known.spellings[0].name if known.spellings else key
    known_user_id = known.snapshot.user_id if known.snapshot else None
    identity = identify(searched, profile, known_user_id)
    if identity is Identity.STRANGER:
        missed = _missed(answered, Standing.AMBIGUOUS, now)
        return Update(key, missed, detail=profile.commander_name)
    previous, renamed_from = known.snapshot, None
    if known.namesake is not None and (previous is None or previous.user_id is None):
        # The account is known under the name it had: progress counts from there, and it is nobody new.
        renamed_from = known.namesake.key
        previous = fill(known.namesake.snapshot, known.snapshot or Snapshot())
    current = merge(previous, profile, now)
    changes = diff(previous, current, identity)
    return Update(
        key,
        replace(answered, standing=Standing.FOUND, misses=0, due_at=None),
        snapshot=current,
        changes=changes,
        row=row_of(current),
        spellings=known.spellings,
        renamed_from=renamed_from or _other_key(key, known.namesake, changes),
    )


def _other_key(key: str, namesake: Namesake | None, changes: tuple[Change, ...]) -> str | None:
    """A second name of the account learns of a rename told here."""
    told = any(change.kind is ChangeKind.RENAMED for change in changes)
    return namesake.key if told and namesake is not None and namesake.key != key else None
