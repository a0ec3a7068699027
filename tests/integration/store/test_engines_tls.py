"""What `sslmode` in a database's URL means on the wire, against a server whose certificate is for `localhost` only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inara_daemon.secret import Secret
from inara_daemon.store.engines import open_engine, resolve_url
from inara_daemon.store.errors import DatabaseError, DatabaseFailure
from inara_daemon.store.transactions import read_transaction

# Made for this test alone, and valid until 2120.
_KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFXA5HPVH/Pk7IB18
HrTzAz4btgRLjmAgO/OJ0Nh4tQShRANCAAR4jMwVqluTtAXcX9lBw4HIYjsQaRM+
Kd/y+H4HHKPqKd+WU4PO0+1KU1lxZqpSXFPHXCxf/0HbGAXVqwztwpBs
-----END PRIVATE KEY-----
"""
_CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBXTCCAQOgAwIBAgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdzYW5kYm94
MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjASMRAwDgYDVQQDDAdz
YW5kYm94MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeIzMFapbk7QF3F/ZQcOB
yGI7EGkTPinf8vh+Bxyj6infllODztPtSlNZcWaqUlxTx1wsX/9B2xgF1asM7cKQ
bKNIMEYwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU9A74DOxqj5rVZkcU1EeZ
VAUnw7wwFAYDVR0RBA0wC4IJbG9jYWxob3N0MAoGCCqGSM49BAMCA0gAMEUCICVV
ZSV4HnWs7SqwejI4D8bsIko282zFXXP5xqY65c4WAiEA8uJwVPKgoJ/vc8w6wh/f
DaizdH8Opn65yrQ14vt7jko=
-----END CERTIFICATE-----
"""
_ANOTHER_CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBYTCCAQegAwIBAgIBAjAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAllbHNld2hl
cmUwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWVsc2V3aGVyZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKbjjN7SAtlulMfT
ZmPeY5EQWOHo5SfL3/cYSEi09xpVHUreAXNn6kIiyU3op/U+FjC2t3IczGuJyx3w
ELZBzbCjSDBGMA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0OBBYEFFk4LNcXJ0YRUi5O
/GXCxZFK8URHMBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAKBggqhkjOPQQDAgNIADBF
AiEA7IwfS0S3B0a4J9mDUf7pHxy3iA0g038Slmc6PuGJQWMCIFe8BIqUSMpWwBd2
dvluiGROp9ZqqITdFMqmsVnq7VUU
-----END CERTIFICATE-----
"""
_SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
_FIELDS = b"SFATAL\0VFATAL\0C28P01\0Mrefused\0\0"
_REFUSED = b"E" + (len(_FIELDS) + 4).to_bytes(4) + _FIELDS


@dataclass
class Server:
    """Speaks PostgreSQL's protocol up to the login, which it refuses; `logins` says how each one came."""

    identity: ssl.SSLContext | None
    port: int = 0
    logins: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        how = "in clear"
        try:
            first = await reader.readexactly(8)
            if first == _SSL_REQUEST:
                writer.write(b"N" if self.identity is None else b"S")
                if self.identity is not None:
                    await writer.start_tls(self.identity)
                    how = "with a certificate" if writer.get_extra_info("peercert") else "encrypted"
                first = await reader.readexactly(8)
            await reader.readexactly(int.from_bytes(first[:4]) - 8)
            self.logins.append(how)
            writer.write(_REFUSED)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "server.crt"
    path.write_text(_CERTIFICATE)
    path.with_suffix(".key").write_text(_KEY)
    path.with_suffix(".other").write_text(_ANOTHER_CERTIFICATE)
    return path


@pytest.fixture(params=[True], ids=["speaks TLS"])
async def server(request: pytest.FixtureRequest, certificate: Path) -> AsyncIterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if request.param else None
    if context is not None:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_OPTIONAL
    running = Server(context)
    listening = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    running.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield running
        await asyncio.sleep(0)


async def log_in(server: Server, query: str, host: str = "127.0.0.1") -> DatabaseFailure:
    url = resolve_url(Secret(f"postgresql://ann:canary@{host}:{server.port}/bgs?{query}"), Path("/"))
    with pytest.raises(DatabaseError) as caught:
        async with read_transaction(open_engine(url)):
            pass
    assert "canary" not in str(caught.value)
    return caught.value.failure


@pytest.mark.parametrize(
    ("host", "query", "logins"),
    [
        ("127.0.0.1", "sslmode=disable", ["in clear"]),
        ("127.0.0.1", "ssl=disable", ["in clear"]),
        ("127.0.0.1", "sslmode=disable&sslrootcert={root}", ["in clear"]),
        ("127.0.0.1", "sslmode=prefer", ["encrypted", "in clear"]),  # as with libpq, a refusal is tried again in clear
        ("127.0.0.1", "", ["encrypted", "in clear"]),
        ("127.0.0.1", "sslmode=require", ["encrypted"]),
        ("127.0.0.1", "sslmode=require&sslrootcert={root}", ["encrypted"]),
        ("127.0.0.1", "sslmode=require&sslrootcert={other}", []),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={root}", ["encrypted"]),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={other}", []),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={root}", []),
        ("localhost", "sslmode=verify-full&sslrootcert={root}", ["encrypted"]),
        ("localhost", "sslmode=require&sslcert={root}&sslkey={key}", ["with a certificate"]),
        ("localhost", "sslmode=verify-full&sslrootcert={root}&sslcert={root}&sslkey={key}", ["with a certificate"]),
        ("localhost", "sslmode=verify-full&sslcert={root}&sslkey={key}", []),
        ("localhost", "sslmode=verify-full", []),
    ],
)
async def test_the_password_is_sent_only_as_protected_as_the_url_demands(
    server: Server, certificate: Path, host: str, query: str, logins: list[str]
) -> None:
    files = {"root": certificate, "key": certificate.with_suffix(".key"), "other": certificate.with_suffix(".other")}
    failure = await log_in(server, query.format(**files), host)
    assert server.logins == logins
    assert (failure is DatabaseFailure.LOGIN_REFUSED) is bool(logins)


@pytest.mark.parametrize("server", [False], indirect=True, ids=["speaks no TLS"])
@pytest.mark.parametrize(
    ("query", "logins"),
    [
        ("sslmode=prefer", ["in clear"]),
        ("sslmode=require", []),
        ("sslmode=verify-ca&sslrootcert={root}", []),
        ("sslmode=verify-full&sslrootcert={root}", []),
    ],
)
async def test_who_demands_tls_sends_nothing_to_a_server_without(
    server: Server, certificate: Path, query: str, logins: list[str]
) -> None:
    await log_in(server, query.format(root=certificate))
    assert server.logins == logins


def test_certificates_that_can_not_be_read_are_a_bad_url(certificate: Path) -> None:
    certificate.write_text("no certificate")
    for name in ("sslrootcert", "sslcert"):
        url = resolve_url(Secret(f"postgresql://db/bgs?sslmode=verify-full&{name}={certificate}"), Path("/"))
        with pytest.raises(DatabaseError) as caught:
            open_engine(url)
        assert caught.value.failure is DatabaseFailure.BAD_URL
