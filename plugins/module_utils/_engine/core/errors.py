# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal and failure of the engine, each with a stable code.

An error says what is wrong (the message), why it matters (first paragraph of the class's docstring) and what to
type next (the hint). Codes are part of the public interface: they are listed in ``docs/error-codes.md``, which is
generated from this file, and are never renamed or used for another meaning.

Exit statuses of the command line: 1 the operation failed, 2 the request was wrong and nothing was touched,
3 partial (some repositories have the backup, others don't), 4 somebody else holds the lock.
"""

from __future__ import annotations

import typing as t


class LifeboatError(Exception):
    """Something that Lifeboat does not know by a better name went wrong."""

    code: t.ClassVar[str] = "lifeboat.error"
    exit_status: t.ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        """*message* says what is wrong; *hint* is the next thing to type or to change; *details* holds JSON values."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, t.Any] = dict(details or {})

    def as_dict(self) -> dict[str, t.Any]:
        """The error as JSON values: ``code``, ``message``, ``hint``, ``details``."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "details": self.details}

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]" + (f"\n  hint: {self.hint}" if self.hint else "")


# --- core -------------------------------------------------------------------------------------------------------


class RequestInvalid(LifeboatError):
    """The request contradicts itself or leaves out something that is needed; nothing was touched."""

    code = "request.invalid"
    exit_status = 2


class ConfigurationInvalid(LifeboatError):
    """The description of what to protect does not match its schema; nothing was touched."""

    code = "configuration.invalid"
    exit_status = 2


class ConfigurationUnreadable(LifeboatError):
    """The configuration file is missing, is not YAML or JSON, or may not be read."""

    code = "configuration.unreadable"
    exit_status = 2


class DurationInvalid(ConfigurationInvalid):
    """A length of time can't be read, so neither an objective nor a retention could be kept."""

    code = "configuration.duration_invalid"


class ScheduleInvalid(ConfigurationInvalid):
    """A schedule is not a cron expression, or names a time that never comes; the job would never run."""

    code = "configuration.schedule_invalid"


class KeepPolicyInvalid(ConfigurationInvalid):
    """A retention policy would keep nothing or contradicts itself."""

    code = "configuration.keep_invalid"


class JobUnknown(LifeboatError):
    """A selection names a job that the description does not have; running the others only would hide the mistake."""

    code = "configuration.job_unknown"
    exit_status = 2


class KindNotRunnable(LifeboatError):
    """This version reads and shows backups of that kind in a description, but can't make them yet."""

    code = "job.kind_not_runnable"
    exit_status = 2


class SecretUnavailable(LifeboatError):
    """A secret that is given by reference (file, environment name or command) could not be fetched."""

    code = "secret.unavailable"
    exit_status = 2


class LibraryMissing(LifeboatError):
    """A Python library that the job needs is not installed for the interpreter that runs the engine."""

    code = "tool.library_missing"
    exit_status = 2


class ToolMissing(LifeboatError):
    """A program that the job needs is not on the host."""

    code = "tool.missing"
    exit_status = 2


class ToolTooOld(LifeboatError):
    """A program that the job needs is there, but too old to do it safely."""

    code = "tool.too_old"
    exit_status = 2


class CommandFailed(LifeboatError):
    """A program ended with a non-zero status, so nothing that it produced may be trusted."""

    code = "tool.failed"


class CommandTimedOut(LifeboatError):
    """A program did not end in its time and was stopped."""

    code = "tool.timed_out"


class LockHeld(LifeboatError):
    """Another run works on the same source; two at once would disturb each other."""

    code = "lock.held"
    exit_status = 4


class StateDirectoryUnusable(LifeboatError):
    """The folder for locks and run records can't be created or written."""

    code = "state.unusable"
    exit_status = 2


class Interrupted(LifeboatError):
    """The run was told to stop (SIGTERM, SIGINT or SIGHUP) and cleaned up behind itself."""

    code = "run.interrupted"


# --- pipeline ---------------------------------------------------------------------------------------------------


class PipelineFailed(LifeboatError):
    """A process of the pipeline failed; the stream is cut short, so it was not stored."""

    code = "pipeline.failed"


class RecipientInvalid(LifeboatError):
    """An age recipient is not a public key that age accepts; a backup for it could never be opened."""

    code = "pipeline.recipient_invalid"
    exit_status = 2


# --- storage ----------------------------------------------------------------------------------------------------


class StorageError(LifeboatError):
    """A repository could not do what it was asked."""

    code = "storage.error"


class StorageUnreachable(StorageError):
    """The repository does not answer, or answers with a passing fault; trying again may help."""

    code = "storage.unreachable"


class StorageForbidden(StorageError):
    """The repository knows us and refuses; trying again does not help."""

    code = "storage.forbidden"


class StorageBucketMissing(StorageError):
    """The bucket, or the folder that holds the repository, does not exist."""

    code = "storage.bucket_missing"


class StorageNoSpace(StorageError):
    """The repository has no room left."""

    code = "storage.no_space"


class StorageNotFound(StorageError):
    """There is no object of that name in the repository."""

    code = "storage.not_found"


class StorageExists(StorageError):
    """An object of that name is already there, and it may not be replaced."""

    code = "storage.exists"


class StorageKeyInvalid(StorageError):
    """An object's name would leave the repository or can't be stored everywhere."""

    code = "storage.key_invalid"
    exit_status = 2


class StorageAllFailed(StorageError):
    """Not one of the job's repositories could take the backup, so there is no backup."""

    code = "storage.all_failed"


class StorageLocked(StorageError):
    """The object is under object lock or legal hold until a date; it can't be deleted before."""

    code = "storage.locked"


# --- catalog ----------------------------------------------------------------------------------------------------


class ManifestInvalid(LifeboatError):
    """A manifest can't be read as what it should be; the backup behind it counts as unknown, never as good."""

    code = "catalog.manifest_invalid"


class ManifestTooNew(LifeboatError):
    """The manifest was written by a newer Lifeboat in a format that this one does not know."""

    code = "catalog.manifest_too_new"


class BackupNotFound(LifeboatError):
    """No backup of the catalog matches."""

    code = "catalog.backup_not_found"
    exit_status = 2


class BackupPartial(LifeboatError):
    """Some repositories of the job have the backup and others don't."""

    code = "backup.partial"
    exit_status = 3


# --- mongodb ----------------------------------------------------------------------------------------------------

# --- postgresql -------------------------------------------------------------------------------------------------

# --- redis ------------------------------------------------------------------------------------------------------
