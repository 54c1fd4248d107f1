# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that is committed names a path of one machine, a registry's host or a secret."""

from __future__ import annotations

import pytest

from tests.architecture import committed


def test_no_committed_file_leaks() -> None:
    found = []
    files = committed.files()
    assert committed.ROOT / "galaxy.yml" in files
    here = str(committed.ROOT) if len(committed.ROOT.parts) > 2 else ""
    for path in files:
        name = path.relative_to(committed.ROOT).as_posix()
        if path.name in committed.NOT_OURS or name in committed.TEST_KEYS:
            continue
        content = path.read_bytes()
        if b"\0" in content[:8192]:
            continue
        found += [f"{name}:{line}: {what}" for line, what in committed.leaks(content.decode(), here=here)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "see /wor" + "k/project/notes",
        "home: /ho" + "me/alice/src",
        "python = /ro" + "ot/.pyenv/versions/3.9",
        '"/Use' + 'rs/alice"',
        "index-url = https://py" + "pi.org/simple",
        "AGE-SECRET" + "-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ",
        "-----BEGIN RSA PRIVATE" + " KEY-----",
        "aws_access_key_id = AK" + "IAIOSFODNN7ABCDEFG",
    ],
)
def test_each_leak_is_found(line: str) -> None:
    assert committed.leaks(line)


@pytest.mark.parametrize(
    "line",
    ["/var/backups/lifeboat", "s3://bucket/work/prefix", "the working copy", "~/.ansible/collections", "GNU homework/"],
)
def test_what_is_no_leak_passes(line: str) -> None:
    assert not committed.leaks(line)


def test_the_checkout_itself_is_a_leak() -> None:
    assert committed.leaks("cd /srv/lifeboat && make", here="/srv/lifeboat")


def test_links_stay_inside_the_checkout() -> None:
    links = committed.links()
    assert committed.ROOT / ".collections/ansible_collections/lifeboat/recovery" in links
    outside = [link for link in links if not link.resolve().is_relative_to(committed.ROOT.resolve())]
    assert not outside
    absolute = [link for link in links if link.readlink().is_absolute()]
    assert not absolute
