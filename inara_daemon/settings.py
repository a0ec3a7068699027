"""The daemon's own settings, from the environment; values that are secret print as `***`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from inara_daemon.cron import cron_expression
from inara_daemon.environment import Found, look_up, look_up_plain
from inara_daemon.problems import (
    ConfigurationError,
    Problem,
    Refused,
    problems_of,
    refuse_blanks,
    suggestion,
)
from inara_daemon.secret import Secret
from inara_daemon.urls import (
    HostPort,
    api_url,
    database_url,
    host_port,
    is_inara,
    secrets_in_url,
    webhook_token,
    webhook_url,
)

__all__ = [
    "ConfigurationError",
    "HostPort",
    "LogFormat",
    "LogLevel",
    "Problem",
    "Secret",
    "Settings",
    "load_settings",
    "state_location",
]

INARAS_HIGHEST_RATE = 25
"""Requests per minute above which Inara itself would ban us, whoever asks for it."""

_PREFIX = "INARA_DAEMON_"
_SYSTEM_STATE = Path("/var/lib/inara-daemon")
_STATE_FILE = "state.db"


class LogLevel(StrEnum):
    """The least severe lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(StrEnum):
    """How lines are written; AUTO is JSON unless standard error is a terminal."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def _secret(value: object) -> object:
    return Secret(refuse_blanks(value)) if isinstance(value, str) else value


SecretText = Annotated[Secret, BeforeValidator(_secret)]


def _one_of(kind: type[StrEnum]) -> BeforeValidator:
    def choose(value: object) -> object:
        try:
            return kind(str(value).lower())
        except ValueError:
            raise Refused(f"must be one of {', '.join(kind)}", suggestion(str(value), kind)) from None

    return BeforeValidator(choose)


def _listen_address(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() == "off":
        return None
    try:
        address = host_port(value)
    except Refused as refused:
        raise Refused(refused.what, refused.hint or "such as 127.0.0.1:8790, or off") from None
    if address.port is None:
        raise Refused("must be host:port or off", "such as 127.0.0.1:8790")
    return address


def _hosts(value: object) -> object:
    if not isinstance(value, str):
        return value
    hosts = []
    for position, entry in enumerate(value.replace(",", " ").split(), start=1):
        try:
            hosts.append(host_port(entry))
        except Refused as refused:
            raise Refused(f"entry {position} {refused.what}", refused.hint or "such as 127.0.0.1:9000") from None
    return tuple(hosts)


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise Refused("must be a number")
    return value


def _state_url(value: object) -> object:
    return Secret(database_url(value)) if isinstance(value, str) else value


def _app_name(value: str | None, info: ValidationInfo) -> str | None:
    if value is None and is_inara(info.data.get("inara_url", "")):
        raise Refused(
            "is missing, and Inara answers only applications whose name it has white-listed",
            "ask Inara's author to white-list a name, then set it here (VALK installs own EICChatBot with version 1.0)",
        )
    return value


def _operator_webhook(value: Secret | None, info: ValidationInfo) -> Secret | None:
    if value is not None and "webhook_hosts" in info.data:  # else what is wrong with the hosts is told already
        webhook_url(value.reveal(), info.data["webhook_hosts"])
    return value


def _rate(value: float, info: ValidationInfo) -> float:
    if value > INARAS_HIGHEST_RATE and is_inara(info.data.get("inara_url", "")):
        raise Refused(
            f"must be at most {INARAS_HIGHEST_RATE} for Inara's own host",
            "more gets the key, the name and the address banned; 2 is what Inara allows everyone",
        )
    return value


def _package_version() -> str:
    try:
        return version("inara-daemon")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


class Settings(BaseModel):
    """What the daemon itself is set to, checked; minutes are minutes, schedules are UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    # What later checks look at stands first: pydantic checks in this order.
    inara_url: Annotated[str, AfterValidator(api_url)] = "https://inara.cz/inapi/v1/"
    inara_api_key: SecretText | None = None
    tenant_file: Path = Path("tenant.json")
    db_root: Path = Path()
    state_url: Annotated[Secret | None, BeforeValidator(_state_url)] = None
    state_directory: Path | None = None
    app_name: Annotated[str | None, AfterValidator(_app_name), Field(validate_default=True)] = None
    app_version: str = Field(default_factory=_package_version)
    requests_per_minute: Annotated[
        float, BeforeValidator(_no_boolean), Field(ge=0.001, allow_inf_nan=False), AfterValidator(_rate)
    ] = 2.0
    batch_size: Annotated[int, BeforeValidator(_no_boolean), Field(ge=1, le=100)] = 30
    schedule: Annotated[str, AfterValidator(cron_expression)] = "0 1 * * *"
    night_minutes: Annotated[int, BeforeValidator(_no_boolean), Field(gt=0, le=100_000)] = 360
    discover_minutes: Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=100_000)] = 15
    http: Annotated[HostPort | None, BeforeValidator(_listen_address)] = HostPort("127.0.0.1", 8790)
    http_token: SecretText | None = None
    webhook_hosts: Annotated[tuple[HostPort, ...], BeforeValidator(_hosts)] = ()
    """Hosts beside Discord's that webhooks may point to, by http too."""
    operator_webhook: Annotated[SecretText | None, AfterValidator(_operator_webhook)] = None
    """Where the operator hears of what concerns no tenant alone."""
    log_level: Annotated[LogLevel, _one_of(LogLevel)] = LogLevel.INFO
    log_format: Annotated[LogFormat, _one_of(LogFormat)] = LogFormat.AUTO
    warnings: tuple[str, ...] = ()
    """What is odd in the environment, but no error."""

    @field_validator("*", mode="before")
    @classmethod
    def _raise_what_looking_up_refused(cls, value: object) -> object:
        if isinstance(value, Refused):
            raise value
        return value

    @property
    def asks_inara_itself(self) -> bool:
        """Whether requests go to Inara's own host and not to a stand-in."""
        return is_inara(self.inara_url)

    def secret_texts(self) -> frozenset[str]:
        """Every secret in the settings, for redaction."""
        texts = {secret.reveal() for secret in (self.inara_api_key, self.http_token) if secret is not None}
        if self.state_url is not None:
            texts |= secrets_in_url(self.state_url.reveal())
        if self.operator_webhook is not None:
            url = self.operator_webhook.reveal()
            texts |= {url, webhook_token(url) or url}
        return frozenset(texts)


_FALLBACKS: Mapping[str, str] = {"tenant_file": "VALK_TENANT_FILE", "db_root": "VALK_TENANT_DB_ROOT"}
_VARIABLES: Mapping[str, str] = {
    field: field.upper() if field == "inara_api_key" else f"{_PREFIX}{field.upper()}"
    for field in Settings.model_fields
    if field not in {"state_directory", "warnings"}
}


def load_settings(
    environ: Mapping[str, str], *, tenants_file: Path | None = None, read: Callable[[Path], bytes] = Path.read_bytes
) -> Settings:
    """The settings in `environ`, in files named by `NAME_FILE`, and in systemd credentials, in this order.

    `tenants_file` is what the command line says. Raises ConfigurationError with every error at once.
    """
    found: dict[str, Found] = {}
    for field, variable in _VARIABLES.items():
        value = look_up(variable, environ, read)
        if value is None and field in _FALLBACKS:
            value = look_up_plain(_FALLBACKS[field], environ)
        if value is not None:
            found[field] = value
    if tenants_file is not None:
        found["tenant_file"] = Found(tenants_file, "--tenants")
    values: dict[str, object] = {field: given.value for field, given in found.items()}
    # systemd gives a colon list if the unit names several directories; ours stands first.
    values["state_directory"] = environ.get("STATE_DIRECTORY", "").partition(":")[0] or None

    def place(location: tuple[int | str, ...]) -> str:
        field = str(location[0])
        return found[field].where if field in found else _VARIABLES[field]

    try:
        return Settings.model_validate({**values, "warnings": _unknown_variables(environ)})
    except ValidationError as error:
        raise ConfigurationError(problems_of(error, place)) from None


def _unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {*_VARIABLES.values(), *(f"{variable}_FILE" for variable in _VARIABLES.values())}
    warnings = []
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known:
            hint = suggestion(name, _VARIABLES.values())
            warnings.append(str(Problem(name, "is no known setting and has no effect", hint)))
    return tuple(warnings)


def state_location(settings: Settings, environ: Mapping[str, str], exists: Callable[[Path], bool]) -> Path | Secret:
    """Where the state is kept: the path of an SQLite file, or the URL that was set.

    A shell finds the service's state by the folder that exists. Raises ConfigurationError if there is no place.
    """
    if settings.state_url is not None:
        return settings.state_url
    if settings.state_directory is not None:
        return settings.state_directory / _STATE_FILE
    if exists(_SYSTEM_STATE):
        return _SYSTEM_STATE / _STATE_FILE
    folder, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if folder.startswith("/"):  # the XDG specification has relative ones ignored
        return Path(folder) / "inara-daemon" / _STATE_FILE
    if not home:
        raise ConfigurationError(
            [Problem("HOME", "is not set, so there is no place for the state", f"set {_VARIABLES['state_url']}")]
        )
    return Path(home) / ".local" / "state" / "inara-daemon" / _STATE_FILE
