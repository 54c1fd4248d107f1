# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the keys come from, and what the client is told."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LibraryMissing,
    LifeboatError,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_client import (
    fetch_keys,
    make_client,
    parse_keys,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_options import (
    S3Credentials,
    S3Options,
)

pytest.importorskip("boto3")


@pytest.fixture(autouse=True)
def no_keys_of_the_tester(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def client_of(credentials: S3Credentials, *, environment: dict[str, str] | None = None, **options: t.Any) -> t.Any:
    described = S3Options(bucket="acme-backups", region="eu-west-1", credentials=credentials, **options)
    keys = fetch_keys(described, runner=SubprocessRunner(), environment=environment or {})
    return make_client(described, keys=keys, attempts=described.attempts)


def keys_of(client: t.Any) -> tuple[str | None, str | None, str | None]:
    found = client._get_credentials()
    return (found.access_key, found.secret_key, found.token)


FILE = """
# for the backup
AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID="AK1"
AWS_SECRET_ACCESS_KEY = 'top=secret/+'
"""


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (FILE, {"AWS_ACCESS_KEY_ID": "AK1", "AWS_SECRET_ACCESS_KEY": "top=secret/+"}),
        ("AWS_SESSION_TOKEN=t\r\n", {"AWS_SESSION_TOKEN": "t"}),
        ("#AWS_ACCESS_KEY_ID=x\nNOT_AWS_ACCESS_KEY_ID=y\nAWS_ACCESS_KEY_ID", {"AWS_ACCESS_KEY_ID": ""}),
        ("", {}),
    ],
)
def test_files_of_names_and_values(text: str, keys: dict[str, str]) -> None:
    assert parse_keys(text) == keys


def test_keys_from_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "s3.env").write_text(FILE)
    assert keys_of(client_of(S3Credentials(file=str(tmp_path / "s3.env")))) == ("AK1", "top=secret/+", None)


def test_keys_from_the_output_of_a_command(tmp_path: pathlib.Path) -> None:
    (tmp_path / "s3 env").write_text(FILE)
    assert keys_of(client_of(S3Credentials(command=f"cat '{tmp_path}/s3 env'"))) == ("AK1", "top=secret/+", None)


def test_keys_from_the_environment_by_prefix() -> None:
    environment = {"OFF_ACCESS_KEY_ID": "AK2", "OFF_SECRET_ACCESS_KEY": "s", "OFF_SESSION_TOKEN": "t"}
    assert keys_of(client_of(S3Credentials(environment_prefix="OFF"), environment=environment)) == ("AK2", "s", "t")


def test_keys_from_a_profile(tmp_path: pathlib.Path) -> None:
    (tmp_path / "credentials").write_text("[backup]\naws_access_key_id = AK3\naws_secret_access_key = s\n")
    assert keys_of(client_of(S3Credentials(profile="backup"))) == ("AK3", "s", None)


def test_keys_from_wherever_boto3_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK4")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert keys_of(client_of(S3Credentials())) == ("AK4", "s", None)


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        (S3Credentials(file="/does/not/exist"), "/does/not/exist: No such file"),
        (S3Credentials(file="/dev/null"), "no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"),
        (S3Credentials(environment_prefix="OFF"), "no OFF_SECRET_ACCESS_KEY"),
        (S3Credentials(profile="missing"), "'missing'"),
        (S3Credentials(command="false"), "status 1"),
        (S3Credentials(command="echo AWS_ACCESS_KEY_ID=geheim"), "no AWS_SECRET_ACCESS_KEY"),
        (S3Credentials(command="no-such-program"), "no-such-program"),
    ],
)
def test_a_reference_to_nothing_is_named(credentials: S3Credentials, message: str) -> None:
    with pytest.raises(LifeboatError) as caught:
        client_of(credentials, environment={"OFF_ACCESS_KEY_ID": "geheim"})
    assert caught.value.code == "storage.credentials_missing"
    assert message in caught.value.message
    assert "geheim" not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    ("endpoint_url", "path_style", "expected"),
    [
        (None, None, "auto"),
        (None, True, "path"),
        ("https://s3.example.org", None, "path"),
        ("https://s3.example.org", False, "auto"),
    ],
)
def test_how_the_bucket_is_addressed(endpoint_url: str | None, path_style: bool | None, expected: str) -> None:
    client = client_of(S3Credentials(), endpoint_url=endpoint_url, path_style=path_style)
    assert client.meta.config.s3["addressing_style"] == expected


def test_what_the_client_is_told() -> None:
    config = client_of(S3Credentials(), checksums="when_required").meta.config
    assert config.request_checksum_calculation == "when_required"
    assert config.s3["payload_signing_enabled"] is True
    assert config.retries["mode"] == "standard"
    assert (config.connect_timeout, config.read_timeout) == (10, 60)
    assert "payload_signing_enabled" not in client_of(S3Credentials()).meta.config.s3


def test_an_impossible_address_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="endpoint_url"):
        client_of(S3Credentials(), endpoint_url="https://")


def test_without_boto3_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(LibraryMissing, match="boto3") as caught:
        client_of(S3Credentials())
    assert "pip install" in caught.value.hint
