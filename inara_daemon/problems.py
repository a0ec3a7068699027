"""What is wrong with a configuration, where, and what to do about it. Pure; holds no rejected value."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

_WORDS_FOR_PYDANTIC_TYPES: Mapping[str, str] = {
    "string_type": "must be text in quotes",
    "model_type": "must be an object ({...})",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "extra_forbidden": "is not a known key",
}
_PLAINER_WORDS = {
    "Input should": "must",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
}
_BREAKING_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of a configuration: the place, what is wrong there, and how to put it right."""

    where: str
    what: str
    hint: str | None = None

    def __str__(self) -> str:
        """One line; names from the document can't break it."""
        text = f"{self.where}: {self.what}"
        if self.hint is not None:
            text = f"{text}; {self.hint}"
        return one_line(text)


class ConfigurationError(Exception):
    """The configuration can't be used; `problems` holds every error of it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(ValueError):  # noqa: N818 - said of a value, and caught by pydantic only
    """A value is not usable: `what` is wrong with it, and how to put it right."""

    def __init__(self, what: str, hint: str | None = None) -> None:
        self.what = what
        self.hint = hint
        super().__init__(what)


def one_line(text: str) -> str:
    """The text with a blank for each character that could break or disguise a line."""
    return "".join(character if character.isprintable() else " " for character in text)


def refuse_control_characters(text: str) -> str:
    """The same text; Refused if it holds control characters, line separators or halves of surrogate pairs."""
    if any(unicodedata.category(character) in _BREAKING_CATEGORIES for character in text):
        raise Refused("contains a control character", "write it again on one line, without line breaks or tabs")
    return text


def refuse_blanks(text: str) -> str:
    """The same text; Refused if it holds blanks or characters that can't be seen, as keys copied from a page may."""
    if not text.isprintable() or any(character.isspace() for character in text):
        raise Refused("contains a blank or an invisible character", "copy it again")
    return text


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """`did you mean 'schedule'?` if a known word is near, else None."""
    spellings = {spelling.casefold(): spelling for spelling in known}
    near = difflib.get_close_matches(word.strip().casefold(), spellings, n=1, cutoff=0.6)
    return f"did you mean '{spellings[near[0]]}'?" if near else None


def problems_of(
    error: ValidationError, place: Callable[[tuple[int | str, ...]], str], known_keys: Iterable[str] = ()
) -> list[Problem]:
    """A validation's errors in our words, without any input; `known_keys` are suggested for unknown ones."""
    problems = []
    for detail in error.errors(include_url=False, include_input=False):
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, Refused):
            what, hint = cause.what, cause.hint
        else:
            what = _WORDS_FOR_PYDANTIC_TYPES.get(detail["type"]) or _plainer(detail["msg"])
            hint = _hint_for_key(detail["loc"], known_keys) if detail["type"] == "extra_forbidden" else None
        problems.append(Problem(place(detail["loc"]), what, hint))
    return problems


def _plainer(message: str) -> str:
    for words, plainer in _PLAINER_WORDS.items():
        message = message.replace(words, plainer)
    return message


def _hint_for_key(location: tuple[int | str, ...], known_keys: Iterable[str]) -> str:
    return suggestion(str(location[-1]), known_keys) or f"known keys are {', '.join(known_keys)}"
