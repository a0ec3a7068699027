from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback

import pytest
from rich.pretty import pretty_repr

from inara_daemon.settings import Secret, Settings

CANARY = "canary-7c1f"


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    key: Secret


SECRET = Secret(CANARY)
HOLDER = Holder(SECRET)


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(str(SECRET), id="str"),
        pytest.param(repr(SECRET), id="repr"),
        pytest.param(f"{SECRET}", id="f-string"),
        pytest.param(f"{SECRET:>40}", id="format specification"),
        pytest.param(f"{SECRET!r}", id="conversion"),
        pytest.param("%s %r" % (SECRET, SECRET), id="percent"),  # noqa: UP031
        pytest.param(repr(HOLDER), id="dataclass"),
        pytest.param(str([SECRET, {SECRET: SECRET}]), id="containers"),
        pytest.param(repr(dataclasses.asdict(HOLDER)), id="asdict"),
        pytest.param(repr(dataclasses.astuple(HOLDER)), id="astuple"),
        pytest.param(pprint.pformat(HOLDER), id="pprint"),
        pytest.param(pretty_repr(HOLDER), id="rich"),
        pytest.param(json.dumps({"key": SECRET}, default=str), id="json"),
        pytest.param(logging.Formatter().format(logging.makeLogRecord({"msg": "%s", "args": (SECRET,)})), id="logging"),
        pytest.param(repr(Settings(app_name="x", inara_api_key=SECRET)), id="settings"),
        pytest.param(str(Settings(app_name="x", inara_api_key=SECRET).model_dump()), id="settings dumped"),
    ],
)
def test_a_secret_prints_as_stars_everywhere(shown: str) -> None:
    assert CANARY not in shown
    assert "***" in shown


def test_a_traceback_with_local_values_does_not_show_a_secret() -> None:
    def fail(key: Secret) -> None:
        raise ValueError(f"refused: {key}")

    with pytest.raises(ValueError, match="refused") as caught:
        fail(SECRET)
    lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    assert CANARY not in "".join(lines)


def test_a_secret_is_revealed_only_when_asked() -> None:
    assert SECRET.reveal() == CANARY


def test_secrets_are_equal_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_a_secrets_hash_is_not_that_of_its_text() -> None:
    assert hash(SECRET) != hash(CANARY)


def test_a_secret_can_not_be_changed() -> None:
    secret = Secret("a")
    with pytest.raises(AttributeError):
        secret._text = "b"
    with pytest.raises(AttributeError):
        del secret._text
    with pytest.raises(AttributeError):
        secret.other = "b"
    assert secret.reveal() == "a"


def test_a_secret_is_copied_as_itself_and_never_pickled() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy(SECRET) is SECRET
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)


def test_settings_with_a_secret_do_not_become_json() -> None:
    with pytest.raises(Exception, match="Unable to serialize") as caught:
        Settings(app_name="x", inara_api_key=SECRET).model_dump_json()
    assert CANARY not in str(caught.value)
