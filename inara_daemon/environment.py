"""Where the text of a setting comes from: a variable, a file that a variable names, or a systemd credential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from inara_daemon.problems import Refused, refuse_control_characters


@dataclass(frozen=True, slots=True)
class Found:
    """A value, or why it can't be used, and where it comes from."""

    value: str | Path | Refused
    where: str


def look_up(variable: str, environ: Mapping[str, str], read: Callable[[Path], bytes]) -> Found | None:
    """The value of `variable`, of the file in `variable_FILE`, or of the credential of that name in lower case.

    None if there is none; a value that can't be read comes as Refused, so that the check of all settings tells it.
    """
    direct, file = look_up_plain(variable, environ), look_up_plain(f"{variable}_FILE", environ)
    if direct is not None and file is not None:
        return Found(Refused("is set twice, here and in a file", f"keep {variable} or {variable}_FILE"), variable)
    if direct is not None:
        return direct
    if file is not None:
        return file if isinstance(file.value, Refused) else _read(Path(file.value), file.where, read)
    directory = look_up_plain("CREDENTIALS_DIRECTORY", environ)
    if directory is None or isinstance(directory.value, Refused):
        return None
    name = variable.lower()
    return _read(Path(directory.value) / name, f"systemd credential {name}", read, optional=True)


def look_up_plain(variable: str, environ: Mapping[str, str]) -> Found | None:
    """The value of the variable itself; blank is not set."""
    text = environ.get(variable, "").strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()  # Docker hands over the quotes of an env file, systemd removes them
    return Found(_clean(text), variable) if text else None


def _read(path: Path, where: str, read: Callable[[Path], bytes], *, optional: bool = False) -> Found | None:
    # The path is not shown: it may be the secret itself, set in the wrong variable.
    try:
        text = read(path).decode("utf-8-sig").strip()
    except FileNotFoundError:
        return None if optional else Found(Refused("names a file that does not exist"), where)
    except UnicodeDecodeError:
        return Found(Refused("names a file that is not UTF-8"), where)
    except OSError as error:
        return Found(Refused(f"names a file that can't be read: {error.strerror}"), where)
    return Found(_clean(text) if text else Refused("names an empty file"), where)


def _clean(text: str) -> str | Refused:
    try:
        return refuse_control_characters(text)
    except Refused as refused:
        return refused
