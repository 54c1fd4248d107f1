# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same retention where the genuine WAL-G keeps its data in a bucket: with versions, under lock, denied."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import shutil
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from sandbox.postgresql import PostgreSQLServer
from sandbox.s3 import S3Identity
from tests.integration.postgresql.physical import Physical
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.test_walg_prune import PruneResult, Site, own_folder, pruned_text
from tests.integration.postgresql.wal_rig import own
from tests.integration.postgresql.walg_rig import WalgRig, genuine_walg
from tests.support.policy_server import PolicyServer

pytestmark = pytest.mark.interop

BUCKET, VERSIONED = "walg", "walg-versions"
DAY = datetime.timedelta(days=1)
NO_DELETE = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]},
        {"Effect": "Deny", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"], "Resource": "arn:aws:s3:::*"},
    ],
}


@dataclass
class S3Rig(WalgRig):
    """A rig whose storage is a bucket; the keys are in a file beside the configuration."""

    s3: PolicyServer
    bucket: str

    @functools.cached_property
    def client(self) -> t.Any:
        return self.s3.client()

    @property
    def keys(self) -> Path:
        return self.folder / "walg.env"

    @property
    def options(self) -> dict[str, t.Any]:
        return {**super().options, "environment_file": str(self.keys)}

    @property
    def place(self) -> dict[str, t.Any]:
        return {**super().place, "environment_file": str(self.keys)}

    def environment(self) -> dict[str, str]:
        """The keys, for the program by hand."""
        return dict(line.split("=", 1) for line in self.keys.read_text(encoding="utf-8").splitlines())

    def use(self, identity: S3Identity) -> None:
        """From now on WAL-G is that user, for what Lifeboat does."""
        lines = (f"AWS_ACCESS_KEY_ID={identity.access_key}", f"AWS_SECRET_ACCESS_KEY={identity.secret_key}")
        self.keys.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.keys.chmod(0o600)

    def objects(self) -> list[str]:
        """All keys below WAL-G's prefix."""
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix="main/").get("Contents", ())
        return [one["Key"][len("main/") :] for one in found]

    def versions(self, prefix: str, *, kind: str = "Versions") -> list[dict[str, t.Any]]:
        """The versions below it, or the DeleteMarkers; of keys that are deleted, too."""
        found = self.client.list_object_versions(Bucket=self.bucket, Prefix=f"main/{prefix}")
        return list(found.get(kind, ()))

    def unlock(self, prefix: str) -> None:
        """The locks of all below it end in this moment, by somebody who may."""
        until = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(seconds=1)
        for version in self.versions(prefix):
            self.client.put_object_retention(
                Bucket=self.bucket,
                Key=version["Key"],
                VersionId=version["VersionId"],
                Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
                BypassGovernanceRetention=True,
            )
        time.sleep(2.1)

    def segment(self) -> str:
        self.server.query("CREATE TABLE IF NOT EXISTS ledger (number serial PRIMARY KEY)")
        self.server.query("INSERT INTO ledger DEFAULT VALUES")
        name = str(self.server.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0])
        deadline = time.monotonic() + 60
        while f"wal_005/{name}.lz4" not in self.objects():
            assert time.monotonic() < deadline, self.server.log_file.read_text()[-3000:]
            time.sleep(0.1)
        return name


class S3Site(Site):
    """Looks into the bucket."""

    @property
    def s3(self) -> S3Rig:
        assert isinstance(self.rig, S3Rig)
        return self.rig

    @property
    def place(self) -> str:
        return f"s3://{self.s3.bucket}/main"

    def there(self) -> set[str]:
        names = [one.split("/")[1] for one in self.s3.objects() if one.startswith("basebackups_005/")]
        return {one.replace("_backup_stop_sentinel.json", "") for one in names}

    def wal(self) -> list[str]:
        names = [one.rpartition("/")[2] for one in self.s3.objects() if one.startswith("wal_005/")]
        return sorted(one[:24] for one in names if one[24:] == ".lz4")


@pytest.fixture
def site() -> t.Iterator[S3Site]:
    with s3_site(BUCKET) as made:
        yield made


@pytest.fixture
def versioned() -> t.Iterator[S3Site]:
    with s3_site(VERSIONED) as made:
        yield made


@contextlib.contextmanager
def s3_site(bucket: str) -> t.Iterator[S3Site]:
    program = genuine_walg()
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    folder.chmod(0o755)
    try:
        policies = {"no-delete": json.dumps(NO_DELETE)}
        with PolicyServer(policies, buckets=(BUCKET,), locked_buckets=(VERSIONED,)) as s3:
            settings = {
                "WALG_S3_PREFIX": f"s3://{bucket}/main",
                "AWS_ENDPOINT": s3.endpoint_url,
                "AWS_S3_FORCE_PATH_STYLE": "true",
                "AWS_REGION": s3.region,
                "WALG_S3_MAX_RETRIES": "2",
            }
            (folder / "walg.json").write_text(json.dumps(settings))
            keys = {
                "AWS_ACCESS_KEY_ID": s3.administrator.access_key,
                "AWS_SECRET_ACCESS_KEY": s3.administrator.secret_key,
            }
            archiver = folder / "archiver.json"
            archiver.write_text(json.dumps({**settings, **keys}))
            archiver.chmod(0o600)
            own(archiver)
            archive = f'{program} --config {archiver} wal-push "%p"'
            with PostgreSQLServer(password=SECRET, settings={"archive_command": archive}) as server:
                (folder / "p" / "repository").mkdir(parents=True)
                rig = S3Rig(
                    server=server,
                    program=program,
                    folder=folder,
                    physical=Physical(server=server, folder=folder / "p"),
                    s3=s3,
                    bucket=bucket,
                )
                rig.use(s3.administrator)
                rig.segment()
                yield S3Site(rig=rig, places={"it": rig.physical.repository})
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_in_a_bucket_what_may_not_be_deleted_stays_unfinished_and_then_all_of_it_goes(site: S3Site) -> None:
    names = site.make(0, 3, 0)
    rig = site.s3
    before = rig.objects()
    nobody = rig.s3.users["no-delete"]
    rig.use(nobody)
    denied = site.prune(count=1)
    assert isinstance(denied.error, errors.WalgRemovalDenied), pruned_text(denied)
    assert "s3:DeleteObject" in denied.error.hint
    assert nobody.secret_key not in pruned_text(denied)
    assert denied.repositories[0].deferred == {}, "no lock stands against it"
    assert rig.objects() == before
    assert site.unfinished() == [site.made[1]]
    assert site.listed() == [site.made[0], site.made[2]]
    rig.use(rig.s3.administrator)
    result = site.prune(count=1)
    assert result.error is None, pruned_text(result)
    assert site.there() == {names[2]}
    assert site.wal()[0] == names[2][5:29]
    assert site.listed() == [site.made[2]]


@pytest.mark.slow
def test_in_a_bucket_what_is_left_of_one_without_its_sentinel_goes(site: S3Site) -> None:
    names = site.make(0, 0)
    rig = site.s3
    rig.client.delete_object(Bucket=BUCKET, Key=f"main/basebackups_005/{names[0]}_backup_stop_sentinel.json")
    assert names[0] in site.there()
    result = site.prune(count=1)
    assert result.error is None, pruned_text(result)
    assert site.there() == {names[1]}
    assert site.wal()[0] == names[1][5:29]


@pytest.mark.slow
def test_in_a_bucket_with_versions_it_is_said_what_stays_hidden_and_all_of_it_goes_by_choice(versioned: S3Site) -> None:
    site = versioned
    names = site.make(0, 0, 0, 0)
    rig = site.s3
    # WAL-G itself removes every version where it may ask whether there are any.
    gone = site.prune(count=3)
    assert gone.error is None, pruned_text(gone)
    assert rig.versions(f"basebackups_005/{names[0]}") == []
    assert gone.repositories[0].vendor_rests == {}

    hides = {**site.rig.place, "environment": {"S3_ENABLE_VERSIONING": "disabled"}}
    hidden = site.prune(site.request(walg=hides, count=2))
    assert hidden.error is None, pruned_text(hidden)
    assert site.there() == set(names[2:])
    kept = rig.versions(f"basebackups_005/{names[1]}")
    old_wal = [one for one in rig.versions("wal_005/") if one["Key"][len("main/wal_005/") :] < names[2][5:]]
    rest = hidden.repositories[0].vendor_rests[site.place]
    assert kept
    assert old_wal
    assert rest.hidden == len(kept) + len(old_wal)
    assert rest.hidden_bytes == sum(one["Size"] for one in [*kept, *old_wal])
    assert f"{site.place} still keeps {rest.hidden} old versions" in pruned_text(hidden)
    assert hidden.as_dicts()[0]["vendor_rests"][site.place]["hidden_versions"] == rest.hidden

    everything = site.prune(replace(site.request(walg=hides, count=1), versions="all"))
    assert everything.error is None, pruned_text(everything)
    assert everything.repositories[0].vendor_rests == {}
    for kind in ("Versions", "DeleteMarkers"):
        assert rig.versions(f"basebackups_005/{names[2]}", kind=kind) == []
        assert all(one["Key"][len("main/wal_005/") :] >= names[3][5:] for one in rig.versions("wal_005/", kind=kind))
    assert rig.versions(f"basebackups_005/{names[1]}") == kept, "of what this run did not remove nothing is touched"
    assert site.wal()[0] == names[3][5:29]
    rig.run("backup-fetch", str(own_folder(rig.folder / "fetched")), names[3], **rig.environment())


@pytest.mark.slow
def test_what_is_under_object_lock_is_deferred_with_its_date_and_goes_when_that_ends(versioned: S3Site) -> None:
    site = versioned
    rig = site.s3
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    rig.client.put_object_lock_configuration(Bucket=rig.bucket, ObjectLockConfiguration=lock)
    names = site.make(0, 0)
    before = rig.versions("")

    def defers(result: PruneResult) -> None:
        """Nothing is wrong, nothing is freed, and the date is told."""
        assert result.error is None, pruned_text(result)
        (repository,) = result.repositories
        assert list(repository.deferred) == [site.made[0]]
        until = repository.deferred[site.made[0]]
        assert until is not None
        assert DAY < until - datetime.datetime.now(tz=datetime.UTC) < 2 * DAY
        assert f"{until:%Y-%m-%d %H:%M}" in pruned_text(result)
        assert repository.vendor_logs == {}
        assert repository.backups.removed == ()

    # Whole, and locked: not even marked.
    for _time in range(2):
        defers(site.prune(count=1))
        assert site.listed() == site.made
        assert site.unfinished() == []
        assert rig.versions("") == before

    # A part goes, then a lock stands against the rest: unfinished, and nothing of it is only hidden.
    rig.unlock(f"basebackups_005/{names[0]}_backup_stop_sentinel.json")
    for _time in range(2):
        defers(site.prune(count=1))
        assert site.listed() == site.made[1:]
        assert site.unfinished() == [site.made[0]]
        assert rig.versions("", kind="DeleteMarkers") == []
    assert rig.versions(f"basebackups_005/{names[0]}/")

    # Its WAL is younger than the backup: it holds nothing up.
    rig.unlock(f"basebackups_005/{names[0]}/")
    result = site.prune(replace(site.request(count=1), versions="all"))
    assert result.error is None, pruned_text(result)
    assert result.repositories[0].deferred == {}
    assert site.unfinished() == []
    assert rig.versions(f"basebackups_005/{names[0]}") == []
    rest = result.repositories[0].vendor_rests[site.place]
    assert rest.locked > 1
    assert rest.until is not None
    assert "under lock until" in pruned_text(result)
    assert site.wal()[0] < names[0][5:29]
