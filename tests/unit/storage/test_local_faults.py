# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository made of files in trouble: a full disk, a read-only one, no permission, a writer killed at every step.

The disks are real ones (tmpfs in a mount namespace of their own, gone with the process), the users too.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.children import ENGINE, child, environment, line_of, python

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and changing the user need root")

PRELUDE = f"""
import json, os, sys
from {ENGINE}.core.errors import LifeboatError
from {ENGINE}.storage.local import LocalStorage
from {ENGINE}.storage.faulty import FaultPoint, FaultyStorage

def tell(call):
    try:
        call()
    except LifeboatError as error:
        return error.as_dict()
    return {{"code": "", "message": "", "hint": "", "details": {{}}}}

def write(storage, key, size, **options):
    writer = storage.writer(key, **options)
    try:
        for _piece in range(size // 65536):
            writer.write(bytes(65536))
        writer.commit()
    finally:
        writer.abort()
"""


def run(code: str, *arguments: str, namespace: bool = False) -> t.Any:
    """What the child printed, as JSON values. With *namespace* its mounts are its own."""
    command = python(PRELUDE + code, *arguments)
    if namespace:
        command = ["unshare", "--mount", "--propagation", "private", *command]
    ended = subprocess.run(command, stdout=subprocess.PIPE, env=environment(), timeout=60, check=True)
    return json.loads(ended.stdout)


@pytest.fixture
def folder() -> t.Iterator[pathlib.Path]:
    """A folder that every user can reach (pytest's own is root's)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


# --- no space --------------------------------------------------------------------------------------------------------

MOUNT = """
import subprocess
root = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", sys.argv[2], "tmpfs", root], check=True)
storage = LocalStorage(path=root)
"""


@ROOT_ONLY
def test_a_full_disk_is_named_with_its_figures_and_is_left_as_it_was(folder: pathlib.Path) -> None:
    found = run(
        MOUNT
        + """
storage.put("small", bytes(65536))
before = storage.free_bytes()
error = tell(lambda: write(storage, "a/big", 8 * 1024 * 1024, expected_bytes=8 * 1024 * 1024))
print(json.dumps({"error": error, "before": before, "after": storage.free_bytes(),
    "keys": [info.key for info in storage.list()], "unfinished": [u.key for u in storage.unfinished()],
    "folders": list(storage.list_folders()), "small": len(storage.get("small"))}))
""",
        str(folder),
        "size=4m",
        namespace=True,
    )
    assert found["error"]["code"] == "storage.no_space"
    assert "df -h" in found["error"]["hint"]
    details = found["error"]["details"]
    # What is free once the part that was written is gone, against the size of the whole.
    assert details["free_bytes"] == found["before"]
    assert details["needed_bytes"] == 8 * 1024 * 1024
    assert found["after"] == found["before"]
    assert (found["keys"], found["unfinished"], found["folders"]) == (["small"], [], [])


@ROOT_ONLY
def test_a_disk_without_inodes_is_full_too(folder: pathlib.Path) -> None:
    error = run(
        MOUNT
        + """
for number in range(20):
    error = tell(lambda: storage.put(f"a/{number}", b"x"))
print(json.dumps(error))
""",
        str(folder),
        "size=4m,nr_inodes=10",
        namespace=True,
    )
    assert error["code"] == "storage.no_space"
    assert "df -i" in error["hint"]


@ROOT_ONLY
def test_check_finds_a_full_disk(folder: pathlib.Path) -> None:
    error = run(
        MOUNT
        + """
try:
    with open(os.path.join(root, "filler"), "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
except OSError:
    pass
print(json.dumps(tell(storage.check)))
""",
        str(folder),
        "size=2m",
        namespace=True,
    )
    assert error["code"] == "storage.no_space"


def test_a_limit_on_the_size_of_files_is_no_space(tmp_path: pathlib.Path) -> None:
    found = run(
        """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, 1024 * 1024))
storage = LocalStorage(path=sys.argv[1])
error = tell(lambda: write(storage, "a/big", 2 * 1024 * 1024))
print(json.dumps({"error": error, "left": [*storage.list_folders(), *(u.key for u in storage.unfinished())]}))
""",
        str(tmp_path),
    )
    assert found["error"]["code"] == "storage.no_space"
    assert "ulimit -f" in found["error"]["hint"]
    assert found["left"] == []


# --- no permission ---------------------------------------------------------------------------------------------------


@ROOT_ONLY
def test_a_read_only_disk_is_refused_by_its_name(folder: pathlib.Path) -> None:
    found = run(
        MOUNT
        + """
storage.put("a/b", b"x")
subprocess.run(["mount", "-o", "remount,ro", root], check=True)
report = storage.delete(["a/b"])
print(json.dumps({"check": tell(storage.check), "put": tell(lambda: storage.put("a/c", b"x")),
    "refused": dict(report.refused), "deleted": report.deleted, "data": storage.get("a/b").decode()}))
""",
        str(folder),
        "size=2m",
        namespace=True,
    )
    for error in (found["check"], found["put"]):
        assert error["code"] == "storage.forbidden"
        assert "read-only" in error["hint"]
    assert list(found["refused"]) == ["a/b"]
    assert (found["deleted"], found["data"]) == ([], "x")


AS_NOBODY = """
storage = LocalStorage(path=sys.argv[1])
storage.list()
os.setgid(65534)
os.setuid(65534)
"""


@ROOT_ONLY
def test_who_may_not_write_is_told_who_he_is_and_where(folder: pathlib.Path) -> None:
    found = run(
        AS_NOBODY
        + """
print(json.dumps([tell(storage.check), tell(lambda: storage.put("a/b", b"x")), tell(lambda: storage.writer("c"))]))
""",
        str(folder),
    )
    for error in found:
        assert error["code"] == "storage.forbidden"
        assert "nobody (uid 65534)" in error["message"]
        assert str(folder) in error["message"]
        assert f"namei -l {folder}" in error["hint"]
    assert list(folder.iterdir()) == []


@ROOT_ONLY
def test_who_may_not_read_is_refused_and_not_told_that_there_is_nothing(folder: pathlib.Path) -> None:
    LocalStorage(path=str(folder)).put("a/b", b"x")
    found = run(
        AS_NOBODY
        + """
print(json.dumps([tell(lambda: storage.get("a/b")), tell(lambda: storage.stat("a/b")),
    tell(lambda: list(storage.list())), tell(lambda: list(storage.list_folders("a/"))),
    tell(lambda: list(storage.unfinished()))]))
""",
        str(folder),
    )
    assert [error["code"] for error in found] == ["storage.forbidden"] * 5


@ROOT_ONLY
def test_delete_says_which_it_may_not(folder: pathlib.Path) -> None:
    storage = LocalStorage(path=str(folder), folder_mode=0o755, file_mode=0o644)
    storage.put("theirs/b", b"x")
    storage.put("ours/b", b"x")
    os.chown(folder / "ours", 65534, 65534)
    found = run(
        AS_NOBODY
        + """
report = storage.delete(["theirs/b", "ours/b", "missing"])
print(json.dumps({"deleted": report.deleted, "refused": dict(report.refused)}))
""",
        str(folder),
    )
    assert found["deleted"] == ["ours/b", "missing"]
    assert list(found["refused"]) == ["theirs/b"]
    assert "nobody (uid 65534)" in found["refused"]["theirs/b"]
    assert [info.key for info in storage.list()] == ["theirs/b"]


# --- killed ----------------------------------------------------------------------------------------------------------


def test_a_writer_that_is_killed_leaves_nothing_to_see(tmp_path: pathlib.Path) -> None:
    storage = LocalStorage(path=str(tmp_path))
    code = """
storage = LocalStorage(path=sys.argv[1])
writer = storage.writer("family/main/dump")
for _piece in range(80):
    writer.write(bytes(65536))
print("written", flush=True)
sys.stdin.read()
"""
    with child(PRELUDE + code, str(tmp_path)) as process:
        assert line_of(process) == "written"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(storage.list()) == []
    assert list(storage.list_folders()) == []
    (upload,) = storage.unfinished()
    assert upload.key == "family/main/dump"
    storage.abort_unfinished(upload)
    assert list(tmp_path.iterdir()) == []


# Ends the process before, or right after, its n-th call of the system that changes something.
KILL_AT = """
import signal
number, when, replace = int(sys.argv[2]), sys.argv[3], sys.argv[4] == "replace"
count = 0

def deadly(name):
    real = getattr(os, name)
    def call(*arguments, **keywords):
        global count
        count += 1
        if count == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*arguments, **keywords)
        finally:
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
    setattr(os, name, call)

for name in ("open", "mkdir", "write", "fsync", "link", "unlink", "replace", "rename", "rmdir", "close"):
    deadly(name)
write(LocalStorage(path=sys.argv[1]), "a/b/dump", 3 * 65536, if_absent=not replace)
"""


def forked(code: str, *arguments: str) -> int:
    """Run the code in a copy of this process, which has imported everything already; how it ended, as of waitpid."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            sys.argv = ["forked", *arguments]
            exec(compile(code, "forked", "exec"), {})  # noqa: S102 it is the code of this test
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("how", ["new", "replace"])
def test_at_whatever_step_a_writer_is_killed_the_object_is_whole_or_absent(tmp_path: pathlib.Path, how: str) -> None:
    whole = bytes(3 * 65536)
    seen: list[bytes | None] = []
    for when in ("before", "after"):
        for number in range(1, 100):
            root = tmp_path / f"{when}-{number}"
            root.mkdir()
            storage = LocalStorage(path=str(root))
            if how == "replace":
                storage.put("a/b/dump", b"old")
            status = forked(PRELUDE + KILL_AT, str(root), str(number), when, how)
            assert status in (0, -signal.SIGKILL)
            keys = [info.key for info in storage.list()]
            assert keys in ([], ["a/b/dump"])
            data = storage.get("a/b/dump") if keys else None
            assert data in ((b"old", whole) if how == "replace" else (None, whole))
            seen.append(data)
            # What is left is recognised, and with it gone there is nothing but the object.
            for upload in list(storage.unfinished()):
                assert upload.key == "a/b/dump"
                storage.abort_unfinished(upload)
            files = [path for path in root.rglob("*") if path.is_file()]
            assert files == ([root / "a/b/dump"] if keys else [])
            if status == 0:
                break
        else:
            pytest.fail("the child never came to its end")
    # Both outcomes were met, so the kills struck on both sides of the commit.
    assert len(set(seen)) == 2
