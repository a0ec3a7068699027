"""How wide text is, about: Helvetica's widths, which Arial and Liberation Sans share. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from pictures.markdown import Style

_REGULAR = {
    191: "'",
    222: "ijl‘’ł",
    260: "|",
    278: " !,./:;I[\\]ft·ı",
    333: "()-`r“”{}",
    355: '"•',
    394: "*°",
    469: "^",
    500: "Jcksvxyz↑↓",
    556: "#$0123456789?L_abdeghnopqu–«»ðþŁ",
    584: "+<=>~×",
    611: "FTZßø",
    667: "&ABEKPSVXY",
    722: "CDHNRUw",
    778: "GOQØ",
    833: "Mm",
    889: "%æ",
    944: "W",
    1000: "…—→←Æ",
    1015: "@",
}
_BOLD = {
    238: "'",
    278: " ,./I\\ijl‘’·łı|",
    333: "!()-:;[]`ft",
    350: "•",
    389: "*r{}°",
    474: '"',
    500: "z“”↑↓",
    556: "#$0123456789J_aceksvxy–«»",
    584: "+<=>^~×",
    611: "?FLTZbdghnopqußøðþŁ",
    667: "EPSVXY",
    722: "&ABCDHKNRU",
    778: "GOQwØ",
    833: "M",
    889: "%mæ",
    944: "W",
    975: "@",
    1000: "…—→←Æ",
}
_MONO = 600
_UNKNOWN = 620
_WIDE = 1_000
_EMOJI = 1_250
_BOX_PADDING = 2.5
"""Pixels on either side of boxed text."""
_CODE_SIZE = 0.86
"""Of the font's size, for code in a line."""


def _by_letter(table: Mapping[int, str]) -> dict[str, int]:
    return {letter: width for width, letters in table.items() for letter in letters}


_TABLES = {False: _by_letter(_REGULAR), True: _by_letter(_BOLD)}


def width(text: str, size: float, style: Style) -> float:
    """Pixels that text takes at a font size, its box included."""
    thousandths = sum(_letter(letter, style) for letter in text)
    return thousandths * font_size(size, style) / 1_000 + 2 * box_padding(style)


def font_size(size: float, style: Style) -> float:
    """Pixels of a style's font in a text of this size."""
    return size * _CODE_SIZE if style.mono and style.boxed else size


def is_wide(text: str) -> bool:
    """Whether there are emoji or ideographs in it, whose width depends most on the viewer's fonts."""
    return any(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def box_padding(style: Style) -> float:
    """Pixels between a box's side and its text."""
    return _BOX_PADDING if style.boxed else 0.0


def _letter(letter: str, style: Style) -> int:
    if unicodedata.category(letter) in {"Mn", "Me", "Cf"}:
        return 0
    if is_wide(letter):
        return _EMOJI if unicodedata.category(letter) == "So" else _WIDE
    base = unicodedata.normalize("NFD", letter)[0]
    return _MONO if style.mono else _TABLES[style.bold].get(base, _UNKNOWN)
