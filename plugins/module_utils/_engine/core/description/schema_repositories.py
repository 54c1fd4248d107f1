# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of repositories, and of what is common to all backups: compression, encryption, retention."""

from __future__ import annotations

from .keep import MINIMUM_VERIFIED
from .schema_parts import (
    RECIPIENT_FORMAT,
    Schema,
    cron,
    duration,
    listing,
    name,
    number,
    record,
    switch,
    text,
    timezone,
)

REPOSITORY_TYPES = ("file", "s3", "git")

COMPRESSION: Schema = record(
    {
        "method": text("zstd, or none.", choices=("zstd", "none"), default="zstd"),
        "level": number("1 is fast, 19 is small.", lowest=1, highest=19, default=1),
        "threads": number("Threads of the compressor; 0 means one for each core.", highest=256, default=0),
    },
    "How payloads are compressed.",
)

ENCRYPTION: Schema = record(
    {
        "method": text(
            "age with at least one recipient; none switches off what lifeboat_settings switches on.",
            choices=("age", "none"),
        ),
        "recipients": listing(
            {"type": "string", "format": RECIPIENT_FORMAT},
            "Public keys (age1...). Their private keys open the backups and don't belong on this host.",
            at_least=1,
        ),
        "recipients_file": text("A file on the host with one public key a line."),
    },
    "To whom payloads are encrypted: this host can then write backups and not read them.",
    at_least=1,
)

KEEP: Schema = record(
    {
        "within": duration("Keep every backup that is younger than this."),
        "count": number("Keep the newest so many.", lowest=1),
        "hourly": number("Keep the newest of each of the last so many hours that have one.", lowest=1),
        "daily": number("Keep the newest of each of the last so many days that have one.", lowest=1),
        "weekly": number("Keep the newest of each of the last so many weeks that have one.", lowest=1),
        "monthly": number("Keep the newest of each of the last so many months that have one.", lowest=1),
        "yearly": number("Keep the newest of each of the last so many years that have one.", lowest=1),
        "forever": switch("Keep everything for ever."),
        "minimum_verified": number(
            "Never go below so many backups that were proved to restore, whatever the other rules say.",
            default=MINIMUM_VERIFIED,
        ),
    },
    "Which backups to keep: those that any of the rules names.",
)

CREDENTIALS: Schema = record(
    {
        "file": text("A file on the host with lines AWS_ACCESS_KEY_ID=... and AWS_SECRET_ACCESS_KEY=..."),
        "profile": text("A profile of the host's AWS configuration."),
        "command": text("A command on the host that prints such lines."),
        "env": text("Environment variables with this prefix hold the keys: LIFEBOAT_S3 for LIFEBOAT_S3_ACCESS_KEY_ID."),
    },
    "Where the keys are; without it the host's own role or environment is used.",
    one_of=("file", "profile", "env", "command"),
)

OBJECT_LOCK: Schema = record(
    {
        "mode": text(
            "governance can be lifted by an administrator, compliance by nobody.", choices=("governance", "compliance")
        ),
        "retain": {
            "description": "policy: as long as keep of the job says (its within), or a length of time from the writing "
            "of each object: 30d, 12w.",
            "type": "string",
            "if": {"not": {"const": "policy"}},
            "then": duration("For how long."),
        },
    },
    "Object lock on everything that is written, so that the host that makes backups can't destroy old ones. The bucket "
    "must have been made with object lock.",
    required=("mode", "retain"),
)


def _mode(description: str, default: str) -> Schema:
    return {
        "description": f"{description}: three octal digits in quotes.",
        "type": "string",
        "pattern": "^0?[0-7]{3}$",
        "default": default,
    }


_TYPE = text("What the repository is made of.", choices=REPOSITORY_TYPES)
_DESCRIPTION = text("A note for people.")

REPOSITORIES: dict[str, Schema] = {
    "file": record(
        {
            "type": _TYPE,
            "description": _DESCRIPTION,
            "path": text("An absolute path on the host that makes the backup."),
            "create": switch("Make the folder when it is not there.", default=False),
            "folder_mode": _mode("The mode of new folders", "0700"),
            "file_mode": _mode("The mode of new files", "0600"),
        },
        "A folder on the host: a disk of its own, a mount.",
        required=("type", "path"),
    ),
    "s3": record(
        {
            "type": _TYPE,
            "description": _DESCRIPTION,
            "bucket": text("The bucket; it must exist."),
            "prefix": text("The folder inside the bucket, without a slash at its ends."),
            "region": text("The bucket's region."),
            "endpoint_url": text("The address of an S3 service that is not Amazon's."),
            "storage_class": text("The class of stored objects, such as STANDARD_IA."),
            "credentials": CREDENTIALS,
            "path_style": switch("Address the bucket by path and not by host name, as many other S3 services need."),
            "ca_bundle": text("A file with the certificates of the authority that signed the endpoint's."),
            "sse": text("Encryption by the server.", choices=("AES256", "aws:kms")),
            "sse_kms_key_id": text("The key for sse: aws:kms."),
            "object_lock": OBJECT_LOCK,
            "versions": text(
                "What retention does in a bucket that keeps old versions: keep hides objects behind delete markers, "
                "and a lifecycle rule of the bucket frees their space; delete removes all their versions.",
                choices=("keep", "delete"),
                default="keep",
            ),
            "batch_size": number(
                "Objects in one request that deletes; fewer for services that time out.",
                lowest=1,
                highest=1000,
                default=1000,
            ),
            "part_size_mib": number("Fixes the size of an upload's parts, in MiB.", lowest=8, highest=5120),
            "checksums": text(
                "Whether checksums go with uploads; when_required is for services that refuse them.",
                choices=("when_supported", "when_required"),
                default="when_supported",
            ),
        },
        "A bucket of Amazon S3 or of a compatible service.",
        required=("type", "bucket"),
    ),
    "git": record(
        {
            "type": _TYPE,
            "description": _DESCRIPTION,
            "url": text("The address to push to; without a password in it."),
            "branch": text("The branch; one for each service where it is not given."),
        },
        "A git repository for configuration and application code. Read and shown by this version, not written yet.",
        required=("type", "url"),
    ),
}

REPOSITORY: Schema = {
    "description": "One place for backups; its type decides the other keys.",
    "type": "object",
    "required": ["type"],
    "properties": {"type": _TYPE},
    "allOf": [
        {
            "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/repository_{kind}"},
        }
        for kind in REPOSITORY_TYPES
    ],
}

SETTINGS: Schema = record(
    {
        "state_directory": text("Locks and records of runs on each host.", default="/var/lib/lifeboat"),
        "timezone": {**timezone("The time zone of all schedules that don't name their own."), "default": "UTC"},
        "compression": {"$ref": "#/$defs/compression"},
        "encryption": {"$ref": "#/$defs/encryption"},
        "decryption": record(
            {
                "identity_file": text("A file with the private key (AGE-SECRET-KEY-...), mode 0600."),
                "identity_env": text("The name of an environment variable that holds it."),
                "identity_command": text("A command that prints it."),
            },
            "Where verification and restore find the private key. Never on a host that only makes backups.",
            one_of=("identity_file", "identity_env", "identity_command"),
        ),
        "scratch_directory": text(
            "Where verification restores to, for as long as it runs.",
            default="/var/tmp/lifeboat",  # noqa: S108
        ),
        "scratch_memory_mib": number("The memory that scratch servers keep within.", lowest=128, default=1024),
        "makes_backups": switch(
            "Whether this host makes the backups that are described. One that only proves or removes what others make "
            "says false; it then refuses to back up or to ship.",
            default=True,
        ),
    },
    "What holds for all services unless they say otherwise.",
)

BACKUP_COMMON: dict[str, Schema] = {
    "name": name("Stands for the kind in the job's id; needed when two backups of a source are of the same kind."),
    "schedule": cron("When it runs."),
    "triggers": listing(
        text("What sets it off.", choices=("change", "deployment", "continuous")),
        "What sets it off apart from the schedule: a change, a deployment; continuous never stops (WAL, oplog).",
        at_least=1,
        unique=True,
    ),
    "timezone": timezone("The time zone of the schedule."),
    "repositories": listing(
        {
            "description": "A repository's name, or its name and how long it keeps this backup.",
            "if": {"type": "object"},
            "then": record(
                {"name": name("The repository."), "keep": {"$ref": "#/$defs/keep"}},
                "A repository with a retention of its own.",
                required=("name",),
            ),
            "else": {"type": "string", "format": "lifeboat-name"},
        },
        "Where each backup is stored: all of them at once.",
        at_least=1,
    ),
    "keep": {"$ref": "#/$defs/keep"},
    "compression": {"$ref": "#/$defs/compression"},
    "encryption": {"$ref": "#/$defs/encryption"},
    "objectives": {"$ref": "#/$defs/objectives"},
    "description": _DESCRIPTION,
}
