# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets finds them: in a command line that lives for a moment, in files, in every spelling."""

from __future__ import annotations

import base64
import json
import pathlib
import subprocess
import urllib.parse

import pytest

from tests.support.proc_scan import SecretScan, files_with_secrets, secrets_in

SECRET = "p@ss w/\"é\" 'x' of the scan"


def test_a_secret_in_a_command_line_is_found() -> None:
    with SecretScan([SECRET]) as scan:
        subprocess.run(["sh", "-c", "sleep 0.2", SECRET], check=True)
    assert scan.found
    with pytest.raises(AssertionError, match="a secret stood in a command line"):
        scan.assert_clean()


def test_a_secret_in_a_uri_of_a_command_line_is_found() -> None:
    uri = f"mongodb://backup:{urllib.parse.quote(SECRET, safe='')}@127.0.0.1/"
    with SecretScan([SECRET]) as scan:
        subprocess.run(["sh", "-c", "sleep 0.2", uri], check=True)
    assert scan.found


def test_a_secret_in_an_environment_or_on_standard_input_is_none_in_a_command_line() -> None:
    with SecretScan([SECRET]) as scan:
        subprocess.run(["sleep", "0.2"], env={"SECRET": SECRET, "PATH": "/usr/bin:/bin"}, check=True)
        subprocess.run(["sh", "-c", "sleep 0.1; cat > /dev/null"], input=SECRET.encode(), check=True)
    scan.assert_clean("sleep", "sh")


def test_a_scan_that_did_not_see_the_program_proves_nothing() -> None:
    with SecretScan([SECRET]) as scan:
        subprocess.run(["sleep", "0.1"], check=True)
    with pytest.raises(AssertionError, match="did not see no-such-dump run"):
        scan.assert_clean("no-such-dump")


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_a_secret_is_found_in_every_spelling(before: str) -> None:
    texts = [
        f"{before}{SECRET}{before}",
        json.dumps({"uri": before + SECRET}),
        json.dumps({"uri": before + SECRET}, ensure_ascii=False),
        before + urllib.parse.quote(SECRET, safe="") + "@host",
        before + urllib.parse.quote_plus(SECRET),
        "Authorization: Basic " + base64.b64encode(f"{before}{SECRET}{before}".encode()).decode(),
    ]
    for text in texts:
        assert secrets_in([SECRET], text) == [SECRET], text
    assert secrets_in([SECRET, "other"], "nothing of it") == []


def test_files_and_names_that_hold_a_secret_are_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "manifest.json").write_text(json.dumps({"password": SECRET}), encoding="utf-8")
    (tmp_path / "a" / "fine.log").write_text("all is well", encoding="utf-8")
    assert files_with_secrets([SECRET], tmp_path) == [str(tmp_path / "a" / "manifest.json")]
    with pytest.raises(AssertionError, match="there is no"):
        files_with_secrets([SECRET], tmp_path / "missing")
