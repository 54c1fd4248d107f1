# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same retention where the genuine WAL-G keeps its data in a bucket of a real S3 server."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from sandbox.postgresql import PostgreSQLServer
from sandbox.s3 import S3Identity, S3Server
from tests.integration.postgresql.physical import Physical
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.test_walg_prune import Site, pruned_text
from tests.integration.postgresql.wal_rig import own
from tests.integration.postgresql.walg_rig import WalgRig, genuine_walg

pytestmark = pytest.mark.interop

BUCKET = "walg"
READER = S3Identity.restricted("reader", read=(BUCKET,))


@dataclass
class S3Rig(WalgRig):
    """A rig whose storage is a bucket; the keys are in a file beside the configuration."""

    s3: S3Server | None = None

    @property
    def client(self) -> t.Any:
        assert self.s3 is not None
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

    def use(self, identity: S3Identity) -> None:
        """From now on WAL-G is that user, for what Lifeboat does."""
        lines = (f"AWS_ACCESS_KEY_ID={identity.access_key}", f"AWS_SECRET_ACCESS_KEY={identity.secret_key}")
        self.keys.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.keys.chmod(0o600)

    def objects(self) -> list[str]:
        """All keys below WAL-G's prefix."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix="main/").get("Contents", ())
        return [one["Key"][len("main/") :] for one in found]

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

    def there(self) -> set[str]:
        rig = self.rig
        assert isinstance(rig, S3Rig)
        names = [one.split("/")[1] for one in rig.objects() if one.startswith("basebackups_005/")]
        return {one.replace("_backup_stop_sentinel.json", "") for one in names}

    def wal(self) -> list[str]:
        rig = self.rig
        assert isinstance(rig, S3Rig)
        names = [one.rpartition("/")[2] for one in rig.objects() if one.startswith("wal_005/")]
        return sorted(one[:24] for one in names if one[24:] == ".lz4")


@pytest.fixture
def site() -> t.Iterator[S3Site]:
    program = genuine_walg()
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    folder.chmod(0o755)
    try:
        with S3Server(buckets=(BUCKET,), identities=(READER,)) as s3:
            settings = {
                "WALG_S3_PREFIX": f"s3://{BUCKET}/main",
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
                )
                rig.use(s3.administrator)
                rig.segment()
                yield S3Site(rig=rig, places={"it": rig.physical.repository})
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_in_a_bucket_what_may_not_be_deleted_stays_unfinished_and_then_all_of_it_goes(site: S3Site) -> None:
    names = site.make(0, 3, 0)
    rig = site.rig
    assert isinstance(rig, S3Rig)
    assert rig.s3 is not None
    before = rig.objects()
    rig.use(READER)
    denied = site.prune(count=1)
    assert isinstance(denied.error, errors.WalgRemovalDenied), pruned_text(denied)
    assert READER.secret_key not in pruned_text(denied)
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
    rig = site.rig
    assert isinstance(rig, S3Rig)
    rig.client.delete_object(Bucket=BUCKET, Key=f"main/basebackups_005/{names[0]}_backup_stop_sentinel.json")
    assert names[0] in site.there()
    result = site.prune(count=1)
    assert result.error is None, pruned_text(result)
    assert site.there() == {names[1]}
    assert site.wal()[0] == names[1][5:29]
