# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the newest backup of each series in the sandbox's repositories, and how to restore it without Lifeboat.

It reads what anybody could read: the manifests, the RESTORE.md files, and the listing of the bucket.

    python tools/demo_summary.py [folder of the sandbox, default .sandbox]
"""

from __future__ import annotations

import datetime
import json
import pathlib
import sys
import typing as t


def size(count: int) -> str:
    """Bytes as a person says them: ``19.8 MB``."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def seconds(manifest: t.Mapping[str, t.Any]) -> float:
    """How long the backup took."""
    started, finished = (datetime.datetime.fromisoformat(manifest[name]) for name in ("started", "finished"))
    return (finished - started).total_seconds()


def newest_backups(repository: pathlib.Path) -> list[pathlib.Path]:
    """The folder of the newest whole backup (it has a manifest) of each series ``service/source/kind``."""
    newest: dict[pathlib.Path, pathlib.Path] = {}
    for manifest in sorted(repository.glob("*/*/*/*/manifest.json")):
        newest[manifest.parents[1]] = manifest.parent
    return list(newest.values())


def restore_command(folder: pathlib.Path, payload: str) -> str:
    """The line of RESTORE.md that turns *payload* back into data."""
    for line in (folder / "RESTORE.md").read_text(encoding="utf-8").splitlines():
        if payload in line and "zstd -d" in line:
            return line.strip()
    raise SystemExit(f"{folder}/RESTORE.md has no command for {payload}")


def stored_offsite(s3: t.Mapping[str, t.Any]) -> set[str]:
    """Names of all objects in the sandbox's bucket."""
    import boto3

    lines = pathlib.Path(s3["credentials_file"]).read_text(encoding="utf-8").splitlines()
    given = dict(line.removeprefix("export ").split("=", maxsplit=1) for line in lines if "=" in line)
    client = boto3.client(
        "s3",
        endpoint_url=s3["endpoint_url"],
        region_name=s3["region"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"].strip("'\""),
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"].strip("'\""),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=s3["bucket"])
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def main(arguments: t.Sequence[str]) -> int:
    """Print the summary; 0 when every backup is in both repositories."""
    sandbox = pathlib.Path(arguments[0] if arguments else ".sandbox")
    description = json.loads((sandbox / "sandbox.json").read_text(encoding="utf-8"))
    objects = stored_offsite(description["s3"])
    folders = newest_backups(sandbox / "backups")
    missing = 0
    for folder in folders:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        payloads = manifest["payloads"]
        key = folder.relative_to(sandbox / "backups").as_posix()
        plain, stored = (sum(payload[name] or 0 for payload in payloads) for name in ("plain_size", "size"))
        is_offsite = f"{key}/manifest.json" in objects
        missing += not is_offsite
        largest = max(payloads, key=lambda payload: t.cast("int", payload["size"]))
        print(f"{key.rpartition('/')[0]}: {size(plain)} stored as {size(stored)} in {seconds(manifest):.1f} s")
        print(f"  local    {folder}/")
        print(f"  offsite  s3://{description['s3']['bucket']}/{key}/{'' if is_offsite else '   MISSING'}")
        print(f"  restore  {restore_command(folder, largest['name'])}")
    print("\nEvery step of a restore, with stock tools only, is in the RESTORE.md beside each backup. First:")
    print(f"  export AGE_IDENTITY={description['age']['identity_file']}")
    if missing or not folders:
        print(f"\n{missing} backups are missing offsite." if folders else "\nThere is no backup.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
