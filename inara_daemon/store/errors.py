"""Why a database can't be used, told apart and said in words that help."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.exc import DBAPIError


class DatabaseFailure(StrEnum):
    """Why a database can't be used: a closed set, used as a log key and to decide what to say."""

    BAD_URL = "bad_url"
    FILE_MISSING = "file_missing"
    NOT_A_DATABASE = "not_a_database"
    NO_PERMISSION = "no_permission"
    TABLES_MISSING = "tables_missing"
    LOGIN_REFUSED = "login_refused"
    LOCKED = "locked"
    READ_ONLY = "read_only"
    FULL = "full"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


class DatabaseError(Exception):
    """A database can't be used; the text says what, where and what to do, and holds no password."""

    def __init__(self, failure: DatabaseFailure, text: str) -> None:
        super().__init__(text)
        self.failure = failure


class StateError(DatabaseError):
    """The daemon's own database can't be used: no tenant's fault, and nothing is sent until it can."""


_CANNOT_OPEN = "{place} can't be opened: is it there, and may this user enter its folder?"
_CANNOT_WRITE = "{place} can't be written: this user needs write access to it and to its folder"
_NO_TABLES = "{place} has no tables event and cmdr yet: has the backend initialised it?"

_SQLITE_TEXTS: tuple[tuple[str, DatabaseFailure, str], ...] = (
    ("unable to open", DatabaseFailure.FILE_MISSING, _CANNOT_OPEN),
    ("locked", DatabaseFailure.LOCKED, "{place} is locked by another process"),
    ("busy", DatabaseFailure.LOCKED, "{place} is locked by another process"),
    ("readonly", DatabaseFailure.READ_ONLY, _CANNOT_WRITE),
    ("is full", DatabaseFailure.FULL, "{place} can't grow: the disk is full"),
    ("disk i/o", DatabaseFailure.FULL, "{place} can't be read or written: the disk failed or is full"),
    ("not a database", DatabaseFailure.NOT_A_DATABASE, "{place} is not an SQLite database"),
    ("malformed", DatabaseFailure.NOT_A_DATABASE, "{place} is damaged: restore it from a backup"),
    ("no such table", DatabaseFailure.TABLES_MISSING, _NO_TABLES),
)
"""What SQLite's messages mean; the first that occurs decides."""

_SQLSTATES: tuple[tuple[str, DatabaseFailure, str], ...] = (
    ("28", DatabaseFailure.LOGIN_REFUSED, "{place} refused the login: check user and password in its URL"),
    ("3D", DatabaseFailure.FILE_MISSING, "{place}: there is no such database"),
    ("42P01", DatabaseFailure.TABLES_MISSING, _NO_TABLES),
    ("42501", DatabaseFailure.NO_PERMISSION, "{place}: this user lacks a permission on the tables"),
    ("25006", DatabaseFailure.READ_ONLY, "{place} only allows reading"),
    ("40", DatabaseFailure.LOCKED, "{place} gave way to another session"),
    ("55P03", DatabaseFailure.LOCKED, "{place} is locked by another session"),
    ("53100", DatabaseFailure.FULL, "{place} can't grow: the disk is full"),
    ("08", DatabaseFailure.UNREACHABLE, "{place} can't be reached"),
    ("53", DatabaseFailure.UNREACHABLE, "{place} has no free connection"),
    ("57", DatabaseFailure.UNREACHABLE, "{place} is shutting down or starting"),
)
"""What PostgreSQL's SQLSTATE classes mean (its manual, appendix A); the first prefix decides."""


def explain(error: BaseException, place: str) -> DatabaseError:
    """The failure behind a driver's exception; `place` names the database without its password."""
    original = getattr(error, "orig", None) or error
    sqlstate = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if isinstance(sqlstate, str):
        for prefix, failure, text in _SQLSTATES:
            if sqlstate.startswith(prefix):
                return DatabaseError(failure, text.format(place=place))
        return DatabaseError(DatabaseFailure.REFUSED, f"{place} refused a statement (SQLSTATE {sqlstate})")
    if isinstance(original, OSError):
        return DatabaseError(DatabaseFailure.UNREACHABLE, f"{place} can't be reached ({type(original).__name__})")
    message = str(original).lower()
    for part, failure, text in _SQLITE_TEXTS:
        if part in message:
            return DatabaseError(failure, text.format(place=place))
    kind = type(original).__name__ if isinstance(error, DBAPIError) else type(error).__name__
    return DatabaseError(DatabaseFailure.REFUSED, f"{place} failed ({kind})")
