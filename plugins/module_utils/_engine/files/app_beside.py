# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application into an empty folder: its tree, and in it its repositories with the commit that was checked out."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import replace

from ..catalog.restore_notes import plain_name
from ..core.errors import HostileArchive, RestoreTargetInvalid
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.steps import Facts
from .app_noted import AppNoted, NotedRepository, app_noted_in
from .beside import BesideRestorer
from .cloning import attach, give, make_repository, require_git
from .folders import Folders
from .git_repository import DOT_GIT
from .names import raw, shown
from .restore_options import ALL, REPOSITORIES, TREE, FilesRestoreOptions

_OUTER_MODE = 0o755
#: Compressed in the bundle, and once more as the pack of the repository.
_TIMES = 2


class AppBesideRestorer(BesideRestorer):
    """See :class:`recovery.restorer.Restorer`."""

    def __init__(self, *, kind: str, options: FilesRestoreOptions, context: RestorerContext) -> None:
        super().__init__(kind=kind, options=options, context=context)
        self._take = options.take

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """See BesideRestorer. Raises RestoreTargetInvalid for what the backup does not have, and ToolMissing."""
        noted = app_noted_in(source.manifest)
        tree, repositories = self._wanted(noted)
        looked = super().inspect(source=source)
        sizes = {plain_name(payload): payload.size for payload in source.manifest.payloads}
        needed = _TIMES * sum(sizes.get(one.payload, 0) for one in repositories)
        places = looked.places if tree else ()
        if repositories:
            require_git()
        return replace(
            looked,
            facts={**looked.facts, "repositories": [f"/{shown(one.path)}" for one in repositories]},
            places=(*places, *(f"{one.payload} -> {self._place_of(one)}" for one in repositories)),
            needed_bytes=needed + (noted.files.bytes if tree else 0),
        )

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See BesideRestorer."""
        made = super().outcome(facts=facts)
        repositories = [entry for one in facts.values() for entry in one.get("repositories", ())]
        return replace(made, content={**made.content, "repositories": repositories})

    def _wanted(self, noted: AppNoted) -> tuple[bool, tuple[NotedRepository, ...]]:
        """Whether the tree is restored, and which repositories."""
        bundled = tuple(one for one in noted.repositories if one.payload)
        has = {TREE: noted.has_tree, REPOSITORIES: bool(bundled), ALL: True}
        if not has[self._take] or (self._options.paths and not noted.has_tree):
            lacking = "repository" if self._take == REPOSITORIES else "tree"
            raise RestoreTargetInvalid(
                f"The backup has no {lacking}.", hint="Leave out take and paths, or restore another backup."
            )
        tree = noted.has_tree and self._take != REPOSITORIES
        return tree, bundled if self._take != TREE and not self._options.paths else ()

    def _place_of(self, repository: NotedRepository) -> str:
        place = os.path.join(self._folder, repository.path)
        return place if repository.is_bare else os.path.join(place, DOT_GIT)

    def _unpack(self, source: PayloadSource, progress: Progress) -> Facts:
        noted = app_noted_in(source.manifest)
        tree, repositories = self._wanted(noted)
        facts: Facts = {"entries": 0, "warnings": []}
        if tree:
            facts = super()._unpack(source, progress)
        else:
            self._discard_staging()
            os.mkdir(self._staging, 0o700)
        made = []
        for number, repository in enumerate(repositories):
            # Among what is unpacked it would be in the way of nobody: no entry of a backup has this name.
            folder = os.path.join(self._staging, f".lifeboat-restore-git-{number}")
            make_repository(source, repository, folder=folder, runner=self._host.runner, progress=progress)
            self._put(repository, folder, with_tree=tree)
            made.append({"path": self._place_of(repository), "commit": repository.commit or None})
        os.sync()
        return {**facts, "repositories": made}

    def _put(self, repository: NotedRepository, folder: str, *, with_tree: bool) -> None:
        """Into its place in the tree, which may hold links: no step on the way there may be one."""
        try:
            with contextlib.closing(Folders(self._staging)) as folders:
                if repository.is_bare:
                    parent, name = folders.of(repository.path, make=_OUTER_MODE)
                else:
                    parent, name = folders.open(repository.path, make=None if with_tree else _OUTER_MODE), raw(DOT_GIT)
                    self._attach(repository, folder, with_tree=with_tree)
                if os.geteuid() == 0:
                    give(folder, user=repository.user, group=repository.group)
                status = os.fstat(parent)
                os.rename(folder, name, dst_dir_fd=parent)
                os.utime(parent, ns=(status.st_atime_ns, status.st_mtime_ns))
        except (
            RestoreTargetInvalid,
            FileNotFoundError,
            FileExistsError,
            IsADirectoryError,
            NotADirectoryError,
        ) as error:
            raise HostileArchive(
                f"The place of the repository /{shown(repository.path)} is taken by what the tree has there.",
                hint="Don't restore it; look at who could write to the repository.",
                details={"path": shown(repository.path)},
            ) from error

    def _attach(self, repository: NotedRepository, folder: str, *, with_tree: bool) -> None:
        """To the files that were unpacked; without a tree those of the commit are made."""
        tree = os.path.join(self._staging, repository.path)
        if repository.commit:
            attach(folder, tree, runner=self._host.runner, check_out=not with_tree)
        if os.geteuid() == 0 and not with_tree:
            give(tree, user=repository.user, group=repository.group)
