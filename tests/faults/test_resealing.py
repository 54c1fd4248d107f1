# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool that alters backups for tests: what it altered must look whole to everything below level 2."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support import backups, resealing

KIB = 1024


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "identity.txt"
    path.write_bytes(subprocess.run(["age-keygen"], capture_output=True, check=True).stdout)
    path.chmod(0o600)
    return path


def make(tmp_path: Path, **changes: t.Any) -> str:
    source = backups.make_source(tmp_path / "source", size=64 * KIB)
    described = {"local": {"type": "file", "path": str(tmp_path / "repository"), "create": True}}
    request = backups.request(source, described, state_directory=str(tmp_path / "state"), **changes)
    return run_backup(request, host=Host()).manifest.folder.key("").rstrip("/")


def test_what_was_altered_is_sealed_again(tmp_path: Path) -> None:
    folder, repository = make(tmp_path), tmp_path / "repository"
    before = resealing.plain_bytes(repository, folder, "writer")
    resealing.mutate_payload(repository, folder, "writer", lambda data: data[:1000] + b"!")
    assert resealing.plain_bytes(repository, folder, "writer") == before[:1000] + b"!"
    payload = next(one for one in resealing.read_manifest(repository, folder).payloads if "writer" in one.name)
    assert payload.plain_size == 1001
    assert backups.broken_payloads(LocalStorage(path=str(repository))) == []


def test_payloads_change_places(tmp_path: Path) -> None:
    folder, repository = make(tmp_path), tmp_path / "repository"
    resealing.mutate_payload(repository, folder, "writer", lambda data: data[::-1])
    before = [resealing.plain_bytes(repository, folder, name) for name in ("process", "writer")]
    assert before[0] != before[1]
    resealing.swap_payloads(repository, (folder, "process"), (folder, "writer"))
    after = [resealing.plain_bytes(repository, folder, name) for name in ("process", "writer")]
    assert after == before[::-1]
    assert backups.broken_payloads(LocalStorage(path=str(repository))) == []


def test_what_was_encrypted_is_encrypted_again(tmp_path: Path, identity: Path) -> None:
    recipient = subprocess.run(["age-keygen", "-y", str(identity)], capture_output=True, check=True, text=True).stdout
    transforms = Transforms(compression=Compression(), encryption=Encryption(recipients=(recipient.strip(),)))
    folder, repository = make(tmp_path, transforms=transforms), tmp_path / "repository"
    resealing.mutate_payload(repository, folder, "process", lambda data: b"short", identity_file=identity)
    assert resealing.payload_path(repository, folder, "process").read_bytes().startswith(b"age-encryption.org/v1")
    assert resealing.plain_bytes(repository, folder, "process", identity_file=identity) == b"short"
