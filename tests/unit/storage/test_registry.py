# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From descriptions to storages; wrong ones are refused before anything is touched."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError, RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3 import S3Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_options import (
    ObjectLock,
    S3Credentials,
    S3Options,
)
from tests.support.clocks import FakeClock


def open_it(description: t.Mapping[str, t.Any]) -> Storage:
    return open_storage(description, name="offsite", clock=FakeClock(), runner=SubprocessRunner(), environment={})


def inner(storage: Storage) -> Storage:
    assert isinstance(storage, RetryingStorage)
    return storage._storage


def options_of(description: t.Mapping[str, t.Any]) -> S3Options:
    storage = inner(open_it({"type": "s3", "bucket": "acme-backups", **description}))
    assert isinstance(storage, S3Storage)
    return storage._options


def test_who_is_in_haste_waits_for_no_repository() -> None:
    """The worst case, of a region that swallows every packet: tries of a call, tries of a request, seconds of each."""

    def worst(*, hasty: bool) -> float:
        storage = open_storage(
            {"type": "s3", "bucket": "acme-backups"},
            name="offsite",
            clock=FakeClock(),
            runner=SubprocessRunner(),
            environment={},
            hasty=hasty,
        )
        assert isinstance(storage, RetryingStorage)
        options = t.cast("S3Storage", storage._storage)._options
        return storage._attempts * options.attempts * options.connect_timeout

    assert worst(hasty=False) == 100
    assert worst(hasty=True) <= 6


def test_a_folder(tmp_path: pathlib.Path) -> None:
    storage = open_it({"type": "file", "path": str(tmp_path), "description": "the second disk"})
    assert isinstance(inner(storage), LocalStorage)
    assert storage.properties.url == f"file://{tmp_path}"
    storage.put("a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_folder_that_is_made_with_the_modes_that_are_asked_for(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "new"
    storage = open_it({"type": "file", "path": str(root), "create": True, "folder_mode": "0750", "file_mode": "640"})
    assert not root.exists()
    storage.put("a/b", b"x")
    assert [oct(path.stat().st_mode & 0o777) for path in (root, root / "a", root / "a/b")] == [
        "0o750",
        "0o750",
        "0o640",
    ]


def test_a_bucket_with_everything() -> None:
    description = {
        "type": "s3",
        "description": "far away",
        "bucket": "acme-backups",
        "prefix": "/prod/eu/",
        "region": "eu-west-1",
        "endpoint_url": "https://s3.example.org",
        "storage_class": "STANDARD_IA",
        "path_style": False,
        "ca_bundle": "/etc/ssl/our.pem",
        "sse": "aws:kms",
        "sse_kms_key_id": "alias/backups",
        "object_lock": {"mode": "compliance", "retain": "30d"},
        "credentials": {"file": "/etc/lifeboat/s3.env"},
        "part_size_mib": 32,
        "checksums": "when_required",
    }
    assert options_of(description) == S3Options(
        bucket="acme-backups",
        prefix="prod/eu",
        region="eu-west-1",
        endpoint_url="https://s3.example.org",
        storage_class="STANDARD_IA",
        path_style=False,
        ca_bundle="/etc/ssl/our.pem",
        sse="aws:kms",
        sse_kms_key_id="alias/backups",
        object_lock=ObjectLock(mode="COMPLIANCE", retain=datetime.timedelta(days=30)),
        credentials=S3Credentials(file="/etc/lifeboat/s3.env"),
        part_bytes=32 * 1024 * 1024,
        checksums="when_required",
    )
    assert open_it(description).properties.url == "s3://acme-backups/prod/eu"


@pytest.mark.parametrize(
    ("given", "credentials"),
    [
        (None, S3Credentials()),
        ({"profile": "backup"}, S3Credentials(profile="backup")),
        ({"env": "OFFSITE"}, S3Credentials(environment_prefix="OFFSITE")),
        ({"command": "vault read s3"}, S3Credentials(command="vault read s3")),
    ],
)
def test_credentials_are_references(given: dict[str, str] | None, credentials: S3Credentials) -> None:
    assert options_of({"credentials": given}).credentials == credentials


def test_opening_asks_nobody() -> None:
    """Neither the missing file of credentials nor the address that nobody answers on matters yet."""
    storage = open_it(
        {
            "type": "s3",
            "bucket": "acme-backups",
            "endpoint_url": "http://192.0.2.1:1",
            "credentials": {"file": "/does/not/exist"},
        }
    )
    assert repr(storage) == "RetryingStorage(S3Storage('s3://acme-backups'), attempts=2)"
    with pytest.raises(LifeboatError) as caught:
        storage.check()
    assert caught.value.code == "storage.credentials_missing"


FILE = {"type": "file", "path": "/backups"}
S3 = {"type": "s3", "bucket": "acme-backups"}


@pytest.mark.parametrize(
    ("description", "message", "hint"),
    [
        ({}, "no type", "type: file or type: s3"),
        ({"type": "ftp"}, "'ftp'", "type: file or type: s3"),
        ({"type": ["s3"]}, "does not exist", "type: s3"),
        ({"type": "file"}, "path", "path: /var/backups/lifeboat"),
        ({"type": "file", "path": "backups"}, "'backups'", "path: /var/backups/lifeboat"),
        ({"type": "file", "path": "/"}, "'/'", "path: /var/backups/lifeboat"),
        ({"type": "file", "path": 7}, "7", ""),
        ({**FILE, "pth": "/x"}, "unknown key 'pth'", "Did you mean path?"),
        ({**FILE, "bucket": "x"}, "unknown key 'bucket'", "Allowed are: create, file_mode, folder_mode, path."),
        ({**FILE, "create": "yes"}, "true or false as create", ""),
        ({**FILE, "file_mode": 0o600}, "three octal digits in quotes", 'file_mode: "0600"'),
        ({**FILE, "folder_mode": "0999"}, "three octal digits in quotes", 'folder_mode: "0700"'),
        ({"type": "s3"}, "bucket", "bucket: acme-backups"),
        ({"type": "s3", "bucket": "a b"}, "'a b'", "bucket: acme-backups"),
        ({"type": "s3", "bucket": "s3://acme"}, "'s3://acme'", "bucket: acme-backups"),
        ({**S3, "prefix": "a/../b"}, "prefix", ""),
        ({**S3, "endpoint_url": "s3.example.org"}, "endpoint_url", ""),
        ({**S3, "endpoint": "https://s3.example.org"}, "unknown key 'endpoint'", "Did you mean endpoint_url?"),
        ({**S3, "sse": "yes"}, "AES256 or aws:kms", ""),
        ({**S3, "part_size_mib": 4}, "from 8 to 5120", ""),
        ({**S3, "part_size_mib": True}, "from 8 to 5120", ""),
        ({**S3, "checksums": "none"}, "when_supported or when_required", ""),
        ({**S3, "object_lock": "30d"}, "keys of its own as object_lock", ""),
        ({**S3, "object_lock": {"mode": "hard", "retain": "30d"}}, "governance or compliance", ""),
        ({**S3, "object_lock": {"mode": "governance"}}, "retain", "retain: policy"),
        ({**S3, "object_lock": {"mode": "governance", "retain": "soon"}}, "soon", ""),
        ({**S3, "credentials": {}}, "no key; it needs exactly one", "file, command, profile, env"),
        ({**S3, "credentials": {"file": "/a", "env": "B"}}, "file and env", "Keep one of"),
        ({**S3, "credentials": {"fil": "/a"}}, "unknown key 'fil'", "Did you mean file?"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(description: dict[str, t.Any], message: str, hint: str) -> None:
    with pytest.raises(LifeboatError) as caught:
        open_it(description)
    assert caught.value.exit_status == 2
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "description",
    [
        {**S3, "credentials": "AKIA123:geheim"},
        {**S3, "endpoint_url": "https://user:geheim@s3.example.org"},
        {**S3, "credentials": {"env": "geheim!"}},
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(description: dict[str, t.Any]) -> None:
    with pytest.raises(RequestInvalid) as caught:
        open_it(description)
    assert "geheim" not in str(caught.value)
    assert "geheim" not in str(caught.value.as_dict())
