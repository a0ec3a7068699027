from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from inara_daemon.settings import ConfigurationError, Problem, Secret, Settings, load_settings

NAMED = {"INARA_DAEMON_APP_NAME": "Fleet Roster"}


def load(environ: Mapping[str, str], files: Mapping[str, bytes | OSError] | None = None) -> Settings:
    def read(path: Path) -> bytes:
        content = (files or {}).get(str(path), FileNotFoundError(2, "No such file or directory"))
        if isinstance(content, OSError):
            raise content
        return content

    return load_settings({**NAMED, **environ}, read=read)


def problems(environ: Mapping[str, str], files: Mapping[str, bytes | OSError] | None = None) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        load(environ, files)
    return caught.value.problems


def test_a_value_may_come_from_a_file() -> None:
    settings = load({"INARA_API_KEY_FILE": "/run/key"}, {"/run/key": b"\xef\xbb\xbfabc\n"})
    assert settings.inara_api_key == Secret("abc")


def test_a_value_may_come_from_a_real_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    settings = load_settings({**NAMED, "INARA_DAEMON_HTTP_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.http_token == Secret("abc")


def test_a_value_may_come_from_a_systemd_credential() -> None:
    files: dict[str, bytes | OSError] = {"/cred/inara_api_key": b"abc", "/cred/inara_daemon_batch_size": b"7\n"}
    settings = load({"CREDENTIALS_DIRECTORY": "/cred"}, files)
    assert settings.inara_api_key == Secret("abc")
    assert settings.batch_size == 7


def test_a_variable_wins_over_a_credential() -> None:
    settings = load({"CREDENTIALS_DIRECTORY": "/cred", "INARA_API_KEY": "new"}, {"/cred/inara_api_key": b"old"})
    assert settings.inara_api_key == Secret("new")


def test_a_credential_wins_over_the_backends_variable() -> None:
    settings = load(
        {"CREDENTIALS_DIRECTORY": "/cred", "VALK_TENANT_FILE": "/b.json"},
        {"/cred/inara_daemon_tenant_file": b"/a.json"},
    )
    assert settings.tenant_file == Path("/a.json")


def test_our_own_variable_wins_over_the_backends() -> None:
    settings = load({"INARA_DAEMON_DB_ROOT": "/ours", "VALK_TENANT_DB_ROOT": "/backend"})
    assert settings.db_root == Path("/ours")


def test_the_command_line_wins_over_every_tenant_file_variable() -> None:
    environ = {**NAMED, "INARA_DAEMON_TENANT_FILE": "/a.json", "INARA_DAEMON_TENANT_FILE_FILE": "/missing"}
    assert load_settings(environ, tenants_file=Path("b.json")).tenant_file == Path("b.json")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "names a file that does not exist"),
        (PermissionError(13, "Permission denied"), "names a file that can't be read: Permission denied"),
        (IsADirectoryError(21, "Is a directory"), "names a file that can't be read: Is a directory"),
        (b"\xff", "names a file that is not UTF-8"),
        (b" \n", "names an empty file"),
        (b"a\x00b", "contains a control character"),
    ],
)
def test_a_file_that_can_not_be_used_is_told_with_its_variable(content: bytes | OSError | None, what: str) -> None:
    files = {} if content is None else {"/run/key": content}
    (problem,) = problems({"INARA_API_KEY_FILE": "/run/key"}, files)
    assert problem.where == "INARA_API_KEY_FILE"
    assert problem.what == what


def test_the_name_of_the_file_must_be_readable_too() -> None:
    (problem,) = problems({"INARA_API_KEY_FILE": "/run/\x07key"})
    assert problem.what == "contains a control character"


def test_a_credential_that_can_not_be_read_is_told_by_its_name() -> None:
    (problem,) = problems(
        {"CREDENTIALS_DIRECTORY": "/cred"}, {"/cred/inara_api_key": PermissionError(13, "Permission denied")}
    )
    assert problem.where == "systemd credential inara_api_key"


def test_a_broken_credentials_folder_has_no_credentials() -> None:
    assert load({"CREDENTIALS_DIRECTORY": "/cr\x07ed"}).inara_api_key is None


def test_a_value_set_directly_and_by_file_is_an_error() -> None:
    (problem,) = problems({"INARA_API_KEY": "a", "INARA_API_KEY_FILE": "/run/key"}, {"/run/key": b"b"})
    assert problem.where == "INARA_API_KEY"
    assert problem.what == "is set twice, here and in a file"


@pytest.mark.parametrize("written", ['"7"', "'7'", " 7 ", '" 7 "'])
def test_blanks_and_the_quotes_that_docker_leaves_around_a_value_do_not_count(written: str) -> None:
    assert load({"INARA_DAEMON_BATCH_SIZE": written}).batch_size == 7


@pytest.mark.parametrize("written", ["", "  ", '""', "''"])
def test_an_empty_variable_is_not_set(written: str) -> None:
    assert load({"INARA_DAEMON_BATCH_SIZE": written}).batch_size == 30
