# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets are had by reference at the moment of use, and no error or repr ever shows one."""

from __future__ import annotations

import pathlib
import traceback
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RequestInvalid,
    SecretUnavailable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret, secret_from

VALUE = "hunter2 of the Navy"
RUNNER = SubprocessRunner()


@pytest.fixture
def references(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    path = tmp_path / "redis.pass"
    path.write_text(VALUE + "\n", encoding="utf-8")
    monkeypatch.setenv("REDIS_PASSWORD", VALUE)
    return {
        "value": {"password": VALUE},
        "file": {"password_file": str(path)},
        "environment": {"password_env": "REDIS_PASSWORD"},
        "command": {"password_command": f"cat '{path}'"},
    }


@pytest.mark.parametrize("kind", ["value", "file", "environment", "command"])
def test_a_secret_is_had_by_each_of_the_four_references(kind: str, references: dict[str, dict[str, str]]) -> None:
    secret = secret_from(references[kind], "password")
    assert secret.is_given
    assert secret.fetch(runner=RUNNER) == VALUE
    assert VALUE not in repr(secret)
    assert VALUE not in str(secret)


def test_no_reference_is_no_secret_and_no_error() -> None:
    secret = secret_from({"port": 6379}, "password")
    assert not secret.is_given
    assert secret.fetch(runner=RUNNER) is None


def test_only_the_trailing_line_end_is_taken_away(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pass"
    path.write_bytes(b"  two words \r\n")
    assert Secret(name="password", file=str(path)).fetch(runner=RUNNER) == "  two words "


def test_the_secret_is_read_anew_each_time(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pass"
    secret = Secret(name="password", file=str(path))
    for value in ("old", "new"):
        path.write_text(value, encoding="utf-8")
        assert secret.fetch(runner=RUNNER) == value


def test_two_references_are_refused_without_showing_them() -> None:
    with pytest.raises(RequestInvalid, match=r"password is given 2 times \(environment, value\)") as raised:
        secret_from({"password": VALUE, "password_env": "X"}, "password")
    assert VALUE not in shown(raised)


BAD: dict[str, tuple[t.Callable[[pathlib.Path], Secret], str]] = {
    "no file": (lambda folder: Secret(name="password", file=str(folder / "none")), "No such file"),
    "a folder": (lambda folder: Secret(name="password", file=str(folder)), "Is a directory"),
    "an empty file": (lambda folder: Secret(name="password", file=write(folder, b"\n")), "is empty"),
    "no text": (lambda folder: Secret(name="password", file=write(folder, b"hunter2\xff\xfe")), "is not UTF-8"),
    "no variable": (lambda _folder: Secret(name="password", environment="NOT_SET_ANYWHERE"), "is not set"),
    "an empty variable": (lambda _folder: Secret(name="password", environment="EMPTY"), "is empty"),
    "a silent command": (lambda _folder: Secret(name="password", command="true hunter2"), "printed nothing"),
    "a failing command": (
        lambda _folder: Secret(name="password", command="sh -c 'echo hunter2; echo hunter2 >&2; exit 4'"),
        "the command sh ended with status 4",
    ),
    "a missing command": (lambda _folder: Secret(name="password", command="no-such-vault hunter2"), "no-such-vault"),
    "an unbalanced command": (lambda _folder: Secret(name="password", command="echo 'hunter2"), "No closing quotation"),
    "an empty command": (lambda _folder: Secret(name="password", command=" "), "is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_secret_that_can_not_be_had_is_an_error_that_names_the_reference_and_never_a_value(
    case: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    make, message = BAD[case]
    with pytest.raises(SecretUnavailable, match=message) as raised:
        make(tmp_path).fetch(runner=RUNNER)
    assert raised.value.message.startswith("password: ")
    assert raised.value.hint
    assert "hunter2" not in shown(raised)


def write(folder: pathlib.Path, content: bytes) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    return str(path)


def shown(raised: pytest.ExceptionInfo[t.Any]) -> str:
    """All that anybody would print of an error: itself, as a result, and its traceback's messages with all causes."""
    error = raised.value
    chain = traceback.TracebackException.from_exception(error, capture_locals=False)
    lines = [line for line in chain.format() if not line.startswith("  File")]
    return f"{error!r} {error} {error.as_dict()} {''.join(lines)}"
