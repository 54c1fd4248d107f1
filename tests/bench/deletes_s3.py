# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletes of many objects of a bucket: ours beside bare parallel DeleteObjects and beside rclone's delete by age.

All meet the same bucket: it is filled once, and the server's files are put back before each run.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

from sandbox.s3 import S3Server

from .command import Command
from .contest import Contender, Contest, Figure
from .place import Place

_ROOT = Path(__file__).resolve().parents[2]
OBJECTS = "LIFEBOAT_BENCH_OBJECTS"
_DEFAULT_OBJECTS = 50_000
_A_FOLDER = 500
_BUCKET, _PREFIX = "bench", "production"
_BATCH = 1000
# As many as ours are on their way at the most.
_THREADS = 16
# At least 0.9 x the rate is at most so many times the time.
_MOST_OF_BARE = 1 / 0.9
_OF_RCLONE = 3.0


@dataclass(frozen=True)
class FilledServer:
    """A server with so many objects; *saved* are its files as they were then."""

    server: S3Server
    saved: Path
    keys: Path
    count: int

    def put_back(self) -> None:
        """Have all objects there again."""
        self.server.stop()
        shutil.rmtree(self.server.data_directory)
        shutil.copytree(self.saved, self.server.data_directory)
        self.server.start()


@contextlib.contextmanager
def filled_server(place: Place) -> t.Iterator[FilledServer]:
    """Objects as segments of a stream lie, five hundred in a folder, of two hundred bytes each."""
    count = int(os.environ.get(OBJECTS, _DEFAULT_OBJECTS))
    server = S3Server(directory=place.server_folder("s3"), buckets=(_BUCKET,), startup_timeout=120)
    try:
        server.start()
        keys = [
            f"shop/main/wal/7301234567890123456/segments/{number // _A_FOLDER:08d}/{number:024X}.zst"
            for number in range(count)
        ]
        place.say(f"deletes-s3: storing {count} objects")
        _store(server, keys)
        server.stop()
        saved = place.folder / "saved-s3"
        shutil.copytree(server.data_directory, saved)
        listed = place.folder / "keys-s3"
        listed.write_text("\n".join(keys), encoding="ascii")
        place.say(f"deletes-s3: {count} objects stored")
        yield FilledServer(server=server, saved=saved, keys=listed, count=count)
    finally:
        server.discard()
        shutil.rmtree(place.folder / "saved-s3", ignore_errors=True)


def _store(server: S3Server, keys: t.Sequence[str]) -> None:
    client = server.client()
    data = bytes(200)

    def store(key: str) -> None:
        client.put_object(Bucket=_BUCKET, Key=f"{_PREFIX}/{key}", Body=data)

    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        for _done in pool.map(store, keys):
            pass
    client.close()


@contextlib.contextmanager
def deletes_s3_contest(filled: FilledServer, place: Place) -> t.Iterator[Contest]:
    """Whole processes, their start included. The keys come from a file, as an applier has them from its plan.

    Nobody warms up: each meets a server that has just started, with its files put back.
    """
    del place
    contenders = [
        Contender("ours", "Lifeboat, the keys are known", lambda target: _python(filled, target, "ours"), warm=False),
        Contender(
            "bare", f"DeleteObjects, {_THREADS} threads", lambda target: _python(filled, target, "bare"), warm=False
        ),
        Contender(
            "listed", "Lifeboat, list by age and delete", lambda target: _python(filled, target, "listed"), warm=False
        ),
    ]
    missing = []
    if shutil.which("rclone") is None:
        missing.append("rclone isn't installed (tools/setup.sh bench), so its figure is not measured.")
    else:
        contenders.append(
            Contender("rclone", "rclone delete --min-age", lambda target: _rclone(filled, target), warm=False)
        )
    yield Contest(
        name="deletes-s3",
        title="Deletes of objects in a bucket",
        data=f"{filled.count} objects of 200 bytes in folders of {_A_FOLDER}",
        data_bytes=filled.count,
        contenders=tuple(contenders),
        figures=(
            Figure("at least 0.9 x the rate of bare parallel DeleteObjects", "ours", "bare", at_most=_MOST_OF_BARE),
            Figure("at least 3 x rclone's delete by age, listing included", "listed", "rclone", at_least=_OF_RCLONE),
        ),
        limits=(),
        server_pids=lambda: [filled.server.pid] if filled.server.is_running else [],
        settle=lambda: None,
        missing=tuple(missing),
        least_bytes=10_000,
    )


def _python(filled: FilledServer, target: Path, way: str) -> Command:
    filled.put_back()
    server = filled.server
    request = {"way": way, "endpoint_url": server.endpoint_url, "region": server.region, "keys": str(filled.keys)}
    return Command(
        argv=(sys.executable, "-m", "tests.bench.deletes_s3", json.dumps({**request, "count": filled.count})),
        target=target,
        environment={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tools' / 'typing'}", **_credentials(server)},
    )


def _rclone(filled: FilledServer, target: Path) -> Command:
    filled.put_back()
    server = filled.server
    place = f"bench:{_BUCKET}/{_PREFIX}"
    return Command(
        argv=("rclone", "delete", "--min-age", "1s", place),
        target=target,
        environment={
            "RCLONE_CONFIG": str(target.parent / "none"),
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
            "RCLONE_CONFIG_BENCH_ENDPOINT": server.endpoint_url,
            "RCLONE_CONFIG_BENCH_REGION": server.region,
            **_credentials(server),
        },
    )


def _credentials(server: S3Server) -> dict[str, str]:
    who = server.administrator
    return {"AWS_ACCESS_KEY_ID": who.access_key, "AWS_SECRET_ACCESS_KEY": who.secret_key}


def main() -> int:
    """Delete them all, in the way that is asked for; an error when one is left."""
    asked = json.loads(sys.argv[1])
    ways: dict[str, t.Callable[[dict[str, t.Any]], int]] = {"ours": _ours, "listed": _listed, "bare": _bare}
    deleted = ways[asked["way"]](asked)
    print(f"{deleted} deleted")
    return 0 if deleted == asked["count"] else 1


def _ours(asked: dict[str, t.Any]) -> int:
    keys = Path(asked["keys"]).read_text(encoding="ascii").split("\n")
    return len(_storage(asked).delete(keys).deleted)


def _listed(asked: dict[str, t.Any]) -> int:
    import datetime

    from lifeboat.core.clock import SystemClock

    storage = _storage(asked)
    old = SystemClock().now() - datetime.timedelta(seconds=1)
    return len(storage.delete([found.key for found in storage.list() if found.modified < old]).deleted)


def _storage(asked: dict[str, t.Any]) -> t.Any:
    from lifeboat.core.clock import SystemClock
    from lifeboat.core.runner import SubprocessRunner
    from lifeboat.storage.registry import open_storage

    description = {
        "type": "s3",
        "bucket": _BUCKET,
        "prefix": _PREFIX,
        "endpoint_url": asked["endpoint_url"],
        "region": asked["region"],
    }
    return open_storage(description, name="bench", clock=SystemClock(), runner=SubprocessRunner())


def _bare(asked: dict[str, t.Any]) -> int:
    """What one writes in an hour: every answer is looked at, and that is all."""
    import boto3
    from botocore.config import Config

    keys = Path(asked["keys"]).read_text(encoding="ascii").split("\n")
    client = boto3.client(
        "s3",
        endpoint_url=asked["endpoint_url"],
        region_name=asked["region"],
        config=Config(max_pool_connections=_THREADS, s3={"addressing_style": "path"}),
    )

    def delete(start: int) -> int:
        objects = [{"Key": f"{_PREFIX}/{key}"} for key in keys[start : start + _BATCH]]
        answer = client.delete_objects(Bucket=_BUCKET, Delete={"Objects": objects})
        if answer.get("Errors"):
            raise RuntimeError(answer["Errors"][0])
        return len(objects)

    with concurrent.futures.ThreadPoolExecutor(max_workers=_THREADS) as pool:
        return sum(pool.map(delete, range(0, len(keys), _BATCH)))


if __name__ == "__main__":
    sys.exit(main())
