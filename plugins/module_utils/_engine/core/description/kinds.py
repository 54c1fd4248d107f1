# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines and kinds of backups: what a description may name, and what this version can make."""

from __future__ import annotations

import typing as t

#: Every kind that a description may name, by engine.
KINDS: t.Mapping[str, tuple[str, ...]] = {
    "mongodb": ("full", "incremental", "differential", "oplog"),
    "postgresql": ("logical", "base", "incremental", "wal"),
    "redis": ("rdb", "aof", "aof-log"),
    "files": ("config", "app", "static", "system"),
}

#: What this version can make; the others are read and shown, and refused when they are run.
RUNNABLE_KINDS: t.Mapping[str, tuple[str, ...]] = {
    "mongodb": ("full",),
    "postgresql": ("logical", "base", "incremental"),
    "redis": ("rdb", "aof"),
    "files": ("config", "app", "static", "system"),
}

#: Kinds whose backups follow each other without a hole, so that any moment between two of them can be restored.
STREAMED_KINDS: t.Mapping[str, tuple[str, ...]] = {
    "mongodb": ("oplog",),
    "postgresql": ("wal",),
    "redis": ("aof-log",),
}

#: Kinds that are another job of a stream: what an incremental backup of MongoDB holds is what happened since the last
#: one, a differential one what happened since the last full one, and both are the oplog. It is stored once, and kept as
#: long as one of the jobs says.
STREAM_ALIASES: t.Mapping[str, t.Mapping[str, str]] = {"mongodb": {"incremental": "oplog", "differential": "oplog"}}

#: What a stream is replayed behind; append-only files bring their own bases.
STREAM_BASES: t.Mapping[str, str] = {"wal": "base", "oplog": "full"}

#: The kind of the engine files that is a set: backups of other sources, and a manifest of their manifests.
SET_KIND = "system"

#: Kinds that hold all of a source as it is at one time: what a set consists of. Of a source that has several of them
#: the first one is brought back.
MEMBER_KINDS: t.Mapping[str, tuple[str, ...]] = {
    "mongodb": ("full",),
    "postgresql": ("base", "logical"),
    "redis": ("rdb", "aof"),
    "files": ("config", "app", "static"),
}


def made_kind(*, engine: str, kind: str) -> str:
    """The kind under which lies what a job of that kind stores."""
    return STREAM_ALIASES.get(engine, {}).get(kind, kind)


def stream_owner(kinds: t.Sequence[str], *, engine: str, kind: str) -> int | None:
    """Of a source's backups, by their *kinds*, the one that says how the stream of a job of that kind is captured.

    That is the first of the stream's own kind, else the first that keeps it; None where no jobs share a stream.
    """
    aliases = STREAM_ALIASES.get(engine, {})
    stream = aliases.get(kind, kind)
    if stream not in aliases.values():
        return None
    sharing = [number for number, one in enumerate(kinds) if aliases.get(one, one) == stream]
    return min(sharing, key=lambda number: (kinds[number] != stream, number), default=None)


def is_runnable(*, engine: str, kind: str) -> bool:
    """Whether this version can make backups of that kind."""
    return kind in RUNNABLE_KINDS.get(engine, ())
