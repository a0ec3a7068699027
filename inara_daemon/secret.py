"""A text that nobody gets to see by accident. Pure."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """A text that prints as `***` everywhere; `reveal` gives it to the one who uses it.

    Not a dataclass: `dataclasses.asdict` of whatever holds one would lay it open.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """The text itself: for the wire, never for people."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __format__(self, _specification: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __setattr__(self, _name: str, _value: object) -> NoReturn:
        raise AttributeError("a Secret can't be changed")

    def __delattr__(self, _name: str) -> NoReturn:
        raise AttributeError("a Secret can't be changed")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can't be pickled: the pickle would lay it open")
