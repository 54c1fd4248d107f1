# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compression and encryption as a description gives them: read exactly, or refused with what to write instead."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecipientInvalid,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
    transforms_from,
)

RUNNER = SubprocessRunner()


def test_without_a_word_backups_are_compressed_and_not_encrypted() -> None:
    assert transforms_from() == Transforms(compression=Compression(level=1, threads=0), encryption=None)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ({"method": "none"}, None),
        ({"method": "zstd", "level": 19, "threads": 2}, Compression(level=19, threads=2)),
        ({"level": "3"}, Compression(level=3)),
        ({"level": None, "threads": None}, Compression()),
    ],
)
def test_compression_is_what_is_said(description: dict[str, t.Any], expected: Compression | None) -> None:
    assert transforms_from(compression=description).compression == expected


@pytest.mark.parametrize(
    "description",
    [
        {"level": 0},
        {"level": 20},
        {"level": "high"},
        {"level": True},
        {"level": 1.5},
        {"level": -1},
        {"threads": -1},
        {"threads": "all"},
        {"method": "gzip"},
        {"levle": 3},
    ],
)
def test_compression_that_makes_no_sense_is_refused_with_a_way_out(description: dict[str, t.Any]) -> None:
    with pytest.raises(RequestInvalid, match="compression: ") as raised:
        transforms_from(compression=description)
    assert raised.value.hint


def test_recipients_come_from_the_list_and_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "recipients"
    path.write_text("# the safe\n\nage1two\n age1three \n", encoding="utf-8")
    found = transforms_from(encryption={"recipients": ["age1one"], "recipients_file": str(path)}).encryption
    assert found == Encryption(recipients=("age1one", "age1two", "age1three"))


@pytest.mark.parametrize("description", [None, {}, {"recipients": None}, {"recipients_file": None}])
def test_no_encryption_is_asked_for_by_saying_nothing(description: dict[str, t.Any] | None) -> None:
    assert transforms_from(encryption=description).encryption is None


BAD: dict[str, tuple[dict[str, t.Any], str]] = {
    "an empty list": ({"recipients": []}, "the list of recipients is empty"),
    "no list": ({"recipients": "age1one"}, "must be a list"),
    "an empty recipient": ({"recipients": ["age1one", ""]}, "must be a list of public keys"),
    "a missing file": ({"recipients_file": "{folder}/missing"}, "can't be read: No such file"),
    "an empty file": ({"recipients_file": "{folder}/empty"}, "holds no recipient"),
    "a file that is no text": ({"recipients_file": "{folder}/binary"}, "is not text"),
    "an unknown key": ({"recipient": ["age1one"]}, "unknown key recipient"),
}


@pytest.mark.parametrize("case", BAD)
def test_encryption_that_would_encrypt_to_nobody_is_refused(case: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").write_text("# nobody\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    description, message = BAD[case]
    if "recipients_file" in description:
        description = {"recipients_file": description["recipients_file"].format(folder=tmp_path)}
    with pytest.raises(RequestInvalid, match=message):
        transforms_from(encryption=description)


def test_a_secret_key_is_refused_and_not_shown() -> None:
    secret = "AGE-SECRET-" + "KEY-1QQQQ"
    with pytest.raises(RecipientInvalid, match="a recipient is a SECRET key") as raised:
        transforms_from(encryption={"recipients": [secret]})
    assert secret not in str(raised.value)


@pytest.mark.parametrize("recipient", ["age1notakey", "--help", "-", "age1one\nage1two"])
def test_recipients_that_age_does_not_take_are_refused_before_anything_is_read(recipient: str) -> None:
    with pytest.raises(RecipientInvalid, match="age does not accept the recipients"):
        Transforms(encryption=Encryption(recipients=(recipient,))).check(runner=RUNNER)


def test_recipients_that_age_takes_pass(tmp_path: pathlib.Path) -> None:
    identity = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", str(identity)], check=True, stderr=subprocess.DEVNULL)
    shown = subprocess.run(["age-keygen", "-y", str(identity)], check=True, stdout=subprocess.PIPE, text=True)
    Transforms(encryption=Encryption(recipients=(shown.stdout.strip(),))).check(runner=RUNNER)


def test_what_is_compressed_already_is_not_compressed_again() -> None:
    both = Transforms(compression=Compression(), encryption=Encryption(recipients=("age1one",)))
    assert [transform.name for transform in both.for_payload(compressed=False)] == ["zstd", "age"]
    assert [transform.name for transform in both.for_payload(compressed=True)] == ["age"]
    assert Transforms(compression=None).for_payload(compressed=False) == ()
