# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tablespaces in manifests and maps, the folders chosen for them, and the renames with their way back."""

from __future__ import annotations

import os
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_backup_tool import (
    BaseBackupRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_restore_options import (
    base_restore_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.facts import Tablespace
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import (
    BaseBackupOptions,
    IncrementalParent,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.programs import ServerPrograms
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.replication_backup import (
    ReplicationBackup,
    refuse_new_tablespaces,
    refuse_unsendable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.tablespace_moves import (
    TablespaceMoves,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.tablespace_places import (
    TablespacePlace,
    places_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.tablespaces import (
    StoredTablespace,
    link,
    links_of,
    mapped_oids,
    stored_tablespaces,
)

FAST = {"name": "fast", "oid": 16384, "location": "/srv/fast", "size": 1, "payload": "16384.tar"}
BULK = {"name": "bulk disk", "oid": 16385, "location": "/srv/bulk", "size": 1, "payload": "16385.tar"}
DEFAULT = {"name": "pg_default", "oid": 1663, "location": "", "size": 1}
ID = "20261122T030000Z-abc123"
VERSION = "PG_15_202209061"


def manifest(*entries: t.Any) -> t.Any:
    return types.SimpleNamespace(backup_id=ID, content={"tablespaces": list(entries)})


def places(*entries: t.Any, **options: t.Any) -> dict[str, str]:
    parsed = base_restore_options({"data_directory": "/data/copy", **options})
    return {one.stored.name: one.location for one in places_of(manifest(*entries), parsed, restore_id=ID)}


def test_only_those_with_a_payload_are_stored() -> None:
    assert [one.oid for one in stored_tablespaces(manifest(DEFAULT, BULK, FAST))] == [16384, 16385]
    assert stored_tablespaces(manifest({"name": "pg_default", "location": "", "size": None})) == ()


@pytest.mark.parametrize("changes", [{"oid": "16384"}, {"oid": 0}, {"oid": 1 << 32}, {"payload": "../16384.tar"}])
def test_a_manifest_that_can_not_be_is_refused(changes: dict[str, t.Any]) -> None:
    with pytest.raises(errors.ManifestInvalid):
        stored_tablespaces(manifest({**FAST, **changes}))


def test_the_map_of_the_server() -> None:
    # Line ends, carriage returns and backslashes in a folder's name have a backslash before them.
    assert mapped_oids(b"16384 /srv/fast\n16385 /srv/a\\\n99999 b\\\\\n") == {16384, 16385}
    assert mapped_oids(b"") == set()
    for hostile in (b"/srv/fast\n", b"16384\n", b"../1 /srv\n"):
        with pytest.raises(errors.HostileArchive):
            mapped_oids(hostile)


def test_a_place_is_chosen_by_name_number_or_folder() -> None:
    for key in ("fast", "16384", 16384, "/srv/fast"):
        assert places(FAST, tablespace_map={key: "/new/fast"}) == {"fast": "/new/fast"}
    assert places(FAST, BULK, tablespace_directory="/new", tablespace_map={"fast": "/other"}) == {
        "fast": "/other",
        "bulk disk": "/new/16385",
    }
    control = {"service_control": {"stop_command": "true", "start_command": "true"}}
    assert places(FAST, in_place=True, **control) == {"fast": "/srv/fast"}
    assert places(FAST, in_place=True, **control, tablespace_map={"fast": "/new"}) == {"fast": "/new"}
    assert places(DEFAULT) == {}


def test_what_has_no_place_is_refused() -> None:
    with pytest.raises(errors.PostgresTablespaceUnmapped) as caught:
        places(FAST, BULK, tablespace_map={"fast": "/new/fast"})
    assert caught.value.details["tablespaces"] == [{"name": "bulk disk", "oid": 16385, "was": "/srv/bulk"}]
    for wrong in ({"other": "/new"}, {"fast": "new"}, {"fast": "/"}, {"fast": 1}, ["/new"]):
        with pytest.raises(errors.RequestInvalid):
            places(FAST, tablespace_map=wrong)


# --- what is asked of the server --------------------------------------------------------------------------------------


def cluster(*locations: str, major: int = 15) -> t.Any:
    own = tuple(Tablespace(f"t{number}", one, 1, 16384 + number) for number, one in enumerate(locations))
    return types.SimpleNamespace(major=major, version=f"{major}.1", own_tablespaces=own)


def test_servers_and_tablespaces_that_can_not_be_sent_are_refused() -> None:
    refuse_unsendable(cluster("/srv/fast"))
    with pytest.raises(errors.PostgresTablespaceUnsupported, match=r"PostgreSQL 14\.1 sends them"):
        refuse_unsendable(cluster("/srv/fast", major=14))
    with pytest.raises(errors.PostgresTablespaceUnsupported, match="allow_in_place_tablespaces"):
        refuse_unsendable(cluster("/srv/fast", "pg_tblspc/16385"))


def test_one_that_comes_meanwhile_is_refused_and_one_that_goes_is_not() -> None:
    refuse_new_tablespaces(cluster("/srv/fast", "/srv/bulk"), cluster("/srv/fast"))
    with pytest.raises(errors.PostgresTablespaceUnsupported, match="t1"):
        refuse_new_tablespaces(cluster("/srv/fast"), cluster("/srv/fast", "/srv/bulk"))


@pytest.mark.parametrize(("rate", "kilobytes"), [("50M", 51200), ("500k", 500), ("64", 64)])
def test_the_command(rate: str, kilobytes: int) -> None:
    backup = ReplicationBackup(
        connection=t.cast("t.Any", None),
        options=BaseBackupOptions(checkpoint="spread", max_rate=rate),
        runner=t.cast("t.Any", None),
        state_directory="",
    )
    parent = IncrementalParent(backup_id="20261121T030000Z-abc123", manifest_path="/state/it")
    request = BaseBackupRequest(backup_id=ID, facts=cluster("/srv"), parent=parent, keep_manifest=True)
    assert backup.command(request) == (
        f"BASE_BACKUP (LABEL 'lifeboat {ID}', PROGRESS true, CHECKPOINT 'spread', WAL true, TABLESPACE_MAP true, "
        f"MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C', MAX_RATE {kilobytes}, INCREMENTAL true)"
    )


# --- the renames ------------------------------------------------------------------------------------------------------


class Renames:
    """A present cluster and a new one with one tablespace in the same folder; the programs own nothing here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.location = folder / "fast"
        self.place = TablespacePlace(
            stored=StoredTablespace(oid=16384, name="fast", location="/srv/fast", payload="16384.tar"),
            location=str(self.location),
            restore_id=ID,
        )
        self.programs = ServerPrograms(bin_directory="/nowhere", version=(15,), account=None)
        for cluster, data in (("present", self.location), ("new", Path(self.place.staging))):
            (folder / cluster / "pg_tblspc").mkdir(parents=True)
            (data / VERSION).mkdir(parents=True)
            (data / VERSION / "who").write_text(cluster)
            link(str(folder / cluster), oid=16384 if cluster == "new" else 20000, folder=str(data))

    def moves(self) -> TablespaceMoves:
        return TablespaceMoves(
            [self.place], staging=str(self.folder / "new"), present=str(self.folder / "present"), major=15
        )

    def who(self) -> tuple[str, str]:
        """Whose data each cluster sees through its own link."""
        return tuple(  # type: ignore[return-value]
            (self.folder / cluster / "pg_tblspc" / oid / VERSION / "who").read_text()
            for cluster, oid in (("present", "20000"), ("new", "16384"))
        )


@pytest.mark.parametrize("way", ["on", "back"])
def test_a_death_at_every_rename(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename
    for deadly in range(1, 20):
        rig = Renames(tmp_path / str(deadly))
        facts = rig.moves().plan()
        count = 0

        def dying(source: str, target: str, *, last: int = deadly) -> None:
            nonlocal count
            count += 1
            rename(source, target)
            if count == last:
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "rename", dying)
        try:
            rig.moves().do(facts, programs=rig.programs)
            is_over = True
        except KeyboardInterrupt:
            is_over = False
        monkeypatch.setattr(os, "rename", rename)
        # At no moment does a cluster see the other one's data.
        for cluster, oid, name in (("present", "20000", "present"), ("new", "16384", "new")):
            seen = rig.folder / cluster / "pg_tblspc" / oid / VERSION / "who"
            assert not seen.exists() or seen.read_text() == name
        if way == "on":
            rig.moves().do(facts, programs=rig.programs)
            assert (rig.location / VERSION / "who").read_text() == "new"
            assert sorted(os.listdir(rig.location)) == [VERSION, f"before-{ID}"]
        else:
            for _turn in range(2):
                rig.moves().undo(facts, programs=rig.programs)
            assert (rig.location / VERSION / "who").read_text() == "present"
            assert links_of(str(rig.folder / "present")) == {20000: str(rig.location)}
            assert sorted(os.listdir(rig.location)) == [VERSION, f"restoring-{ID}"]
        assert rig.who() == ("present", "new")
        if is_over:
            assert deadly > 4
            return
    raise AssertionError("it never came to its end")
