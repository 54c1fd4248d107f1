# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a description names, as they are found on a host: what is refused, and in which words."""

from __future__ import annotations

import os
import pathlib
import pwd
import subprocess

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.named_files import (
    CERTIFICATES,
    CREDENTIALS,
    IDENTITY,
    RECIPIENTS,
    SECRET,
    NamedFile,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.named_files import (
    files_refusal,
    look_at_files,
)
from tests.unit.description.samples import RECIPIENT

_HIDDEN = "AGE-SECRET-KEY-1NOTFORANYBODY"


def _file(path: pathlib.Path, use: str, option: str = "an_option") -> NamedFile:
    return NamedFile(path=str(path), use=use, option=option, needed_by=("shop/main/full",))


def _said(path: pathlib.Path, use: str, account: str | None = None, option: str = "an_option") -> str:
    (problem,) = look_at_files([_file(path, use, option)], account=account)
    assert str(problem).startswith(f"{path} ({option} of shop/main/full): ")
    assert problem.hint
    return f"{problem} {problem.hint}"


def _written(tmp_path: pathlib.Path, content: bytes, mode: int = 0o600) -> pathlib.Path:
    path = tmp_path / "named"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("use", "content"),
    [
        (RECIPIENTS, f"# the safe's\n{RECIPIENT}\nssh-ed25519 AAAAC3NzaC1lZDI1 me\n".encode()),
        (SECRET, b"a password\n"),
        (CREDENTIALS, b"export AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n"),
        (IDENTITY, f"# created\n{_HIDDEN}\n".encode()),
    ],
)
def test_what_is_right_is_taken(tmp_path: pathlib.Path, use: str, content: bytes) -> None:
    path = _written(tmp_path, content)
    assert look_at_files([_file(path, use)]) == []
    assert look_at_files([_file(path, use)], account="root") == []
    assert look_at_files([_file(path, use)], account="not-there-yet-77c1") == []


@pytest.mark.parametrize(
    ("use", "content", "expected"),
    [
        (RECIPIENTS, b"# none\n\n", "there is no public key in it"),
        (RECIPIENTS, b"age1short\n", "line 1 is not a public key of age"),
        (RECIPIENTS, f"\n{_HIDDEN}\n".encode(), "line 2 is a SECRET key"),
        (SECRET, b"\n", "it is empty"),
        (SECRET, b"\xff\xfe\x00", "it is not text"),
        (CREDENTIALS, b"AWS_ACCESS_KEY_ID=a\n", "there is no AWS_SECRET_ACCESS_KEY in it"),
        (IDENTITY, RECIPIENT.encode(), "there is no private key in it"),
        (CERTIFICATES, b"-----BEGIN CERTIFICATE-----\nx\n", "there is no certificate in it"),
    ],
)
def test_what_is_not_what_it_is_named_for_is_said(
    tmp_path: pathlib.Path, use: str, content: bytes, expected: str
) -> None:
    said = _said(_written(tmp_path, content), use)
    assert expected in said
    assert _HIDDEN not in said


def test_a_certificate_is_read_as_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "own.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=own",
    ]
    subprocess.run([*make, "-keyout", tmp_path / "key", "-out", path], check=True, capture_output=True)
    path.chmod(0o644)
    assert look_at_files([_file(path, CERTIFICATES)]) == []
    assert look_at_files([_file(tmp_path / "key", SECRET)]) == []


def test_a_key_of_libpq_may_be_no_text(tmp_path: pathlib.Path) -> None:
    assert look_at_files([_file(_written(tmp_path, b"\x30\x82\xff"), SECRET, "sslkey")]) == []


def test_what_is_missing_or_no_file_is_said_with_what_to_type(tmp_path: pathlib.Path) -> None:
    there = tmp_path / "a name"
    assert "it is not there. Write the public keys into it, one a line: age-keygen -y" in _said(there, RECIPIENTS)
    assert f"install -o lifeboat -m 0600 FILE '{there}'" in _said(there, SECRET, account="lifeboat")
    assert "it is not a file. Run: ls -lL" in _said(tmp_path, SECRET)


@pytest.mark.parametrize("mode", [0o604, 0o666, 0o602])
def test_a_secret_that_every_account_has_is_refused(tmp_path: pathlib.Path, mode: int) -> None:
    said = _said(_written(tmp_path, b"a password\n", mode), SECRET)
    assert f"every account of this host can {'change' if mode & 0o002 else 'read'} it (mode {mode:04o})" in said
    assert "Run: chmod 0600 " in said


def test_a_public_key_that_every_account_can_exchange_is_refused(tmp_path: pathlib.Path) -> None:
    said = _said(_written(tmp_path, RECIPIENT.encode(), 0o646), RECIPIENTS)
    assert "can change it (mode 0646), and so have backups encrypted to a key of their own. Run: chmod o-w" in said
    path = _written(tmp_path, RECIPIENT.encode(), 0o644)
    assert look_at_files([_file(path, RECIPIENTS)]) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody")
def test_whoever_runs_the_jobs_must_be_able_to_read_it(tmp_path: pathlib.Path) -> None:
    nobody = pwd.getpwnam("nobody")
    path = _written(tmp_path, b"a password\n")
    said = _said(path, SECRET, account="nobody")
    assert "nobody, who runs the jobs, can't read it: it is root's (mode 0600). Run: chown nobody " in said
    os.chown(path, 0, nobody.pw_gid)
    path.chmod(0o640)
    assert look_at_files([_file(path, SECRET)], account="nobody") == []
    os.chown(path, nobody.pw_uid, 0)
    assert look_at_files([_file(path, SECRET)], account="nobody") == []


def test_the_refusal_names_every_file(tmp_path: pathlib.Path) -> None:
    paths = [tmp_path / name for name in ("one", "two")]
    problems = look_at_files([_file(path, SECRET) for path in paths])
    error = files_refusal(problems)
    assert error.code == "configuration.files_unusable"
    assert all(f"  - {path} (an_option of shop/main/full): it is not there." in error.message for path in paths)
    assert [one["path"] for one in error.details["files"]] == [str(path) for path in paths]
    assert error.hint == "Mend them, then: lifeboat config check --files"
    one = files_refusal(problems[:1])
    assert one.message == f"A file that the description names can't be used: {problems[0]}"
    assert one.hint == problems[0].hint
