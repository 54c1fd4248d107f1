# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of applications through the levels: the tree as any files, and every repository cloned."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, replace

from ..catalog.restore_notes import plain_name
from ..core.progress import Progress
from ..core.runner import Runner
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, Answer, Check, Question
from ..recovery.scratch import Scratch
from ..recovery.verifier import Instance, VerifierContext, VerifierNeeds
from .app_noted import NotedRepository, app_noted_in
from .cloning import check_bundle, check_objects, has_object, make_repository, require_git
from .names import shown
from .placing import Refusals
from .verifier import FilesVerifier, UnpackedFiles
from .verifier_options import FilesVerifierOptions

#: The bundle that is fetched, and the pack that git makes of it.
_TIMES = 2


class AppVerifier(FilesVerifier):
    """See :class:`recovery.verifier.Verifier`."""

    def __init__(self, *, kind: str, options: FilesVerifierOptions, context: VerifierContext) -> None:
        super().__init__(kind=kind, options=options, context=context)
        noted = app_noted_in(context.manifest)
        self._has_tree = noted.has_tree
        self._bundled = tuple(one for one in noted.repositories if one.payload)
        self._sizes = {plain_name(payload): payload.size for payload in context.manifest.payloads}
        self._runner = context.host.runner

    def inspect(self, *, level: int) -> VerifierNeeds:
        """See Verifier. Raises ToolMissing."""
        if level <= 2:
            return VerifierNeeds(bytes=0)
        if self._bundled:
            require_git()
        bundles = _TIMES * sum(self._sizes.get(one.payload, 0) for one in self._bundled)
        return VerifierNeeds(bytes=bundles + (super().inspect(level=level).bytes if self._has_tree else 0))

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """See FilesVerifier. Raises ContentMismatch, too."""
        yield from super().listing(source=source, progress=progress) if self._has_tree else self._host(source, progress)
        for one in self._bundled:
            bundle = check_bundle(source, one, progress=progress)
            yield Check(
                name=f"bundle of /{shown(one.path)}",
                state=PASSED,
                message=f"the bundle of /{shown(one.path)} is whole, and has the {one.refs} refs that were noted",
                expected=one.refs,
                found=len(bundle.refs),
            )

    @contextlib.contextmanager
    def scratch(self, *, source: PayloadSource, scratch: Scratch, progress: Progress) -> t.Iterator[Instance]:
        """See FilesVerifier. Raises FilesArchiveInvalid for a repository that git does not take."""
        with contextlib.ExitStack() as stack:
            tree: Instance = UnpackedFiles(scratch.path("no-tree"), replace(self._noted, roots=()), Refusals())
            if self._has_tree:
                tree = stack.enter_context(super().scratch(source=source, scratch=scratch, progress=progress))
            cloned = []
            for number, one in enumerate(self._bundled):
                progress.stage("fetching and loading")
                folder = scratch.path(f"repository-{number}")
                make_repository(source, one, folder=folder, runner=self._runner, progress=progress)
                progress.stage("looking at every object")
                cloned.append(_Cloned(one, folder, check_objects(folder, runner=self._runner)))
            yield RestoredApp(tree, tuple(cloned), has_tree=self._has_tree, runner=self._runner)


@dataclass(frozen=True)
class _Cloned:
    noted: NotedRepository
    folder: str
    disliked: str


class RestoredApp:
    """See :class:`recovery.verifier.Instance`."""

    def __init__(self, tree: Instance, cloned: t.Sequence[_Cloned], *, has_tree: bool, runner: Runner) -> None:
        self._tree = tree
        self._cloned = cloned
        self._has_tree = has_tree
        self._runner = runner

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """What git disliked without anything missing, beside those of the tree."""
        disliked = {f"/{shown(one.noted.path)}": one.disliked for one in self._cloned if one.disliked}
        return {**self._tree.facts, "git": disliked}

    def compare(self) -> t.Iterator[Check]:
        """As of files; and the commit that was deployed is in each repository."""
        if self._has_tree:
            yield from self._tree.compare()
        for one in self._cloned:
            path, commit = f"/{shown(one.noted.path)}", one.noted.commit
            if commit:
                is_there = has_object(one.folder, f"{commit}^{{commit}}", runner=self._runner)
                message = f"{path} has the commit {commit[:12]} that was checked out"
                if not is_there:
                    message = f"{path} lacks the commit {commit[:12]} that was checked out"
                yield Check(name=f"commit of {path}", state=PASSED if is_there else FAILED, message=message)

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Each path that must be there: in the tree, or in the commit of a repository where no tree was stored."""
        if self._has_tree:
            yield from self._tree.require(names)
            return
        for name in names:
            is_there = any(self._has(one, os.path.normpath(name).lstrip("/")) for one in self._cloned)
            message = f"{name} is in the commit" if is_there else f"{name} is in no commit that was checked out"
            yield Check(name=f"path {name}", state=PASSED if is_there else FAILED, message=message)

    def ask(self, question: Question) -> Answer:
        """Files answer no questions."""
        return self._tree.ask(question)

    def _has(self, one: _Cloned, path: str) -> bool:
        inner = os.path.relpath(f"/{path}", f"/{one.noted.path}")
        if inner == "." or inner.startswith("../") or not one.noted.commit:
            return False
        return has_object(one.folder, f"{one.noted.commit}:{inner}", runner=self._runner)
