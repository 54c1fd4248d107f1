# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing and reading take the same memory whatever the object's size. Measured in a process of its own."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest

from tests.support.children import ENGINE, environment, python

if sys.version_info < (3, 11):
    pytest.skip("the sandbox's servers need Python 3.11", allow_module_level=True)

from sandbox.s3 import S3Server

pytestmark = pytest.mark.slow

MIB = 1024 * 1024

STREAM = f"""
import json, pathlib, sys
from {ENGINE}.core.clock import SystemClock
from {ENGINE}.core.runner import SubprocessRunner
from {ENGINE}.storage.registry import open_storage

def peak():
    # Not getrusage(): its figure begins with that of the process that started this one.
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

storage = open_storage(json.loads(sys.argv[1]), name="it", clock=SystemClock(), runner=SubprocessRunner())
storage.check()  # the libraries are loaded, a connection was made
baseline = peak()
# As a pipeline does: one buffer, filled again and again.
buffer = bytearray(1024 * 1024)
writer = storage.writer("big")
for number in range(int(sys.argv[2])):
    buffer[:8] = number.to_bytes(8, "big")
    writer.write(memoryview(buffer))
written = writer.commit().size
stored = peak()
length = sum(len(piece) for piece in storage.read("big"))
print(json.dumps({{"baseline": baseline, "stored": stored, "read": peak(), "written": written, "length": length}}))
"""


def measure(description: dict[str, t.Any], *, mib: int, **variables: str) -> dict[str, int]:
    ended = subprocess.run(
        python(STREAM, json.dumps(description), str(mib)),
        stdout=subprocess.PIPE,
        env=environment(**variables),
        check=True,
        timeout=240,
    )
    figures: dict[str, int] = json.loads(ended.stdout)
    print({name: f"{value / MIB:.0f} MiB" for name, value in figures.items()})
    assert figures["written"] == figures["length"] == mib * MIB
    return figures


def test_a_folder_takes_a_stream_in_constant_memory(tmp_path: pathlib.Path) -> None:
    figures = measure({"type": "file", "path": str(tmp_path)}, mib=300)
    assert figures["stored"] - figures["baseline"] < 8 * MIB
    assert figures["read"] - figures["baseline"] < 8 * MIB


def test_a_bucket_takes_a_stream_in_constant_memory() -> None:
    with S3Server(buckets=("lifeboat",)) as server:
        figures = measure(
            {
                "type": "s3",
                "bucket": "lifeboat",
                "endpoint_url": server.endpoint_url,
                "region": server.region,
                "credentials": {"env": "TESTS"},
            },
            mib=300,
            TESTS_ACCESS_KEY_ID=server.administrator.access_key,
            TESTS_SECRET_ACCESS_KEY=server.administrator.secret_key,
        )
    # Two parts of 8 MiB on their way and one being filled are 24 MiB; the rest is what botocore reads of each.
    assert figures["stored"] - figures["baseline"] < 56 * MIB
    assert figures["read"] - figures["baseline"] < 56 * MIB
