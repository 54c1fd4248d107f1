# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups proved on real servers: what is good passes every level, each kind of damage is caught at its own."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.server_state import postmaster_pid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import question_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import sweep_scratch
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.load import SCRIPT, TOTAL, load
from tests.integration.postgresql.physical import Physical, failed, make_key, physical
from tests.integration.postgresql.rig import database, psql
from tests.support import resealing
from tests.support.children import environment

NAME = "loaded"
PAYLOAD = "base.tar"
pytestmark = pytest.mark.slow


@pytest.fixture
def made(server: PostgreSQLServer) -> t.Iterator[tuple[Physical, str]]:
    """A repository with one backup that was made under load."""
    with physical(server) as rig, database(server, NAME, script=SCRIPT):
        with load(server, NAME):
            backup_id = rig.backup()
        yield rig, backup_id


@pytest.fixture
def small(distribution_server: PostgreSQLServer) -> t.Iterator[tuple[Physical, str]]:
    """A repository with one backup of a nearly empty cluster, for damage."""
    with physical(distribution_server) as rig:
        yield rig, rig.backup()


def changed(data: bytes, change: t.Callable[[str, bytes], bytes | None]) -> bytes:
    """The tar with each file as *change* gives it back, left out where that is None."""
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as source,
        tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as out,
    ):
        for member in source:
            if not member.isfile():
                out.addfile(member)
                continue
            file = source.extractfile(member)
            assert file is not None
            content = change(member.name, file.read())
            if content is not None:
                member.size = len(content)
                out.addfile(member, io.BytesIO(content))
    return target.getvalue()


def added(data: bytes, **facts: t.Any) -> bytes:
    """The tar with one member before all others."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as out:
        member = tarfile.TarInfo()
        for name, value in facts.items():
            setattr(member, name, value)
        out.addfile(member, io.BytesIO(b"x" * member.size))
    return target.getvalue()[: 512 + -(-member.size // 512) * 512] + data


def test_a_good_backup_passes_every_level(made: tuple[Physical, str]) -> None:
    rig, backup_id = made
    checks = rig.listing(backup_id)
    assert failed(checks) == {}
    assert set(checks) == {
        "files against backup_manifest",
        "WAL",
        "system identifier",
        "version",
        "backup_label",
    }
    with rig.alive(backup_id) as instance:
        assert NAME in instance.facts["databases"]
        compared = {check.name: check for check in instance.compare()}
        assert failed(compared) == {}
        assert compared["page checksums"].state == "passed"
        assert compared["position"].state == "passed"
        assert {check.state for check in instance.require(["accounts", f"{NAME}.public.events"])} == {"passed"}
        assert [check.state for check in instance.require(["nowhere"])] == ["failed"]
        total = question_from({"name": "money", "database": NAME, "sql": "select sum(balance) from accounts", "min": 1})
        assert instance.ask(total) == TOTAL


def test_the_scratch_server_touches_nothing_outside(made: tuple[Physical, str]) -> None:
    """Its source archives, runs subscriptions and has event triggers; the copy does nothing of it."""
    rig, backup_id = made
    with rig.alive(backup_id) as instance:

        def setting(name: str) -> t.Any:
            sql = f"select current_setting('{name}')"
            return instance.ask(question_from({"name": name, "database": NAME, "sql": sql, "min": 0}))

        assert rig.server.query("SHOW archive_mode") == [("on",)]
        assert setting("archive_mode") == "off"
        assert setting("listen_addresses") == ""
        assert setting("max_logical_replication_workers") == "0"
        assert setting("max_wal_senders") == "0"
        assert setting("shared_preload_libraries") == ""
        assert setting("primary_conninfo") == ""
        if rig.server.version >= 17:
            assert setting("event_triggers") == "off"


def test_an_encrypted_backup(distribution_server: PostgreSQLServer, tmp_path: Path) -> None:
    recipient, identity = make_key(tmp_path)
    with physical(distribution_server, recipients=(recipient,), identity=identity) as rig:
        backup_id = rig.backup()
        assert failed(rig.listing(backup_id)) == {}
        with rig.alive(backup_id, page_checksums=False, amcheck=False) as instance:
            assert failed({check.name: check for check in instance.compare()}) == {}
        rig.identity = ""
        with pytest.raises(errors.IdentityMissing):
            rig.listing(backup_id)


def test_an_increment_with_its_chain(server_18: PostgreSQLServer) -> None:
    with physical(server_18) as rig, database(server_18, NAME, script=SCRIPT):
        rig.backup()
        with load(server_18, NAME):
            first = rig.backup("incremental")
        psql(server_18, "CREATE TABLE later AS SELECT 7 AS answer", database=NAME)
        second = rig.backup("incremental")
        assert failed(rig.listing(second)) == {}
        assert rig.listing(second)["parent"].state == "passed"
        with rig.alive(second) as instance:
            assert failed({check.name: check for check in instance.compare()}) == {}
            sql = "select sum(balance) from accounts"
            assert instance.ask(question_from({"name": "money", "database": NAME, "sql": sql, "min": 0})) == TOTAL
            assert [check.state for check in instance.require(["later"])] == ["passed"]
        # The increment of one parent under the name of another's: whole in itself, and of no use.
        stolen = resealing.plain_bytes(rig.repository, rig.place(first, "incremental"), PAYLOAD)
        resealing.replace_payload(rig.repository, rig.place(second, "incremental"), PAYLOAD, stolen)
        assert {"parent", "backup_label"} <= set(failed(rig.listing(second)))


def zeroed_page(name: str, content: bytes) -> bytes:
    """A page of a table of the catalog becomes empty: the server reads it as no rows, and says nothing."""
    if name == "base/1/1249":
        return content[:8192] + bytes(8192) + content[16384:]
    return content


def without_wal(name: str, content: bytes) -> bytes | None:
    return None if name.startswith("pg_wal/0") else content


def zeroed_wal(name: str, content: bytes) -> bytes:
    return bytes(len(content)) if name.startswith("pg_wal/0") else content


def without_table(name: str, content: bytes) -> bytes | None:
    return None if name == "base/1/1249" else content


def with_more(name: str, content: bytes) -> bytes:
    return content + bytes(8192) if name == "base/1/1249" else content


def other_manifest(name: str, content: bytes) -> bytes:
    return content.replace(b'"Size": 8192', b'"Size": 8193', 1) if name == "backup_manifest" else content


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (zeroed_page, "files against backup_manifest"),
        (without_table, "files against backup_manifest"),
        (with_more, "files against backup_manifest"),
        (without_wal, "WAL"),
        (zeroed_wal, "WAL"),
    ],
)
def test_damage_that_was_sealed_again(
    small: tuple[Physical, str], change: t.Callable[[str, bytes], bytes | None], check: str
) -> None:
    rig, backup_id = small
    place = rig.place(backup_id)
    resealing.mutate_payload(rig.repository, place, PAYLOAD, lambda data: changed(data, change))
    source = rig.source(backup_id)
    source.check(source.payload(PAYLOAD), progress=rig.progress())  # level 1 sees nothing
    assert set(failed(rig.listing(backup_id))) == {check}


def test_a_changed_backup_manifest(small: tuple[Physical, str]) -> None:
    rig, backup_id = small
    resealing.mutate_payload(rig.repository, rig.place(backup_id), PAYLOAD, lambda data: changed(data, other_manifest))
    with pytest.raises(errors.PostgresBackupManifestInvalid):
        rig.listing(backup_id)


@pytest.mark.parametrize("cut", [700, 512 * 5000, -3 * 512 * 20])
def test_a_tar_that_ends_early(small: tuple[Physical, str], cut: int) -> None:
    rig, backup_id = small
    resealing.mutate_payload(rig.repository, rig.place(backup_id), PAYLOAD, lambda data: data[:cut])
    with pytest.raises((errors.PostgresStreamIncomplete, errors.PostgresBackupManifestInvalid)):
        rig.listing(backup_id)


def test_the_backup_of_another_day_under_this_ones_name(small: tuple[Physical, str]) -> None:
    rig, old = small
    psql(rig.server, "SELECT pg_switch_wal()")
    new = rig.backup()
    stale = resealing.plain_bytes(rig.repository, rig.place(old), PAYLOAD)
    resealing.replace_payload(rig.repository, rig.place(new), PAYLOAD, stale)
    found = failed(rig.listing(new))
    assert set(found) == {"backup_label"}
    # Each of them alone would do: a later one may have the same position, or be labelled by somebody else.
    for reason in ("it starts at", f"not {new}", "it ends at"):
        assert reason in found["backup_label"]


def test_the_backup_of_another_cluster(small: tuple[Physical, str]) -> None:
    rig, backup_id = small
    with PostgreSQLServer(password=rig.server.password) as other, physical(other) as elsewhere:
        foreign_id = elsewhere.backup()
        foreign = resealing.plain_bytes(elsewhere.repository, elsewhere.place(foreign_id), PAYLOAD)
    resealing.replace_payload(rig.repository, rig.place(backup_id), PAYLOAD, foreign)
    assert {"system identifier", "backup_label"} <= set(failed(rig.listing(backup_id)))


HOSTILE: list[dict[str, t.Any]] = [
    {"name": "../outside", "size": 1},
    {"name": "/etc/outside", "size": 1},
    {"name": "base/../../outside", "size": 1},
    {"name": "pg_wal/link", "type": tarfile.SYMTYPE, "linkname": "/etc"},
    {"name": "hard", "type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
    {"name": "pipe", "type": tarfile.FIFOTYPE},
]


@pytest.mark.parametrize("facts", HOSTILE, ids=lambda facts: facts["name"])
def test_hostile_members_are_refused_everywhere(small: tuple[Physical, str], facts: dict[str, t.Any]) -> None:
    rig, backup_id = small
    resealing.mutate_payload(rig.repository, rig.place(backup_id), PAYLOAD, lambda data: added(data, **facts))
    with pytest.raises(errors.HostileArchive):
        rig.listing(backup_id)
    # Somebody who restores without having verified; tar takes the leading slash away by itself.
    if not facts["name"].startswith("/"):
        with pytest.raises(errors.HostileArchive), rig.alive(backup_id):
            pass
    assert not (rig.folder / "outside").exists()


def test_wal_that_can_not_be_replayed_is_found_by_starting(small: tuple[Physical, str]) -> None:
    """Its pages look right, so level 2 passes; the server does not reach the end of the backup."""
    rig, backup_id = small

    def broken(name: str, content: bytes) -> bytes:
        return content[:48] + bytes(80) + content[128:] if name.startswith("pg_wal/0") else content

    resealing.mutate_payload(rig.repository, rig.place(backup_id), PAYLOAD, lambda data: changed(data, broken))
    assert failed(rig.listing(backup_id)) == {}
    with pytest.raises(errors.ScratchFailed), rig.alive(backup_id):
        pass


def sealed_inside(data: bytes, path: str, change: t.Callable[[bytes], bytes]) -> bytes:
    """One file changed, and its line in backup_manifest and that one's own checksum made to agree."""
    import anycrc

    sums: dict[str, str] = {}

    def apply(name: str, content: bytes) -> bytes:
        if name == path:
            before = anycrc.Model("CRC32C").calc(content).to_bytes(4, sys.byteorder).hex()
            content = change(content)
            sums[before] = anycrc.Model("CRC32C").calc(content).to_bytes(4, sys.byteorder).hex()
        if name == "backup_manifest":
            lines = content.split(b"\n")
            for number, line in enumerate(lines):
                if f'"Path": "{path}"'.encode() in line:
                    for before, after in sums.items():
                        lines[number] = line.replace(before.encode(), after.encode())
            body = b"\n".join(lines[:-2]) + b"\n"
            content = body + f'"Manifest-Checksum": "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
        return content

    return changed(data, apply)


def test_a_page_that_only_its_own_checksum_betrays(small: tuple[Physical, str]) -> None:
    """Whoever changed it changed every list as well; levels 2 and 3 let it pass, level 4 looks into the pages."""
    rig, backup_id = small
    path = rig.server.query("SELECT pg_relation_filepath('pg_description')")[0][0]

    def flipped(content: bytes) -> bytes:
        return content[:8000] + bytes([content[8000] ^ 1]) + content[8001:]

    resealing.mutate_payload(
        rig.repository, rig.place(backup_id), PAYLOAD, lambda data: sealed_inside(data, path, flipped)
    )
    assert failed(rig.listing(backup_id)) == {}
    with rig.alive(backup_id) as instance:
        found = failed({check.name: check for check in instance.compare()})
        assert "page checksums" in found
        assert "checksum" in found["page checksums"]
        # The server was stopped for the look, and answers again.
        assert [check.state for check in instance.require(["nowhere"])] == ["failed"]


_CHILD = """
import json, os, pathlib, signal, sys
from tests.integration.postgresql.physical import Physical
folder, bin_directory, backup_id = sys.argv[1:]

class Server:
    bin_directory = sys.argv[2]

with Physical(server=Server(), folder=pathlib.Path(folder)).alive(backup_id) as instance:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_verification_that_was_killed_is_cleared_up_by_the_next(small: tuple[Physical, str]) -> None:
    rig, backup_id = small
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(rig.folder), str(rig.server.bin_directory), backup_id],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    scratch = rig.folder / "scratch"
    (left,) = scratch.iterdir()
    pid = postmaster_pid(str(left / "postgresql" / "data"))
    assert pid is not None, "the server outlives who started it"
    assert sweep_scratch(str(scratch), journal=rig.journal) == [str(left)]
    assert list(scratch.iterdir()) == []
    assert not Path(f"/proc/{pid}/cwd").exists()


def test_the_wrong_programs(small: tuple[Physical, str], server_18: PostgreSQLServer) -> None:
    rig, backup_id = small
    source = rig.source(backup_id)
    with pytest.raises(errors.RestoreVersionMismatch):
        rig.verifier(source, bin_directory=str(server_18.bin_directory)).inspect(level=3)
    rig.verifier(source, bin_directory="/nowhere").inspect(level=2)
    with pytest.raises(errors.ToolMissing):
        rig.verifier(source, bin_directory="/nowhere").inspect(level=3)
