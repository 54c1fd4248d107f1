# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting in, and the name of everything that keeps us out."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    RedisAuthenticationFailed,
    RedisCommandUnavailable,
    RedisLoading,
    RedisPermissionDenied,
    RedisProtectedMode,
    RedisTlsFailed,
    RedisTlsMismatch,
    RedisUnreachable,
    RequestInvalid,
    SecretUnavailable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    PayloadInput,
    StoredPayload,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.faults import ACL_RULES
from sandbox.ports import free_port
from tests.integration.redis.conftest import Starter
from tests.integration.redis.relays import Relay
from tests.integration.redis.servers import FileSink, admin, describe, fill, keyspace, producer, take

PASSWORD = "correct-horse-battery"
WRONG = "wrong-horse-battery"


def refused(connection: t.Mapping[str, t.Any], error: type[LifeboatError], **options: t.Any) -> LifeboatError:
    """The error of a look at the server; it must hold no password."""
    with pytest.raises(LifeboatError) as caught:
        producer(connection, **options).inspect()
    assert isinstance(caught.value, error), caught.value
    said = str(caught.value) + repr(caught.value.as_dict()) + repr(caught.value.__cause__)
    assert PASSWORD not in said
    assert WRONG not in said
    return caught.value


@pytest.mark.parametrize("flavour", ["redis", "valkey", "redis_6", "redis_8"])
def test_passwords(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    source = start(flavour=flavour, password=PASSWORD)
    fill(source, keys=10)
    assert "asks for a password" in refused(describe(source), RedisAuthenticationFailed).message
    assert "does not accept" in refused(describe(source, password=WRONG), RedisAuthenticationFailed).message
    wrong_user = describe(source, username="nobody", password=PASSWORD)
    assert "does not accept" in refused(wrong_user, RedisAuthenticationFailed).message
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    for method in ("bgsave", "sync"):
        taken = take(describe(source, password_file=str(file)), tmp_path / method, method=method)
        assert taken.content["keyspace"] == keyspace(source)
        assert PASSWORD not in repr(taken.content) + taken.production.restore_commands
    error = refused(describe(source, password_file=str(tmp_path / "absent")), SecretUnavailable)
    assert "absent" in error.message


@pytest.mark.parametrize("options", [{"method": "bgsave"}, {"method": "sync"}, {"kind": "aof"}])
def test_no_process_has_the_password_in_its_arguments(
    start: Starter, tmp_path: pathlib.Path, options: dict[str, str]
) -> None:
    source = start(password=PASSWORD, append_only=True)
    fill(source, keys=10)
    scanned: list[int] = []

    class Scanning(FileSink):
        def store(self, payload: PayloadInput) -> StoredPayload:
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    scanned.append(len(path.read_bytes()))
                    assert PASSWORD.encode() not in path.read_bytes(), path
            return super().store(payload)

    take(describe(source, password=PASSWORD), tmp_path / "backup", sink=Scanning, **options)
    assert len(scanned) > 2


@pytest.mark.parametrize("flavour", ["redis", "valkey", "redis_6"])
def test_a_password_where_none_is_needed(start: Starter, flavour: str) -> None:
    source = start(flavour=flavour)
    assert "has none" in refused(describe(source, password=PASSWORD), RedisAuthenticationFailed).message


@pytest.mark.parametrize("flavour", ["redis", "valkey", "redis_8"])
@pytest.mark.parametrize("method", ["bgsave", "sync"])
def test_the_rules_that_we_name_are_enough(start: Starter, tmp_path: pathlib.Path, flavour: str, method: str) -> None:
    source = start(flavour=flavour, append_only=True, users={"backup": (PASSWORD, ACL_RULES)})
    fill(source, keys=10)
    connection = describe(source, username="backup", password=PASSWORD)
    assert take(connection, tmp_path / method, method=method).content["keyspace"] == keyspace(source)
    assert take(connection, tmp_path / "aof", kind="aof").content["files"]


@pytest.mark.parametrize("flavour", ["redis", "valkey", "redis_6", "redis_8"])
@pytest.mark.parametrize(
    "denied",
    [("-info", "INFO", "bgsave"), ("-bgsave", "BGSAVE", "bgsave"), ("-sync", "SYNC", "sync"),
     ("-replconf", "REPLCONF", "sync"), ("-ping", "PING", "auto")],
)  # fmt: skip
def test_a_denied_command_is_named(
    start: Starter, tmp_path: pathlib.Path, flavour: str, denied: tuple[str, str, str]
) -> None:
    lacks, names, method = denied
    source = start(flavour=flavour, users={"backup": (PASSWORD, f"{ACL_RULES} {lacks}")})
    fill(source, keys=10)
    with pytest.raises(RedisPermissionDenied) as caught:
        take(describe(source, username="backup", password=PASSWORD), tmp_path / "backup", method=method)
    assert f"may not run {names} " in caught.value.message
    assert ACL_RULES in caught.value.hint


def test_without_config_get_the_snapshot_goes_over_the_wire(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(users={"backup": (PASSWORD, f"{ACL_RULES} -config|get")})
    fill(source, keys=10)
    connection = describe(source, username="backup", password=PASSWORD)
    taken = take(connection, tmp_path / "backup")
    assert (taken.content["method"], taken.content["keyspace"]) == ("sync", keyspace(source))
    assert "CONFIG GET" in taken.journal.infos[0]


def test_a_renamed_command_is_named(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(settings={"rename-command": 'BGSAVE ""'})
    with pytest.raises(RedisCommandUnavailable, match="BGSAVE"):
        take(source, tmp_path / "backup", method="bgsave")


def test_nobody_there() -> None:
    error = refused({"port": free_port()}, RedisUnreachable)
    assert "refused" in error.message.lower()
    assert "not known" in refused({"host": "no-such-host.invalid"}, RedisUnreachable).message
    assert "No such file" in refused({"unix_socket": "/nowhere/redis.sock"}, RedisUnreachable).message


def test_somebody_who_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused({"port": silent.getsockname()[1], "timeout": 0.3}, RedisUnreachable)
    assert "in time" in error.message


def test_somebody_who_speaks_something_else(start: Starter) -> None:
    source = start()
    with Relay(source.port, change=lambda _offset, _block: b"HTTP/1.1 400 Bad Request\r\n") as relay:
        assert "does not speak the Redis protocol" in refused({"port": relay.port}, RedisUnreachable).message


def test_protected_mode(start: Starter) -> None:
    """127.0.0.2 is not "localhost" to a server, so it treats the relay as it would treat another host."""
    source = start(settings={"protected-mode": "yes"})
    with Relay(source.port, source="127.0.0.2") as relay:
        with pytest.raises(LifeboatError) as caught:
            producer({"port": relay.port}).inspect()
        if isinstance(caught.value, RedisUnreachable):
            pytest.skip("SKIPPED LOUDLY: this server counts all of 127.0.0.0/8 as local")
    assert isinstance(caught.value, RedisProtectedMode)


def test_loading(start: Starter) -> None:
    source = start()
    fill(source, keys=400)
    with admin(source) as client:
        client.save()
    source.stop()
    source._settings["key-load-delay"] = "10000"  # microseconds: four seconds in all
    source._settings["loading-process-events-interval-bytes"] = "1024"
    source._is_ready = lambda: "Loading RDB" in source._new_log()  # type: ignore[method-assign]
    source.start()
    refused(describe(source), RedisLoading)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
def test_tls(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    source = start(flavour=flavour, tls=True, password=PASSWORD)
    fill(source, keys=200)
    files = source.tls_files
    assert files is not None
    connection = describe(source, tls=True, tls_ca_file=str(files.authority), password=PASSWORD)
    for method in ("bgsave", "sync"):
        taken = take(connection, tmp_path / method, method=method)
        assert taken.content["keyspace"] == keyspace(source)


def test_tls_is_required(start: Starter) -> None:
    source = start(tls=True, password=PASSWORD)
    for connection in (describe(source), describe(source, password=PASSWORD)):
        error = refused(connection, RedisTlsMismatch)
        assert "speaks TLS only" in error.message
        assert "tls: true" in error.hint


def test_tls_is_not_spoken(start: Starter) -> None:
    source = start()
    error = refused(describe(source, tls=True, timeout=2), RedisTlsMismatch)
    assert "without TLS" in error.message


def test_an_unknown_authority(start: Starter) -> None:
    source = start(tls=True)
    assert "not trusted" in refused(describe(source, tls=True), RedisTlsFailed).message


def test_another_name_than_in_the_certificate(start: Starter) -> None:
    source = start(tls=True)
    files = source.tls_files
    assert files is not None
    connection = {"host": "127.0.0.2", "port": source.port, "tls": True, "tls_ca_file": str(files.authority)}
    with Relay(source.port) as relay:
        connection["port"] = relay.port
        connection["host"] = socket.gethostname()
        try:
            socket.create_connection((connection["host"], relay.port), timeout=2).close()
        except OSError:
            pytest.skip("SKIPPED LOUDLY: this host's name does not lead to 127.0.0.1")
        refused(connection, RedisTlsFailed)


def test_a_client_certificate_is_wanted(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(tls=True)
    files = source.tls_files
    assert files is not None
    fill(source, keys=10)
    with admin(source) as client:
        client.config_set("tls-auth-clients", "yes")
    connection = describe(source, tls=True, tls_ca_file=str(files.authority))
    error = refused(connection, RedisTlsFailed)
    assert "client certificate" in error.message
    own = {"tls_certificate_file": str(files.certificate), "tls_key_file": str(files.key)}
    assert take({**connection, **own}, tmp_path / "backup", method="sync").content["keyspace"]["db0"]["keys"] == 15


@pytest.mark.parametrize("content", ["", "not PEM", None])
def test_tls_files_that_cannot_be_used(start: Starter, tmp_path: pathlib.Path, content: str | None) -> None:
    source = start(tls=True)
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    refused(describe(source, tls=True, tls_ca_file=str(file)), RequestInvalid)


def test_a_key_with_a_passphrase_asks_nobody(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(tls=True)
    files = source.tls_files
    assert files is not None
    key = tmp_path / "locked.pem"
    command = ["openssl", "ec", "-in", str(files.key), "-aes128", "-passout", "pass:secret", "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    connection = describe(source, tls=True, tls_ca_file=str(files.authority))
    connection |= {"tls_certificate_file": str(files.certificate), "tls_key_file": str(key)}
    assert "passphrase" in refused(connection, RequestInvalid).message
