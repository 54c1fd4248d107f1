# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads come by their plain names, and the private key stands in no argument, environment or file of ours."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import subprocess

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DecryptionFailed,
    IdentityMissing,
    ManifestInvalid,
    PayloadDamaged,
    SecretUnavailable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.delivery import PayloadOutput
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import FakeClock
from tests.support.manifests import manifest, payload
from tests.support.proc_scan import SecretScan

PLAIN = b"the plain bytes of a dump\n" * 40_000


@dataclasses.dataclass(frozen=True)
class Place:
    key: str
    file: str
    source: PayloadSource

    def deliver(self, identity: Secret) -> bytes:
        got = bytearray()
        source = dataclasses.replace(self.source, identity=identity)
        output = PayloadOutput(read=lambda file: got.extend(file.read()))
        source.deliver("dump.archive", output, progress=Progress(clock=SystemClock()))
        return bytes(got)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    path = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", str(path)], check=True, stderr=subprocess.DEVNULL)
    recipient = subprocess.run(["age-keygen", "-y", str(path)], check=True, stdout=subprocess.PIPE).stdout.decode()
    packed = subprocess.run(["zstd", "-c", "-q"], input=PLAIN, check=True, stdout=subprocess.PIPE).stdout
    data = subprocess.run(
        ["age", "-e", "-r", recipient.strip()], input=packed, check=True, stdout=subprocess.PIPE
    ).stdout
    encrypted = dataclasses.replace(
        payload("dump.archive.zst.age", data),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        plain_size=len(PLAIN),
        compression="zstd",
        encryption="age",
    )
    described = manifest(payloads=(encrypted, payload("users.json", b"{}")))
    storage = MemoryStorage(clock=FakeClock())
    storage.put(described.folder.key("dump.archive.zst.age"), data)
    storage.put(described.folder.key("users.json"), b"{}")
    source = PayloadSource(
        manifest=described,
        storage=storage,
        repository="local",
        runner=SubprocessRunner(),
        identity=Secret(name="identity"),
    )
    (key,) = [line for line in path.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-")]
    return Place(key=key, file=str(path), source=source)


def secrets(place: Place) -> dict[str, Secret]:
    return {
        "file": Secret(name="identity", file=place.file),
        "value": Secret(name="identity", value=place.key),
        "command": Secret(name="identity", command=f"cat {place.file}"),
        "environment": Secret(name="identity", environment="TESTS_IDENTITY"),
    }


@pytest.mark.parametrize("way", ["file", "value", "command", "environment"])
def test_a_key_by_whatever_reference_opens_the_payload_and_is_seen_nowhere(
    way: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_IDENTITY", place.key)
    before = sorted(os.listdir("/proc/self/fd"))
    with SecretScan([place.key], interval=0.001) as scan:
        for _turn in range(3):
            assert place.deliver(secrets(place)[way]) == PLAIN
    assert not scan.found
    assert scan.samples
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_key_that_is_missing_or_none_is_named(place: Place, tmp_path: pathlib.Path) -> None:
    with pytest.raises(IdentityMissing):
        place.deliver(Secret(name="identity"))
    with pytest.raises(SecretUnavailable, match="absent"):
        place.deliver(Secret(name="identity", file=str(tmp_path / "absent")))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SecretUnavailable, match="no private key") as raised:
        place.deliver(Secret(name="identity", value="x" * 100_000))
    assert "xxx" not in str(raised.value)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("way", ["file", "value", "command", "environment"])
@pytest.mark.parametrize("size", [None, -20], ids=["whole", "cut off"])
def test_whether_a_key_opens_it_is_seen_at_its_first_bytes(
    size: int | None, way: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_IDENTITY", place.key)
    before = sorted(os.listdir("/proc/self/fd"))
    source = dataclasses.replace(place.source, identity=secrets(place)[way])
    (_beginning(source, size) if size else source).require_key()  # what was cut off is for a check of it all to find
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_key_that_does_not_open_it_is_named_before_anything_is_done(place: Place, tmp_path: pathlib.Path) -> None:
    def asked(identity: Secret) -> None:
        dataclasses.replace(place.source, identity=identity).require_key()

    other = tmp_path / "other"
    subprocess.run(["age-keygen", "-o", str(other)], check=True, stderr=subprocess.DEVNULL)
    with pytest.raises(IdentityMissing):
        asked(Secret(name="identity"))
    with pytest.raises(SecretUnavailable, match="absent"):
        asked(Secret(name="identity", file=str(tmp_path / "absent")))
    with pytest.raises(DecryptionFailed, match="unknown identity type"):
        asked(Secret(name="identity", value="not a key"))
    with pytest.raises(DecryptionFailed, match="with this private key"):
        asked(Secret(name="identity", file=str(other)))
    users = next(one for one in place.source.manifest.payloads if one.name == "users.json")
    open_one = dataclasses.replace(place.source.manifest, payloads=(users,))
    dataclasses.replace(place.source, manifest=open_one).require_key()


def test_payloads_have_their_plain_names(place: Place) -> None:
    assert place.source.names == ("dump.archive", "users.json")
    assert place.source.payload("dump.archive").name == "dump.archive.zst.age"
    with pytest.raises(ManifestInvalid, match=r"no payload dump\.archive\.zst; it has: dump\.archive, users\.json"):
        place.source.payload("dump.archive.zst")


def test_what_is_not_encrypted_needs_no_key_and_stored_bytes_are_checked_without_one(place: Place) -> None:
    got: list[bytes] = []
    progress = Progress(clock=SystemClock())
    output = PayloadOutput(read=lambda file: got.append(file.read()))
    place.source.deliver("users.json", output, progress=progress)
    assert got == [b"{}"]
    for each in place.source.manifest.payloads:
        place.source.check(each, progress=progress)
    key = place.source.manifest.folder.key("users.json")
    place.source.storage.put(key, b"[]", if_absent=False)
    with pytest.raises(PayloadDamaged, match=r"users\.json is damaged"):
        place.source.check(place.source.payload("users.json"), progress=progress)
    with pytest.raises(PayloadDamaged):
        place.source.deliver("users.json", output, progress=progress)


def _beginning(source: PayloadSource, size: int) -> PayloadSource:
    """*source* with a storage that has of the encrypted payload what stands before *size*."""
    key = source.manifest.folder.key("dump.archive.zst.age")
    storage = MemoryStorage(clock=FakeClock())
    storage.put(key, source.storage.get(key)[:size])
    return dataclasses.replace(source, storage=storage)
