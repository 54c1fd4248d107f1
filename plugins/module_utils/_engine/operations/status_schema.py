# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of what ``lifeboat status --json`` prints (published as ``docs/schema/status-1.schema.json``).

Compatible additions are new properties, which an older reader passes over.
"""

from __future__ import annotations

import typing as t

FORMAT = "lifeboat-status"
FORMAT_VERSION = 1

Schema = dict[str, t.Any]

_TIME: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$",
}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _or_null(schema: Schema, description: str) -> Schema:
    return {"oneOf": [{"type": "null"}, schema], "description": description}


def _number(description: str) -> Schema:
    return {"type": ["number", "null"], "description": description}


def _record(description: str, properties: t.Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": dict(properties),
    }


def _list(description: str, items: Schema) -> Schema:
    return {"type": "array", "description": description, "items": items}


def _verdict(*words: str) -> Schema:
    return {"enum": [*words, None], "description": "Null where there is no objective."}


_OBJECT: Schema = {"type": "object"}
_DUE = _record(
    "The run that must succeed next: the first of the schedule after the newest success began.",
    {
        "due": {**_TIME, "description": "When it was or is due (UTC)."},
        "grace_seconds": _number("How late its success may be."),
        "deadline": {**_TIME, "description": "When the job becomes overdue (UTC)."},
        "overdue": {"type": "boolean"},
    },
)
_RPO = _record(
    "What would be lost if the source were lost now.",
    {
        "objective_seconds": _number("What may be lost at most; null without an objective."),
        "seconds": _number("What would be; null when nothing can be recovered."),
        "point": _or_null(_TIME, "The newest moment that can be recovered (UTC)."),
        "by": {"type": ["string", "null"], "description": "The job that gives it."},
        "verdict": _verdict("met", "late", "missed"),
        "grace_seconds": _number("By how much less than this over the objective it is late only."),
    },
)
_RTO = _record(
    "How long bringing the source back to that moment takes, by what was measured; replaying a stream comes on top.",
    {
        "objective_seconds": _number("What it may take; null without an objective."),
        "seconds": _number("What it will take; null when nothing was measured."),
        "by": {"type": ["string", "null"], "description": "The kind of backup that the recovery begins with."},
        "measured": {"type": "integer", "description": "How many recoveries were measured."},
        "verdict": _verdict("met", "missed", "unknown"),
    },
)
_WINDOW = _record(
    "How far back any moment can be recovered, without a gap.",
    {
        "objective_seconds": _number("How far it must be; null without an objective."),
        "seconds": _number("How far it is; null where there is no stream."),
        "begins": _or_null(_TIME, "Where the newest window begins (UTC)."),
        "ends": _or_null(_TIME, "Where it ends (UTC)."),
        "windows": {"type": "integer", "description": "How many windows there are; more than one means gaps."},
        "verdict": _verdict("met", "short"),
    },
)
_VERIFICATION = _record(
    "One verification.",
    {
        "id": _text("Its id."),
        "backup": _text("The backup."),
        "kind": _text("The backup's kind."),
        "state": {"enum": ["passed", "failed"]},
        "level": {"type": "integer", "description": "Asked for, 0 to 4."},
        "reached": {"type": "integer", "description": "Reached; -1 for none."},
        "finished": _TIME,
        "host": _text("Where."),
        "recovery_seconds": _number("From the first byte fetched to a server that answers; null below level 3."),
        "reason": {"type": ["string", "null"], "description": "Why it failed."},
    },
)
_JOB = _record(
    "One job.",
    {
        "job": _text("Its id."),
        "service": _text("Its service."),
        "source": _text("Its source."),
        "kind": _text("Its kind."),
        "engine": _text("Its engine."),
        "state": {"enum": ["running", "failed", "never", "overdue", "wanted", "partial", "ok"]},
        "newest": _or_null(_OBJECT, "Its newest backup, as lifeboat list --json has it."),
        "backups": {"type": "integer", "description": "How many there are."},
        "last_run": _or_null(_OBJECT, "What this host noted of the last run."),
        "running": _or_null(_OBJECT, "The run that goes on."),
        "wanted": {"type": ["string", "null"], "description": "Why a full backup is needed."},
        "schedule": {"type": ["string", "null"], "description": "In words."},
        "next_run": _or_null(_TIME, "When it comes next (UTC)."),
        "due": _or_null(_DUE, "Null for what no clock starts, and before the first success."),
        "overdue": {"type": "boolean"},
        "keep": {"type": ["string", "null"], "description": "In words."},
        "repositories": _list("Where it stores.", {"type": "string"}),
        "last_success": _or_null(_TIME, "When the newest backup was finished (UTC)."),
        "age_seconds": _number("Since the newest backup was begun."),
        "stored_bytes": {"type": ["integer", "null"], "description": "Of the newest backup."},
        "seconds": _number("How long the newest backup took."),
        "change": _or_null(
            _record(
                "The newest backup's stored size against the one before.",
                {
                    "bytes": {"type": "integer"},
                    "percent": _number("Null when the one before was empty."),
                    "against": _text("The one before."),
                },
            ),
            "Null for the first one.",
        ),
        "verified": _or_null(
            _record(
                "The newest verification that passed.",
                {
                    "level": {"type": "integer"},
                    "level_name": _text("In a word."),
                    "finished": _TIME,
                    "age_seconds": _number("Since then."),
                    "backup": _text("The backup."),
                    "is_newest": {"type": "boolean", "description": "Whether it is the newest backup."},
                },
            ),
            "Null when none did.",
        ),
        "newest_usable": _or_null(_TIME, "When the newest backup was begun that no verification found bad (UTC)."),
        "last_verification": _or_null(
            _record(
                "The newest verification of any of its backups.",
                {"passed": {"type": "boolean"}, "finished": _TIME, "backup": _text("The backup.")},
            ),
            "Null without one.",
        ),
        "history": _list(
            "The newest backups, oldest first.",
            _record(
                "One backup.",
                {
                    "id": _text("Its id."),
                    "started": _TIME,
                    "stored_bytes": {"type": "integer"},
                    "seconds": _number("How long it took."),
                    "state": _text("complete, verified or failed."),
                },
            ),
        ),
        "recovery": _or_null(
            _OBJECT, "How long recovering the newest backup will take, as lifeboat list --json has it."
        ),
        "rpo": _or_null(_RPO, "Where the job has an objective of its own."),
        "rto": _or_null(_RTO, "Where the job has an objective of its own."),
    },
)
_STREAM = _record(
    "One stream.",
    {
        "job": _text("The id of the job that ships it."),
        "jobs": _list("The ids of all jobs that share it, that one first.", {"type": "string"}),
        "service": _text("Its service."),
        "source": _text("Its source."),
        "kind": _text("Its kind."),
        "engine": _text("Its engine."),
        "state": {"enum": ["ok", "late", "partial", "blocked", "failed", "never"]},
        "newest": _or_null(_OBJECT, "The newest segment: lineage, name, ends, stored."),
        "newest_by": {"enum": ["repositories", "notes"]},
        "stored_until": _or_null(_TIME, "Up to when everything is stored, as far as it is known (UTC)."),
        "age_seconds": _number("Since then."),
        "last_success": _or_null(_TIME, "When a run left nothing waiting, or something was stored last (UTC)."),
        "spool": _or_null(_OBJECT, "What waits on this host: segments, bytes, since when, how full."),
        "oplog_hours": _number("For how many hours more a MongoDB server keeps what is to be captured next."),
        "pg_wal": _or_null(_OBJECT, "How full the pg_wal of a PostgreSQL server is: size, what waits, room left."),
        "last_run": _or_null(_OBJECT, "What this host noted of the last run."),
        "running": _or_null(_OBJECT, "The run that goes on."),
        "schedule": {"type": ["string", "null"], "description": "In words."},
        "next_run": _or_null(_TIME, "When it comes next (UTC)."),
        "due": _or_null(_DUE, "Null for what no clock starts, and before the first success."),
        "overdue": {"type": "boolean"},
        "repositories": _list("Where it stores.", {"type": "string"}),
    },
)
_ATTENTION = _record(
    "One thing that somebody must look at.",
    {
        "name": {
            "enum": [
                "failed",
                "never",
                "overdue",
                "wanted",
                "partial",
                "verification_failed",
                "rpo_missed",
                "rto_missed",
                "stream_blocked",
                "stream_failed",
                "stream_late",
                "stream_never",
                "stream_partial",
                "pg_wal_growing",
                "pg_wal_over_budget",
                "pg_wal_disk_nearly_full",
                "unreadable",
                "channel_down",
            ]
        },
        "severity": {"enum": ["critical", "warning"]},
        "what": _text("The job, source or repository."),
        "message": _text("What is wrong."),
        "hint": _text("The next thing to do."),
    },
)

STATUS_SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat status",
    **_record(
        "How the jobs of a host are doing.",
        {
            "format": {"const": FORMAT},
            "format_version": {"const": FORMAT_VERSION},
            "host": _text("Who says so."),
            "at": {**_TIME, "description": "When (UTC)."},
            "lifeboat_version": _text("The version that says so."),
            "well": {"type": "boolean", "description": "Whether nothing needs attention."},
            "attention": _list("What somebody must look at, critical things first.", _ATTENTION),
            "jobs": _list("Every job that was asked for.", _JOB),
            "streams": _list("Every stream that was asked for.", _STREAM),
            "sources": _list(
                "The sources of these jobs, objectives against facts.",
                _record(
                    "One source.",
                    {
                        "source": _text("service/source"),
                        "engine": _text("Its engine."),
                        "rpo": _RPO,
                        "rto": _RTO,
                        "window": _WINDOW,
                        "verifications": _list("The last five, newest first.", _VERIFICATION),
                    },
                ),
            ),
            "windows": {
                "type": "object",
                "description": "What each source with a stream can be recovered to, by service/source.",
                "additionalProperties": _OBJECT,
            },
            "repositories": _list(
                "The repositories of these jobs.",
                _record(
                    "One repository.",
                    {
                        "name": _text("Its name."),
                        "url": _text("Where it is."),
                        "reachable": {"type": "boolean"},
                        "error": _or_null(_OBJECT, "Why not."),
                    },
                ),
            ),
            "channels": _list(
                "Those who are told of the services.",
                _record(
                    "One channel.",
                    {
                        "channel": _text("service/channel"),
                        "down_since": _or_null(_TIME, "Since when it can't be told; null when it can."),
                        "failures": {"type": "integer", "description": "How often in a row."},
                        "not_before": _or_null(_TIME, "When it is tried again at the earliest (UTC)."),
                        "error": _or_null(_OBJECT, "Why."),
                        "last_success": _or_null(_TIME, "When it was told something last, to the minute (UTC)."),
                        "waiting": {"type": "integer", "description": "How many notices wait for it."},
                        "given_up": {"type": "integer", "description": "How many it refused until nobody tried again."},
                    },
                ),
            ),
            "left_out": _list(
                "Jobs that this version can't make.",
                _record("One job.", {"job": _text("Its id."), "reason": _text("Why.")}),
            ),
            "problems": _list("Repositories and documents that could not be read.", _OBJECT),
        },
    ),
}
