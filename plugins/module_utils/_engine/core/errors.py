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


class ObjectivesUnmet(ConfigurationInvalid):
    """The schedules can't meet an objective, so whoever relies on it would lose more than was promised."""

    code = "configuration.objectives_unmet"


class FilesUnusable(ConfigurationInvalid):
    """A file that the description names is missing on this host, is not what it must be, or too many may read it."""

    code = "configuration.files_unusable"


class OutputUnwritable(LifeboatError):
    """A file that was to be written can't be; what was there before is as it was."""

    code = "output.unwritable"
    exit_status = 2


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


class ServerDifferent(LifeboatError):
    """The administrator and the jobs reach two different servers, so the wrong one would be prepared."""

    code = "prepare.server_different"
    exit_status = 2


class AccountForeign(LifeboatError):
    """The account of the jobs was made by somebody else with another password; it is not ours to change."""

    code = "prepare.account_foreign"
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


class PayloadDamaged(LifeboatError):
    """The stored bytes are not those of the manifest, or can't be decoded; restoring them would be a lie."""

    code = "payload.damaged"


class PayloadTooLarge(LifeboatError):
    """More plain bytes come out of a payload than its manifest says: a decompression bomb would fill the disk."""

    code = "payload.too_large"


class IdentityMissing(LifeboatError):
    """The payload is encrypted, and nobody said where the private key is; nothing was touched."""

    code = "payload.identity_missing"
    exit_status = 2


class DecryptionFailed(LifeboatError):
    """The payload can't be decrypted: the private key is another one, or the encrypted bytes were changed."""

    code = "payload.decryption_failed"


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


class StorageRegionWrong(StorageError):
    """The bucket is in another region than the description says."""

    code = "storage.region_wrong"


class StorageCredentialsMissing(StorageError):
    """No credentials for the repository could be found, so it was not even asked."""

    code = "storage.credentials_missing"
    exit_status = 2


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


class StorageDeleteDenied(StorageError):
    """These credentials may not delete there, and no lock is the reason."""

    code = "storage.delete_denied"


class StorageMfaDelete(StorageError):
    """The bucket wants the code of somebody's device for every delete of a version, so no program can delete one."""

    code = "storage.mfa_delete"


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


class SetIncomplete(LifeboatError):
    """A backup of a set is missing or could not be made, and a set that isn't whole must never look whole."""

    code = "backup.set_incomplete"


class SetNotRestorable(LifeboatError):
    """A set is brought back member by member, each by the restore of its own kind; the plan has the commands."""

    code = "restore.set"
    exit_status = 2


class BackupNotTrusted(LifeboatError):
    """The backup is not known to restore: never verified, or it failed; a restore must not find that out late."""

    code = "catalog.backup_not_trusted"
    exit_status = 2


class VerificationInvalid(LifeboatError):
    """A verification document can't be trusted; it neither makes a backup good nor bad."""

    code = "catalog.verification_invalid"


class BackupRemoved(BackupNotFound):
    """Retention removed the backup, or is removing it just now; what is left of it must not be used."""

    code = "catalog.backup_removed"


class PinInvalid(LifeboatError):
    """A pin can't be read, so nobody knows until when it holds; the backup stays."""

    code = "catalog.pin_invalid"


class RemovalInvalid(LifeboatError):
    """The note of a removal can't be read; that a copy is being removed is known all the same."""

    code = "catalog.removal_invalid"


class ParentRemoved(LifeboatError):
    """The backup that an increment builds on was removed while the increment began; it could never be restored."""

    code = "backup.parent_removed"


class ChainBroken(LifeboatError):
    """A backup that an increment builds on is not there, or what is needed of it; the increment can't be restored."""

    code = "backup.chain_broken"


# --- streams ----------------------------------------------------------------------------------------------------


class StreamError(LifeboatError):
    """A stream (WAL, oplog, append-only file) could not be stored or read; every minute of it is data at risk."""

    code = "stream.error"


class StreamSegmentRefused(StreamError):
    """A file in the spool is not what the stream may take (foreign, cut short, damaged); what follows waits."""

    code = "stream.segment_refused"


class StreamConflict(StreamError):
    """The repository holds other bytes under the name of this segment: two histories are being mixed."""

    code = "stream.conflict"


class StreamSegmentGone(StreamError):
    """A file left the spool, or changed, before it was stored; unless its source has it still, that is a hole."""

    code = "stream.segment_gone"


class StreamPartial(StreamError):
    """Something of the stream waits, or is not in every repository of the job yet."""

    code = "stream.partial"
    exit_status = 3


class StreamBlocked(StreamError):
    """The stream can't be stored until somebody looks; what waits stays in the spool, and the source keeps the rest."""

    code = "stream.blocked"


class StreamSpoolUnusable(StreamError):
    """The spool can't be read or written, so nothing of the stream is safe."""

    code = "stream.spool_unusable"


class StreamSpoolFull(StreamError):
    """The spool has reached its budget: the source keeps its own copy and waits; nothing is dropped."""

    code = "stream.spool_full"


class StreamRecordInvalid(StreamError):
    """A record of stored segments can't be trusted, so what it names does not count as stored."""

    code = "stream.record_invalid"


class StreamRecordTooNew(StreamError):
    """A record was written by a later Lifeboat in a format that this one does not know."""

    code = "stream.record_too_new"


# --- recovery ---------------------------------------------------------------------------------------------------


class RestoreError(LifeboatError):
    """Bringing a backup back failed in a way that has no better name; what was there before is there again."""

    code = "restore.error"


class RestoreTargetInvalid(RestoreError):
    """The target can't take this backup; restoring would mix or lose data. Nothing was touched."""

    code = "restore.target_invalid"
    exit_status = 2


class RestoreVersionMismatch(RestoreError):
    """The target's version can't read this backup; the server would not start or the load would break half way."""

    code = "restore.version_mismatch"
    exit_status = 2


class RestoreNoSpace(RestoreError):
    """There is not enough space for the restored data beside what is there; nothing was touched."""

    code = "restore.no_space"
    exit_status = 2


class RestoreConfirmationMissing(RestoreError):
    """The restore would replace existing data, and nobody said that this is wanted; nothing was touched."""

    code = "restore.confirmation_missing"
    exit_status = 2


class RestoreIncomplete(RestoreError):
    """What was restored is not what the backup holds; it was taken back, so that nobody works with half the data."""

    code = "restore.incomplete"


class RestoreRollBackFailed(RestoreError):
    """A restore failed and what it had done could not all be undone; the old data is still there, moved aside."""

    code = "restore.roll_back_failed"


class RedeployFailed(RestoreError):
    """The files are restored, but the command that was to be run after it failed; nothing was taken back."""

    code = "restore.redeploy_failed"


class RestoreLedgerInvalid(RestoreError):
    """The notes of an earlier restore are missing or can't be read, so it can't be resumed or rolled back by them."""

    code = "restore.ledger_invalid"
    exit_status = 2


class ServiceControlFailed(RestoreError):
    """The server could not be stopped or started; data under a running server must not be replaced."""

    code = "restore.service_control_failed"


class RecoveryTargetInvalid(RestoreError):
    """The point in time can't be meant as written (no zone, in the future, two at once); nothing was touched."""

    code = "recovery.target_invalid"
    exit_status = 2


class RecoveryTargetUnreachable(RestoreError):
    """The point in time can't be reached from what is stored; the nearest ones that can are named."""

    code = "recovery.target_unreachable"
    exit_status = 2


class RecoveryEndedEarly(RestoreError):
    """The recovery stopped before its target: acknowledged writes would be missing, so it was not taken for done."""

    code = "recovery.ended_early"


class LabelInvalid(RestoreError):
    """A recovery label has no possible name, is not there or can't be trusted; nothing was touched."""

    code = "recovery.label_invalid"
    exit_status = 2


class LabelExists(RestoreError):
    """A recovery label of that name is there already; it stays what it is."""

    code = "recovery.label_exists"
    exit_status = 2


class ScratchUnusable(LifeboatError):
    """The folder for scratch instances can't be used, so nothing can be proved by restoring it here."""

    code = "verify.scratch_unusable"
    exit_status = 2


class ScratchFailed(LifeboatError):
    """A scratch instance did not come up though its data was complete; the backup is not proved by it."""

    code = "verify.scratch_failed"


class QuestionFailed(LifeboatError):
    """A question could not be asked: its text is wrong, or what it asks about is not there."""

    code = "verify.question_failed"


class CheckFailed(LifeboatError):
    """The backup restores, but a check or a question of its verification got the wrong answer."""

    code = "verify.check_failed"


class BackupNotProved(LifeboatError):
    """A verification failed or could not be made: retention must not count the backup, and somebody must look."""

    code = "verify.not_proved"


class ContentMismatch(LifeboatError):
    """A payload is whole, but it does not hold what its manifest says: another database, another day, a part."""

    code = "verify.content_mismatch"


class HostileArchive(LifeboatError):
    """An archive has a member whose name or link leads outside of its folder; unpacking it could overwrite anything."""

    code = "verify.hostile_archive"


# --- retention --------------------------------------------------------------------------------------------------------


class RetentionRefused(LifeboatError):
    """A guard stopped retention: nothing of what it is about was removed."""

    code = "retention.refused"
    #: The word for ``--allow`` that lets it happen all the same.
    override: t.ClassVar[str] = ""


class PruneRunning(LifeboatError):
    """Another run is pruning the repository; two at once do no harm and only work twice."""

    code = "retention.prune_running"
    exit_status = 4


class NewestBackupFailed(RetentionRefused):
    """The newest backup of a series failed its verification, so the older ones are all there is (newest-failed)."""

    code = "retention.newest_failed"
    override = "newest-failed"


class NewestBackupOverdue(RetentionRefused):
    """A backup that should be there by now is not: as long as none comes, none goes (overdue)."""

    code = "retention.overdue"
    override = "overdue"


class ClockDisagrees(RetentionRefused):
    """This host's clock and the storage's disagree, so nobody knows how old anything is (clock)."""

    code = "retention.clock"
    override = "clock"


class ShareTooLarge(RetentionRefused):
    """More of a series would go at once than its limit: a mistake in the policy looks like this, too (share)."""

    code = "retention.share"
    override = "share"


class NumberTooLarge(RetentionRefused):
    """More backups of a repository would go at once than its limit (number)."""

    code = "retention.number"
    override = "number"


class PolicyEmpty(RetentionRefused):
    """A policy keeps nothing, or says nothing that its kind of backups knows (empty-policy)."""

    code = "retention.policy_empty"
    override = "empty-policy"


class EntriesUnreadable(RetentionRefused):
    """The repository holds entries that can't be read, and nobody knows what they build on (unreadable)."""

    code = "retention.unreadable"
    override = "unreadable"


class ElsewhereUnreadable(RetentionRefused):
    """Another repository can't be read, whose backups or streams may build on what would go here (elsewhere)."""

    code = "retention.elsewhere"
    override = "elsewhere"


class WindowTooShort(RetentionRefused):
    """A source could be recovered to fewer moments than its objective asks for, and than it can be now (window)."""

    code = "retention.window"
    override = "window"


class PlanInvalid(LifeboatError):
    """A retention plan can't be trusted: it is none, or it was changed after it was written."""

    code = "retention.plan_invalid"
    exit_status = 2


class PlanChanged(LifeboatError):
    """The repository is not as it was when the plan was made; nothing was removed."""

    code = "retention.plan_changed"


class PruneIncomplete(LifeboatError):
    """Several repositories could not be pruned, or not wholly; what was done stays done."""

    code = "retention.incomplete"


class PriceTableInvalid(LifeboatError):
    """A table of prices can't be read, so what a plan saves or costs could not be said."""

    code = "retention.prices_invalid"
    exit_status = 2


class CopyIncomplete(LifeboatError):
    """A repository still lacks something that it should have; one loss would now be one too many."""

    code = "copy.incomplete"
    exit_status = 3


# --- failover ---------------------------------------------------------------------------------------------------


class FailoverError(LifeboatError):
    """Something about a failover failed that has no better name."""

    code = "failover.error"


class FailoverPlanInvalid(FailoverError):
    """The plan of a failover was changed after it was made, so what would run is not what was read and confirmed."""

    code = "failover.plan_invalid"
    exit_status = 2


class FailoverRefused(FailoverError):
    """A failover may not begin or go on as things are; the message has every reason."""

    code = "failover.refused"
    exit_status = 2


class DrillRefused(FailoverError):
    """A drill can't have that place: it is production's, or somebody else's."""

    code = "drill.refused"
    exit_status = 2


class FailoverRunning(FailoverError):
    """Somebody else's failover of the service is open; two at once would end in two primaries."""

    code = "failover.running"
    exit_status = 4


class FailoverOvertaken(FailoverError):
    """Somebody else has gone on with this failover meanwhile; whoever was first with an entry of the ledger has it."""

    code = "failover.overtaken"
    exit_status = 4


class FailoverRunUnknown(FailoverError):
    """No repository that answers has a failover of that name."""

    code = "failover.run_unknown"
    exit_status = 2


class FailoverLedgerInvalid(FailoverError):
    """The ledger of a failover was changed or is not the same everywhere, so nobody knows what was done."""

    code = "failover.ledger_invalid"


class FailoverNotRecorded(FailoverError):
    """No repository took the entry; a step that nobody could know of later must not be taken."""

    code = "failover.not_recorded"


class FailoverWitnessNotProven(FailoverError):
    """The lease of the old primary does not prove that it takes no writes, so nothing is promoted because of it."""

    code = "failover.witness_not_proven"


class FailoverLeaseTaken(FailoverError):
    """A failover has taken the lease of this server: another one is, or will be, the primary; this one stops."""

    code = "failover.lease_taken"


class FailoverApprovalInvalid(FailoverError):
    """An approval can't be read, or its signature is not of that person, for that plan; it counts for nothing."""

    code = "failover.approval_invalid"
    exit_status = 2


class FailoverNotApproved(FailoverError):
    """Fewer people than the description asks for have approved the plan, so it does not run."""

    code = "failover.not_approved"
    exit_status = 2


class FailoverKeyUnusable(FailoverError):
    """Nothing could be signed with that key, or it is of nobody who may approve; nothing was stored."""

    code = "failover.key_unusable"
    exit_status = 2


# --- degraded mode ----------------------------------------------------------------------------------------------


class DegradedError(LifeboatError):
    """Something about degraded mode failed that has no better name."""

    code = "degraded.error"


class DegradedMeasureFailed(DegradedError):
    """A measure did not take effect, so the service is not relieved, or not put back, where it should be."""

    code = "degraded.measure_failed"


class DegradedChangedMeanwhile(DegradedError):
    """What a measure had switched was changed by somebody else meanwhile; putting back would undo their change."""

    code = "degraded.changed_meanwhile"
    exit_status = 2


class DegradedOvertaken(DegradedError):
    """Somebody else enters or leaves degraded mode of the service at this moment; two at once would undo each other."""

    code = "degraded.overtaken"
    exit_status = 4


class DegradedRecordInvalid(DegradedError):
    """A record of degraded mode can't be trusted, or is not the same everywhere, so nobody knows what was before."""

    code = "degraded.record_invalid"


class DegradedNotRecorded(DegradedError):
    """No repository took the record; a degraded mode that nobody knows of is forgotten."""

    code = "degraded.not_recorded"


# --- mongodb ----------------------------------------------------------------------------------------------------


class MongoError(LifeboatError):
    """MongoDB, or a reading of it, failed in a way that has no name of its own."""

    code = "mongodb.error"


class MongoUnknownHost(MongoError):
    """The name in the connection's URI leads to no address, so there is no server to ask."""

    code = "mongodb.unknown_host"
    exit_status = 2


class MongoUnreachable(MongoError):
    """No server answers at the addresses of the connection's URI."""

    code = "mongodb.unreachable"


class MongoAuthenticationFailed(MongoError):
    """The server does not accept the name and password of the connection's URI."""

    code = "mongodb.authentication_failed"
    exit_status = 2


class MongoTlsRequired(MongoError):
    """The server speaks TLS only and the connection does not."""

    code = "mongodb.tls_required"
    exit_status = 2


class MongoTlsFailed(MongoError):
    """The two sides can't agree on TLS: the server has none, or one of them does not accept the other's certificate."""

    code = "mongodb.tls_failed"
    exit_status = 2


class MongoNotAuthorised(MongoError):
    """The user may log in but lacks a role that a whole backup needs."""

    code = "mongodb.not_authorised"
    exit_status = 2


class MongoTooOld(MongoError):
    """The server is older than what the archive format and its restore tools support."""

    code = "mongodb.server_too_old"
    exit_status = 2


class MongoTooNew(MongoError):
    """The server stores this kind of data in a way that only its own tools know yet."""

    code = "mongodb.server_too_new"
    exit_status = 2


class MongoShardedCluster(MongoError):
    """A sharded cluster can't be dumped consistently through mongos or shard by shard."""

    code = "mongodb.sharded_cluster"
    exit_status = 2


class MongoDatabaseMissing(MongoError):
    """The database or collection to dump does not exist: an empty backup of it would look like a good one."""

    code = "mongodb.database_missing"
    exit_status = 2


class ReplicaSilent(LifeboatError):
    """A standby or its primary did not answer in time, so how far it is behind is not known."""

    code = "replica.silent"


class MongoNoSuitableMember(MongoError):
    """No member of the replica set may be read: each is down, too far behind or excluded by the read preference."""

    code = "mongodb.no_suitable_member"


class MongoMemberRefused(MongoError):
    """A member of a replica set can't have these votes, this priority or this place."""

    code = "mongodb.member_refused"
    exit_status = 2


class MongoFenceNotProven(MongoError):
    """After fencing, a member may still run or start again, and could become primary."""

    code = "mongodb.fence_not_proven"


class MongoPromotionRefused(MongoError):
    """The members can't or must not elect a primary; two sets of one name would make two primaries."""

    code = "mongodb.promotion_refused"
    exit_status = 2


class MongoPromotionNotReached(MongoError):
    """A primary was not elected, or a member did not catch up, in its time; whether it still will is not known."""

    code = "mongodb.promotion_not_reached"


class MongoConsistencyUnavailable(MongoError):
    """This server can't give a consistent dump of what was asked: its collections would stem from different moments."""

    code = "mongodb.consistency_unavailable"
    exit_status = 2


class MongoSnapshotWindowTooShort(MongoError):
    """The server would forget the snapshot's history before the dump is through."""

    code = "mongodb.snapshot_window_too_short"
    exit_status = 2


class MongoSnapshotTooOld(MongoError):
    """The server forgot the snapshot's history in the middle of the dump, so the rest can't be read."""

    code = "mongodb.snapshot_too_old"


class MongoCollectionChanged(MongoError):
    """A collection was dropped, renamed or made anew during the dump; a dropped one reads as empty without an error."""

    code = "mongodb.collection_changed"


class MongoOplogRolledOver(MongoError):
    """The oplog no longer holds an entry that the dump needs, so the collections can't be brought to one moment."""

    code = "mongodb.oplog_rolled_over"


class MongoOplogNotReplayable(MongoError):
    """Something happened during the dump that mongorestore can't replay from the oplog."""

    code = "mongodb.oplog_not_replayable"


class MongoNoOplog(MongoError):
    """The server is no member of a replica set, so nothing notes its writes: there is no oplog to capture."""

    code = "mongodb.no_oplog"
    exit_status = 2


class MongoSetRenamed(MongoError):
    """The server belongs to a replica set of another name than the stream: two histories would be mixed."""

    code = "mongodb.set_renamed"
    exit_status = 2


class MongoOplogMoved(MongoError):
    """The oplog changed while it was read (election, resync); what was captured before counts, the next run goes on."""

    code = "mongodb.oplog_moved"


class MongoMajorityUnavailable(MongoError):
    """The replica set does not confirm writes by a majority, so what was read could still be rolled back."""

    code = "mongodb.majority_unavailable"


class MongoArchiveInvalid(MongoError):
    """The bytes are not a whole mongodump archive: cut short, altered, or something else."""

    code = "mongodb.archive_invalid"


class MongoLoadFailed(MongoError):
    """The target refused a document, a collection or an index of the backup; what was loaded so far was taken back."""

    code = "mongodb.load_failed"


# --- postgresql -------------------------------------------------------------------------------------------------


class PostgresError(LifeboatError):
    """PostgreSQL could not do what it was asked."""

    code = "postgresql.error"


class PostgresUnreachable(PostgresError):
    """Nobody answers at the server's address, or the host's name is not known."""

    code = "postgresql.unreachable"


class PostgresNotReady(PostgresError):
    """The server is there but starting up, recovering or shutting down; trying again later may help."""

    code = "postgresql.not_ready"


class PostgresAuthenticationFailed(PostgresError):
    """The server refuses the role or its password."""

    code = "postgresql.authentication_failed"
    exit_status = 2


class PostgresHbaRefused(PostgresError):
    """No line of the server's pg_hba.conf lets this role connect from this host."""

    code = "postgresql.hba_refused"
    exit_status = 2


class PostgresTlsRequired(PostgresError):
    """The server takes this role over TLS only, and TLS is switched off in the connection."""

    code = "postgresql.tls_required"
    exit_status = 2


class PostgresTlsUnsupported(PostgresError):
    """The connection demands TLS, and the server does not offer it."""

    code = "postgresql.tls_unsupported"
    exit_status = 2


class PostgresTlsUntrusted(PostgresError):
    """The server's certificate is not the expected one; somebody else may be listening."""

    code = "postgresql.tls_untrusted"
    exit_status = 2


class PostgresDatabaseMissing(PostgresError):
    """A database that was asked for is not in the cluster, so a backup of it would be empty promises."""

    code = "postgresql.database_missing"
    exit_status = 2


class PostgresTooManyConnections(PostgresError):
    """The server has no connection left for the backup."""

    code = "postgresql.too_many_connections"


class PostgresConnectionLost(PostgresError):
    """The server ended the connection in the middle of the work; what came before is not a backup."""

    code = "postgresql.connection_lost"


class PostgresVersionUnsupported(PostgresError):
    """The server is older than the versions that Lifeboat knows how to back up safely."""

    code = "postgresql.version_unsupported"
    exit_status = 2


class PostgresPermissionDenied(PostgresError):
    """The role may not read all that belongs to the backup; a dump without it would not be whole."""

    code = "postgresql.permission_denied"
    exit_status = 2


class PostgresReplicationForbidden(PostgresError):
    """The role may not open replication connections, and a base backup needs one."""

    code = "postgresql.replication_forbidden"
    exit_status = 2


class PostgresWalSendersExhausted(PostgresError):
    """All of the server's WAL senders are taken (or none are configured); a base backup needs one."""

    code = "postgresql.wal_senders_exhausted"


class PostgresSlotsExhausted(PostgresError):
    """All of the server's replication slots are taken, and one was to keep the WAL of the base backup."""

    code = "postgresql.slots_exhausted"


class PostgresLockTimeout(PostgresError):
    """Somebody holds a lock that the dump has to wait for; waiting longer would block others behind it."""

    code = "postgresql.lock_timeout"


class PostgresStandbyConflict(PostgresError):
    """The standby cancelled the dump because replay needed to remove rows that it still reads."""

    code = "postgresql.standby_conflict"


class PostgresSnapshotLost(PostgresError):
    """The exported snapshot ended before everybody had joined it; dump and counts would not agree."""

    code = "postgresql.snapshot_lost"


class PostgresNothingSelected(PostgresError):
    """The chosen databases, schemas or tables match nothing, so the dump would be empty."""

    code = "postgresql.nothing_selected"
    exit_status = 2


class PostgresScratchTooSmall(PostgresError):
    """A parallel dump writes a folder first, and its disk has no room for it."""

    code = "postgresql.scratch_too_small"


class PostgresTablespaceInWal(PostgresError):
    """The WAL that was to be replayed makes a tablespace: replaying it would write into a folder outside the copy."""

    code = "postgresql.tablespace_in_wal"


class PostgresTablespaceUnmapped(PostgresError):
    """The backup has tablespaces, and nothing says into which folders their data is to go."""

    code = "postgresql.tablespace_unmapped"
    exit_status = 2


class PostgresTablespaceUnsupported(PostgresError):
    """The cluster has tablespaces that this server version, tool or moment can't back up in one piece."""

    code = "postgresql.tablespace_unsupported"
    exit_status = 2


class PostgresWalRemoved(PostgresError):
    """The server recycled WAL that the base backup needs before it was copied; the backup could not be started."""

    code = "postgresql.wal_removed"


class PostgresChecksumFailed(PostgresError):
    """The server found pages whose checksum is wrong: the data on its disk is damaged."""

    code = "postgresql.checksum_failed"


class PostgresArchivingOff(PostgresError):
    """WAL archiving is off though the job demands it: nothing between two base backups could be recovered."""

    code = "postgresql.archiving_off"
    exit_status = 2


class PostgresArchivingElsewhere(PostgresError):
    """The server archives its WAL to somebody else already; taking that over would break the other archive."""

    code = "postgresql.archiving_elsewhere"
    exit_status = 2


class PostgresRulesInvalid(PostgresError):
    """pg_hba.conf can't be changed or read by the server; it is as it was before."""

    code = "postgresql.rules_invalid"
    exit_status = 2


class PostgresPromotedMeanwhile(PostgresError):
    """The standby was promoted during the backup, so the backup spans two timelines and can't be used."""

    code = "postgresql.promoted_meanwhile"


class PostgresIncrementalUnsupported(PostgresError):
    """Incremental base backups came with PostgreSQL 17; older servers can't make them."""

    code = "postgresql.incremental_unsupported"
    exit_status = 2


class PostgresSummarizerOff(PostgresError):
    """Without summarize_wal the server does not know which blocks changed, so it can't make an incremental backup."""

    code = "postgresql.summarizer_off"
    exit_status = 2


class PostgresSummariesMissing(PostgresError):
    """The server's WAL summaries don't reach back to the parent backup, so the changes since then are not known."""

    code = "postgresql.summaries_missing"


class PostgresParentUnusable(PostgresError):
    """The backup that an incremental one should build on is missing, damaged or of another cluster or timeline."""

    code = "postgresql.parent_unusable"
    exit_status = 2


class PostgresStreamIncomplete(PostgresError):
    """The base backup's stream ended without its manifest or its end position, so it is not whole."""

    code = "postgresql.stream_incomplete"


class PostgresToolUnavailable(PostgresError):
    """The chosen backup tool can't make backups of this kind."""

    code = "postgresql.tool_unavailable"
    exit_status = 2


class PostgresAccountMissing(PostgresError):
    """PostgreSQL refuses to run as root, and this host has no user for it."""

    code = "postgresql.account_missing"
    exit_status = 2


class PostgresServerDied(PostgresError):
    """A server that was started ended again; its log says why."""

    code = "postgresql.server_died"


class PostgresStateNotReached(PostgresError):
    """A server that was started is neither ready nor dead after the time that it was given."""

    code = "postgresql.state_not_reached"


class PostgresBackupManifestInvalid(PostgresError):
    """The backup_manifest in a base backup is missing, cut short or changed, so its files can't be held against it."""

    code = "postgresql.backup_manifest_invalid"


class PostgresDumpInvalid(PostgresError):
    """A payload is not what pg_dump writes, so pg_restore could make nothing of it."""

    code = "postgresql.dump_invalid"


class PostgresLoadFailed(PostgresError):
    """A dump could not be loaded as a whole; what was loaded was taken back."""

    code = "postgresql.load_failed"


class PostgresExtensionMissing(PostgresError):
    """The target server does not have an extension that the dump needs; the load would break in its middle."""

    code = "postgresql.extension_missing"
    exit_status = 2


class PostgresRoleMissing(PostgresError):
    """The target server does not have the roles that own what is in the dump; the load would break in its middle."""

    code = "postgresql.role_missing"
    exit_status = 2


class PostgresChainIncomplete(PostgresError):
    """A backup that the increment builds on is missing, so nothing can be restored from it."""

    code = "postgresql.chain_incomplete"
    exit_status = 2


class PostgresDataDirectoryMounted(PostgresError):
    """The data directory is a mount point, which can't be renamed: nothing could be moved aside in one step."""

    code = "postgresql.data_directory_mounted"
    exit_status = 2


class PostgresForeignCluster(PostgresError):
    """The server is another cluster than the one whose WAL this archive holds; mixing them would ruin both."""

    code = "postgresql.foreign_cluster"
    exit_status = 2


class PostgresSpoolSettingsInvalid(PostgresError):
    """The note that tells the archive script about its spool can't be read, so the script takes no WAL."""

    code = "postgresql.spool_settings_invalid"
    exit_status = 2


class WalgConfigurationInvalid(PostgresError):
    """WAL-G would be told nothing, something that can't be read, or of two storages at once."""

    code = "postgresql.walg_configuration_invalid"
    exit_status = 2


class WalgFailed(PostgresError):
    """WAL-G ended with an error; nothing that it did is taken for done."""

    code = "postgresql.walg_failed"


class WalgAnswerUnreadable(PostgresError):
    """WAL-G ended well, and what it printed is not what is known of it."""

    code = "postgresql.walg_answer_unreadable"


class WalgArchiveBroken(PostgresError):
    """WAL between a backup and now is not in WAL-G's storage, so the backup can't become consistent or go on."""

    code = "postgresql.walg_archive_broken"


class WalgSegmentMissing(PostgresError):
    """A file is certainly not in WAL-G's storage; this was asked, not taken from a failure."""

    code = "postgresql.walg_segment_missing"


class WalgBackupMissing(PostgresError):
    """The backup that a manifest names is not in WAL-G's storage, or is another one there."""

    code = "postgresql.walg_backup_missing"


class WalgBackupPermanent(PostgresError):
    """Somebody marked the backup as permanent in WAL-G's storage; `wal-g delete target` would not care."""

    code = "postgresql.walg_backup_permanent"


class WalgRemovalUnplanned(PostgresError):
    """WAL-G would remove something that the plan keeps, as it says itself beforehand; so nothing was removed."""

    code = "postgresql.walg_removal_unplanned"


class WalgRemovalDenied(PostgresError):
    """The storage does not let WAL-G delete; the removal stays unfinished, and the next run goes on with it."""

    code = "postgresql.walg_removal_denied"


class WalgRemovalLocked(PostgresError):
    """Object lock holds what WAL-G would remove, so it stays until that ends; the next run tries again."""

    code = "postgresql.walg_removal_locked"


class PromotionRefused(PostgresError):
    """The server is no standby that may be promoted; promoting the wrong one would make two primaries."""

    code = "postgresql.promotion_refused"
    exit_status = 2


class PromotionNotReached(PostgresError):
    """A standby that was told to become a primary did not in its time; whether it still will is not known."""

    code = "postgresql.promotion_not_reached"


class FenceRefused(PostgresError):
    """The folder is not the old primary's; stopping that server would take the standbys away as well."""

    code = "postgresql.fence_refused"
    exit_status = 2


class FenceNotProven(PostgresError):
    """After fencing, something could still write to the old primary, so a second one must not begin."""

    code = "postgresql.fence_not_proven"


class FollowRefused(PostgresError):
    """A standby can't follow the new primary as it is; pointing it there would leave it standing still, unseen."""

    code = "postgresql.follow_refused"
    exit_status = 2


class FollowNotReached(PostgresError):
    """A standby was pointed at the new primary and does not receive its timeline."""

    code = "postgresql.follow_not_reached"


class StandbyRefused(PostgresError):
    """What lies in the data folder can't become a standby of that server without a loss that nobody has accepted."""

    code = "postgresql.standby_refused"
    exit_status = 2


class StandbyNotReached(PostgresError):
    """The standby was made and started, and does not receive what its primary writes."""

    code = "postgresql.standby_not_reached"


class RewindFailed(PostgresError):
    """pg_rewind ended in the middle of its work; the data folder is no cluster until it is rebuilt."""

    code = "postgresql.rewind_failed"


# --- redis ------------------------------------------------------------------------------------------------------


class RedisError(LifeboatError):
    """Redis or Valkey could not do what a backup needs."""

    code = "redis.error"


class RedisUnreachable(RedisError):
    """The server can't be reached, or the connection to it broke."""

    code = "redis.unreachable"


class RedisAuthenticationFailed(RedisError):
    """The server wants another user name or password, or any at all."""

    code = "redis.authentication_failed"
    exit_status = 2


class RedisPermissionDenied(RedisError):
    """The user's access list (ACL) lacks a command that the backup needs."""

    code = "redis.permission_denied"
    exit_status = 2


class RedisProtectedMode(RedisError):
    """The server has no password and therefore talks to its own host only."""

    code = "redis.protected_mode"
    exit_status = 2


class RedisTlsMismatch(RedisError):
    """One side speaks TLS and the other one doesn't."""

    code = "redis.tls_mismatch"
    exit_status = 2


class RedisTlsFailed(RedisError):
    """Both sides speak TLS, but one doesn't trust the other's certificate or settings."""

    code = "redis.tls_failed"
    exit_status = 2


class RedisLoading(RedisError):
    """The server is loading its data set; a snapshot taken now would hold a part of it."""

    code = "redis.loading"


class RedisCommandUnavailable(RedisError):
    """The server has no such command: it is too old, or the command was renamed or switched off."""

    code = "redis.command_unavailable"
    exit_status = 2


class RedisCommandFailed(RedisError):
    """The server refused a command for a reason that has no name of its own."""

    code = "redis.command_failed"


class RedisClusterNode(RedisError):
    """The server is one node of a cluster; a backup of it alone holds some slots and would pass for the whole."""

    code = "redis.cluster_node"
    exit_status = 2


class RedisFenceNotProven(RedisError):
    """After fencing, something could still write to the old primary, or it is not that server at all."""

    code = "redis.fence_not_proven"


class RedisPromotionRefused(RedisError):
    """The server is no replica that may be promoted; promoting the wrong one would make two primaries."""

    code = "redis.promotion_refused"
    exit_status = 2


class RedisPromotionNotReached(RedisError):
    """A server that was told to become a primary or to follow one did not in its time."""

    code = "redis.promotion_not_reached"


class RedisFollowRefused(RedisError):
    """Having this server follow that one would throw away data that may be the only copy."""

    code = "redis.follow_refused"
    exit_status = 2


class RedisReplicaIncomplete(RedisError):
    """The server is a replica in the middle of its first copy, so it does not have the data set yet."""

    code = "redis.replica_incomplete"


class RedisFilesUnreachable(RedisError):
    """The server's data files are not on this host or may not be read, and the method asked for needs them."""

    code = "redis.files_unreachable"
    exit_status = 2


class RedisAppendOnlyOff(RedisError):
    """The server keeps no append-only file, so there is nothing to take a backup of the kind aof from."""

    code = "redis.append_only_off"
    exit_status = 2


class RedisSaveFailed(RedisError):
    """A BGSAVE ended without the new file that it should have written; the file that lies there is an old one."""

    code = "redis.save_failed"


class RedisSaveTimedOut(RedisError):
    """A BGSAVE, or the job that it had to wait for, did not end in its time."""

    code = "redis.save_timed_out"


class RedisRestarted(RedisError):
    """The server was restarted while the backup was taken, so nothing that was seen before holds."""

    code = "redis.restarted"


class RedisSyncFailed(RedisError):
    """The server did not send its snapshot over the replication protocol, or cut it short."""

    code = "redis.sync_failed"


class RdbInvalid(RedisError):
    """An RDB is damaged, cut short or none at all; no server would load it whole."""

    code = "redis.rdb_invalid"


class AofInvalid(RedisError):
    """An append-only file or its manifest is damaged; a server would refuse it or lose what follows."""

    code = "redis.aof_invalid"


class AofUnstable(RedisError):
    """The set of append-only files kept changing, so no moment was found at which all of it belongs together."""

    code = "redis.aof_unstable"


class AofLogUnsupported(RedisError):
    """The server's append-only files can't be archived for recovery to a second; only snapshots are points of it."""

    code = "redis.aof_log_unsupported"
    exit_status = 2


# --- files ------------------------------------------------------------------------------------------------------


class FilesError(LifeboatError):
    """Something about a backup of files failed that has no better name."""

    code = "files.error"


class FilesMissing(FilesError):
    """A path that has to be there is not; a backup without it would pass for a whole one."""

    code = "files.missing"
    exit_status = 2


class FilesUnreadable(FilesError):
    """A file may not or can't be read; a backup without it would pass for a whole one."""

    code = "files.unreadable"
    exit_status = 2


class FilesArchiveInvalid(FilesError):
    """The tar or the list of a backup of files is damaged, or one does not fit the other."""

    code = "files.archive_invalid"


class GitRepositoryUnusable(FilesError):
    """A git repository among the paths can't be stored whole, or git may not be run on it."""

    code = "files.git_unusable"
    exit_status = 2


# --- dns --------------------------------------------------------------------------------------------------------


class DnsError(LifeboatError):
    """Something about a name that clients follow failed in a way that has no name of its own."""

    code = "dns.error"


class DnsRecordMissing(DnsError):
    """The record that is to be moved does not exist; a name that is misspelt would be made, and followed by nobody."""

    code = "dns.record_missing"
    exit_status = 2


class DnsOtherType(DnsError):
    """The name has a record of another type, which would stand beside what is described, or in its way."""

    code = "dns.other_type"
    exit_status = 2


class DnsRecordRouted(DnsError):
    """The record is an alias or has a routing policy; to write over it would take away what somebody has built."""

    code = "dns.record_routed"
    exit_status = 2


class DnsRefused(DnsError):
    """Whoever serves the zone does not let these credentials change the record, so a failover would stop there."""

    code = "dns.refused"


class DnsKeyRefused(DnsRefused):
    """The server and this host don't agree on the key or on the time, so no change can be signed."""

    code = "dns.key_refused"


class DnsUnreachable(DnsError):
    """Whoever serves the zone does not answer, so nothing can be read or changed there."""

    code = "dns.unreachable"


class DnsChangedMeanwhile(DnsError):
    """Somebody else has changed the record since it was read; what stood there must not be lost unseen."""

    code = "dns.changed_meanwhile"


class DnsNotAgreed(DnsError):
    """Not all servers give the answer that was set, so a part of the clients still goes where nobody may be."""

    code = "dns.not_agreed"


# --- notify -----------------------------------------------------------------------------------------------------


class NotifyError(LifeboatError):
    """Something about telling people failed that has no better name; no backup is touched by it."""

    code = "notify.error"


class ChannelUnknown(NotifyError):
    """No channel is called that, so nobody would have been told."""

    code = "notify.channel_unknown"
    exit_status = 2


class ChannelUnreachable(NotifyError):
    """A channel does not answer or can't be trusted; what is to be told waits and is sent again."""

    code = "notify.channel_unreachable"


class ChannelCredentialsRefused(NotifyError):
    """A channel refuses the credentials, so it tells nobody anything; what is to be told waits."""

    code = "notify.credentials_refused"


class ChannelRefused(NotifyError):
    """A channel answers and does not take what it is told; it is sent again, and given up after a week."""

    code = "notify.refused"


class ChannelsFailed(NotifyError):
    """A test message did not reach everybody."""

    code = "notify.test_failed"
