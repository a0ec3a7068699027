"""The picture of a message: never stale, well-formed whatever it shows, and nothing in it loads anything."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pictures.__main__ import PICTURE
from pictures.example import SEEN, report_picture
from pictures.message import draw

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script> & \"'\x00\ud800 ]]> <image href='https://evil.example/x.png'/>"
PAYLOADS: list[dict[str, Any]] = [
    {},
    {"content": HOSTILE, "username": HOSTILE},
    {"content": "**Sync**\nNext run <t:1805000000:R>"},
    {"embeds": [{"description": HOSTILE}]},
    {"embeds": [{"title": HOSTILE, "url": "https://inara.cz/?a=1&b='\"", "footer": {"text": HOSTILE}}]},
    {"embeds": [{"title": "x", "fields": [{"name": HOSTILE, "value": f"```\n{HOSTILE}\n```", "inline": True}] * 5}]},
    {"embeds": [{"title": "x", "color": 0, "timestamp": "2027-03-13T23:00:00+00:00"}] * 2},
]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def texts(svg: str) -> list[str]:
    """What can be read, with single spaces."""
    return [" ".join((text.text or "").split()) for text in parsed(svg).iter(f"{SVG}text")]


def top_of(svg: str, text: str) -> float:
    """Where a text stands on the page."""

    def search(element: ET.Element, top: float) -> float | None:
        transform = element.get("transform")
        top += float(transform.rstrip(")").split()[1]) if transform else 0.0
        if element.text == text:
            return top + float(element.get("y", 0))
        return next((found for child in element if (found := search(child, top)) is not None), None)

    found = search(parsed(svg), 0.0)
    assert found is not None, text
    return found


def test_the_picture_in_the_readme_is_what_the_daemon_sends() -> None:
    assert PICTURE.read_text(encoding="utf-8") == report_picture(), "out of date: run `make picture`"


@pytest.mark.parametrize("svg", [report_picture(), *(draw(payload, SEEN) for payload in PAYLOADS)])
def test_it_is_well_formed_and_loads_nothing(svg: str) -> None:
    for element in parsed(svg).iter():
        assert element.tag.removeprefix(SVG) in {"svg", "title", "g", "a", "text", "rect", "path", "circle"}
        for name, value in element.items():
            assert not name.startswith("on")
            assert "url(" not in value
            assert name != "style"
            if "href" in name:
                assert (element.tag, name) == (f"{SVG}a", "href")
                assert value.startswith("https://")


def test_names_are_shown_with_their_signs_and_without_their_escapes() -> None:
    shown = texts(draw({"embeds": [{"description": r"\<script\> R&D \*a\* \[b\]"}]}, SEEN))
    assert "<script> R&D *a* [b]" in shown


def test_fields_stand_below_one_another_and_inline_ones_side_by_side() -> None:
    fields = [{"name": name, "value": f"{name}!", "inline": name in "bcde"} for name in "abcdef"]
    svg = draw({"embeds": [{"title": "x", "fields": fields}]}, SEEN)
    a, b, c, d, e, f = (top_of(svg, name) for name in "abcdef")
    assert a < b == c == d < e < f
    assert top_of(svg, "a") < top_of(svg, "a!") < b


def test_the_page_grows_with_its_text() -> None:
    short, long = (parsed(draw({"embeds": [{"description": "x\n" * count}]}, SEEN)) for count in (1, 11))
    assert float(long.get("height", 0)) - float(short.get("height", 0)) == 10 * 18


def test_the_footer_tells_its_text_and_the_time() -> None:
    embed = {"title": "x", "footer": {"text": "Run 7"}, "timestamp": "2027-03-13T23:04:00+00:00"}
    assert "Run 7 • Yesterday at 23:04" in texts(draw({"embeds": [embed]}, SEEN))


def test_the_bar_has_the_colour_of_the_embed() -> None:
    svg = parsed(draw({"embeds": [{"title": "x", "color": 0x00FF7F}]}, SEEN))
    assert "#00ff7f" in {path.get("fill") for path in svg.iter(f"{SVG}path")}
