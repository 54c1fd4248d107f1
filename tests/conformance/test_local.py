# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage in folders."""

from __future__ import annotations

import errno
import os
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectWriter, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local_writer import LocalWriter
from tests.conformance.storage_suite import StorageSuite
from tests.conformance.versions_suite import PlainSuite


class LocalSuite(StorageSuite, PlainSuite):
    @pytest.fixture
    def storage(self, tmp_path: pathlib.Path) -> t.Iterator[Storage]:
        before = set(os.listdir("/proc/self/fd"))
        yield LocalStorage(path=str(tmp_path))
        assert len(set(os.listdir("/proc/self/fd")) - before) <= 0, "a descriptor was left open"

    def abandon(self, writer: ObjectWriter) -> None:
        assert isinstance(writer, LocalWriter)
        # The kernel closes a killed process's files; nobody removes the temporary one.
        detached = writer._discard.detach()
        assert detached is not None
        _object, _function, arguments, _keywords = detached
        _tree, _parts, folder, file, _temporary = arguments
        os.close(folder)
        os.close(file)


class TestLocalStorage(LocalSuite):
    pass


class TestLocalStorageWithoutHardLinks(LocalSuite):
    """link() is made to fail as FAT, exFAT and many network mounts do."""

    @pytest.fixture(autouse=True)
    def no_links(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_arguments: object, **_keywords: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
