# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of an append-only file set is read as a server reads it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import AofInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_manifest import (
    ManifestEntry,
    parse_manifest,
    split_words,
)

USUAL = b"file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"


def test_the_usual_one() -> None:
    assert parse_manifest(USUAL) == (
        ManifestEntry(name="appendonly.aof.1.base.rdb", sequence=1, kind="base"),
        ManifestEntry(name="appendonly.aof.1.incr.aof", sequence=1, kind="increment"),
    )


def test_comments_history_and_later_versions_pairs() -> None:
    found = parse_manifest(
        b"# a comment\nfile a.2.base.rdb seq 2 type b\nfile a.1.incr.aof seq 1 type h\n"
        b"file a.2.incr.aof seq 2 type i startoffset 120 endoffset 300\nfile a.3.incr.aof seq 3 type i startoffset 9\n"
    )
    assert [(entry.kind, entry.sequence) for entry in found] == [
        ("base", 2), ("history", 1), ("increment", 2), ("increment", 3)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("quoted", "name"),
    [
        (b'"a b.aof"', "a b.aof"),
        (b'"quote\\"d"', 'quote"d'),
        (b'"\\xc3\\xa4.aof"', "ä.aof"),
        (b'"tab\\tnew\\nline"', "tab\tnew\nline"),
        (b'"back\\\\slash"', "back\\slash"),
        (b"'it\\'s'", "it's"),
        (b'"\\xff.aof"', "\udcff.aof"),
    ],
)
def test_names_with_odd_characters(quoted: bytes, name: str) -> None:
    (entry,) = parse_manifest(b"file " + quoted + b" seq 1 type i\n")
    assert entry.name == name


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"\n",
        b"file a seq 1\n",
        b"file a seq one type i\n",
        b"file a seq 1 type x\n",
        b"file a seq 1 type\n",
        b"file ../../etc/shadow seq 1 type i\n",
        b"file .. seq 1 type i\n",
        b'file "a\\x00b" seq 1 type i\n',
        b'file "open seq 1 type i\n',
        b"file a seq 1 type b\nfile b seq 2 type b\n",
        b"file a seq 2 type i\nfile b seq 1 type i\n",
        b"file a seq 1 type h\n",
        bytes(range(256)),
    ],
)
def test_what_is_refused(manifest: bytes) -> None:
    with pytest.raises(AofInvalid):
        parse_manifest(manifest)


@given(strategies.binary(max_size=200))
def test_nothing_breaks_the_parser(data: bytes) -> None:
    try:
        entries = parse_manifest(data)
    except AofInvalid:
        return
    assert all("/" not in entry.name for entry in entries)


@given(strategies.lists(strategies.binary(min_size=1, max_size=12), min_size=1, max_size=4))
def test_quoting_comes_back(words: list[bytes]) -> None:
    line = b" ".join(b'"' + b"".join(b"\\x%02x" % byte for byte in word) + b'"' for word in words)
    assert split_words(line) == words
