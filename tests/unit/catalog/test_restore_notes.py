# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE.md is followed to the letter, by a shell and stock tools, in a folder fetched from a repository."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
import subprocess

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.restore_notes import (
    fetch_command,
    plain_name,
    restore_notes,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    PayloadInput,
    StoredPayload,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.stream import stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from tests.support.manifests import BACKUP_ID, manifest

PLAIN = b"the plain bytes of a dump\n" * 1000
COMMANDS = "Into a file:\n\n```sh\n{fetch:dump.archive} > restored\n{fetch:roles.sql} > roles\n```\n"


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("age") / "identity.txt"
    subprocess.run(["age-keygen", "-o", str(path)], check=True, stderr=subprocess.DEVNULL)
    return path


def recipient(identity: pathlib.Path) -> str:
    return subprocess.run(
        ["age-keygen", "-y", str(identity)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def stored(folder: pathlib.Path, name: str, transforms: Transforms, *, compressed: bool = False) -> StoredPayload:
    chain = transforms.for_payload(compressed=compressed)
    out = bytearray()
    source = PayloadInput(name=name, media="text", write=lambda pipe: pipe.write(PLAIN) and None)
    stream(source, transforms=chain, consume=out.extend, progress=Progress(clock=SystemClock()))
    full_name = name + "".join(transform.suffix for transform in chain)
    (folder / full_name).write_bytes(out)
    used = {transform.name for transform in chain}
    return StoredPayload(
        name=full_name,
        media="text",
        size=len(out),
        sha256=hashlib.sha256(out).hexdigest(),
        plain_size=len(PLAIN),
        compression="zstd" if "zstd" in used else None,
        encryption="age" if "age" in used else None,
    )


def follow(notes: str, *, at: pathlib.Path, identity: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run every shell block of the notes, in their order, in one shell that stops at the first failure."""
    blocks = re.findall(r"```sh\n(.*?)```", notes, re.DOTALL)
    script = "set -eu\n" + "\n".join(blocks).replace("/path/to/identity.txt", str(identity))
    return subprocess.run(["sh", "-c", script], cwd=at, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_notes_restore_the_plain_bytes(
    compressed: bool, encrypted: bool, identity: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    transforms = Transforms(
        compression=Compression() if compressed else None,
        encryption=Encryption(recipients=(recipient(identity),)) if encrypted else None,
    )
    folder = tmp_path / BACKUP_ID
    folder.mkdir()
    payloads = (stored(folder, "dump.archive", transforms), stored(folder, "roles.sql", transforms, compressed=True))
    described = manifest(
        payloads=payloads,
        compression=transforms.compression and transforms.compression.as_dict(),
        encryption=transforms.encryption and transforms.encryption.as_dict(),
    )
    notes = restore_notes(described, commands=COMMANDS)
    done = follow(notes, at=tmp_path, identity=identity)
    assert done.returncode == 0, done.stderr
    assert (folder / "restored").read_bytes() == PLAIN
    assert (folder / "roles").read_bytes() == PLAIN
    assert ("AGE_IDENTITY" in notes) == encrypted
    assert ("zstd" in notes) == compressed
    assert "Copy the folder `family/main/full/20261121T020000Z-4f2c91/`" in notes


def test_the_check_of_the_notes_stops_at_a_payload_that_was_changed(
    identity: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / BACKUP_ID
    folder.mkdir()
    payloads = (stored(folder, "dump.archive", Transforms()), stored(folder, "roles.sql", Transforms()))
    (folder / "dump.archive.zst").write_bytes(b"x" + (folder / "dump.archive.zst").read_bytes()[1:])
    done = follow(restore_notes(manifest(payloads=payloads), commands=COMMANDS), at=tmp_path, identity=identity)
    assert done.returncode != 0
    assert "dump.archive.zst: FAILED" in done.stdout
    assert not (folder / "restored").exists()


def test_the_notes_of_an_increment_name_what_it_needs() -> None:
    notes = restore_notes(manifest(parent="20261120T020000Z-aaaaaa"), commands="Combine them.")
    assert "it needs the backup `20261120T020000Z-aaaaaa`" in notes
    assert "it needs the backup" not in restore_notes(manifest(), commands="Restore it.")


def test_commands_with_braces_of_their_own_stay_as_they_are() -> None:
    notes = restore_notes(manifest(), commands="mongosh --eval 'db.x.find({a: {b: 1}})' ${HOME} {} %s {0}")
    assert "mongosh --eval 'db.x.find({a: {b: 1}})' ${HOME} {} %s {0}" in notes


def test_commands_that_name_what_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the restore commands name other\.dump, which is no payload"):
        restore_notes(manifest(), commands="{fetch:other.dump}")


def test_the_plain_name_is_without_what_the_pipeline_added_and_nothing_else() -> None:
    one = manifest().payloads[0]
    assert plain_name(one) == "dump.archive"
    assert plain_name(dataclasses.replace(one, name="a.zst.zst")) == "a.zst"
    assert plain_name(dataclasses.replace(one, name="a.zst.age", encryption="age")) == "a"
    assert plain_name(dataclasses.replace(one, name="a.zst", compression=None)) == "a.zst"


def test_fetching_quotes_what_a_shell_would_read() -> None:
    one = dataclasses.replace(manifest().payloads[0], name="a b.zst")
    assert fetch_command(one) == "zstd -dc 'a b.zst'"
