# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application: its repositories as bundles of git, and the deployed tree without what is made anew."""

from __future__ import annotations

import os
import re
import shlex
import signal
import typing as t

from ..core.clock import Clock
from ..core.errors import FilesArchiveInvalid, FilesMissing
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.processes import kill_all, open_pipe, spawn
from ..pipeline.producer import FINGERPRINT, Inspection, PayloadInput, PayloadSink, Production
from .app_noted import combined_fingerprint, repository_content
from .app_notes import app_commands
from .app_options import AppOptions
from .app_tree import RepositoryPatterns, version_in
from .bundle import Bundle, read_bundle
from .git_repository import GitRepository, Refs, read_refs, read_repository
from .git_tool import git_argv, unusable
from .names import shown
from .noted import TREE_FINGERPRINT
from .packing import Packed, fingerprint_of
from .producer import FilesProducer, absent_warnings, system_content, tree_content, tree_warnings
from .roots import Roots
from .walk import WalkNotes, walk

BUNDLE_MEDIA = "git bundle"
_SUFFIX = ".bundle"
_LONGEST_NAME = 60


class AppProducer(FilesProducer):
    """The application of one source as it is deployed now (kind ``app``)."""

    kind = "app"

    def __init__(self, *, options: AppOptions, runner: Runner, clock: Clock, journal: Journal) -> None:
        super().__init__(options=options.files, runner=runner, clock=clock, journal=journal)
        self._app = options
        self._patterns = (*options.files.places.exclude, *options.caches)
        self._exclude = self._watched = RepositoryPatterns(self._patterns)
        self._seen: dict[str, Refs] = {}

    def inspect(self) -> Inspection:
        """See FilesProducer; and look at each repository. Raises GitRepositoryUnusable and ToolMissing, too."""
        self._watched.found.clear()
        looked = super().inspect()
        roots = self._roots()
        repositories = [read_repository(path, runner=self._runner) for path in self._repositories(roots)]
        self._seen = {one.path: one.refs for one in repositories}
        version = self._version(roots, repositories)
        facts = {
            **looked.facts,
            "exclude": list(self._patterns),
            "version": version,
            "repositories": [
                {
                    "path": one.path,
                    "commit": one.refs.commit or None,
                    "describe": one.describe or None,
                    "refs": len(one.refs.by_name),
                    "modified": one.modified,
                    "untracked": one.untracked,
                }
                for one in repositories
            ],
        }
        steps = [step for step in looked.steps if self._app.tree or not step.startswith("read ")]
        steps += [f"bundle {one.path}: {_described(one)}" for one in repositories]
        if not repositories:
            steps.append(
                "bundle no repository: " + ("none is among them" if self._wants_bundles else "git_bundle: false")
            )
        expected = (looked.expected_bytes if self._app.tree else 0) + sum(one.bytes for one in repositories)
        return Inspection(facts=facts, steps=tuple(steps), expected_bytes=expected)

    def fingerprint(self, *, progress: Progress) -> str:
        """See FilesProducer: of the tree, and of what the repositories hold and have checked out."""
        progress.stage("looking for changes")
        self._watched.found.clear()
        roots = self._roots()
        tree = ""
        if self._app.tree:
            tree = fingerprint_of(roots, exclude=self._exclude, clock=self._clock)
        else:
            self._walk(roots)
        refs = {path: read_refs(path, runner=self._runner) for path in self._repositories(roots)}
        return combined_fingerprint(tree, refs)

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the backup. Raises what :meth:`inspect` raises."""
        self._watched.found.clear()
        roots = self._roots()
        packed = Packed()
        if self._app.tree:
            packed = self._pack(roots, sink, progress)
        else:
            self._walk(roots)
        warnings = [*absent_warnings(roots), *tree_warnings(packed)]
        doubts = packed.doubts()
        repositories: list[GitRepository] = []
        noted: list[dict[str, t.Any]] = []
        progress.stage("bundling repositories")
        for path in self._repositories(roots):
            repository = read_repository(path, runner=self._runner)
            name = _payload_name(path, [str(one["payload"]) for one in noted])
            refs: t.Mapping[str, str] = {}
            if repository.refs.by_name:
                refs = self._store(repository, name, sink).refs
            repositories.append(repository)
            noted.append(repository_content(repository, payload=name if refs else "", refs=refs))
            warnings += _warnings_about(repository)
            doubts += self._doubts(repository, refs)
        warnings += [f"{doubt['path']}: {doubt['reason']}." for doubt in doubts[len(packed.doubts()) :]]
        system = self._system(sink, progress) if self._options.system_snapshot else None
        for warning in warnings:
            self._journal.warning(warning)
        tree = packed.fingerprint if self._app.tree else ""
        content = {
            **tree_content(roots, packed),
            FINGERPRINT: combined_fingerprint(tree, {one.path: one.refs for one in repositories}),
            TREE_FINGERPRINT: tree,
            "tree": self._app.tree,
            "repositories": noted,
            "version": self._version(roots, repositories),
            "doubts": doubts,
            "exclude": [*self._patterns, ".git"],
            "system": None if system is None else system_content(system),
            "warnings": warnings,
        }
        commands = app_commands(
            first=shlex.quote(shown(roots.paths[0])),
            has_tree=self._app.tree,
            has_system=system is not None,
            bundles=[(str(one["path"]), str(one["payload"])) for one in noted if one["payload"]],
        )
        return Production(content=content, restore_commands=commands)

    def _roots(self) -> Roots:
        """See FilesProducer. Raises FilesMissing where nothing but links would be stored."""
        roots = super()._roots()
        links = [path for path in roots.paths if os.path.islink(f"/{path}")]
        if links and len(links) == len(roots.paths):
            raise FilesMissing(
                f"/{shown(links[0])} is a link, which is stored as one: what it leads to would be missing.",
                hint=f"Name in connection.paths what is deployed, too: {os.path.realpath(f'/{links[0]}')}, or with *.",
                details={"missing": [os.path.realpath(f"/{path}") for path in links]},
            )
        return roots

    @property
    def _wants_bundles(self) -> bool:
        return self._app.git_bundle is not False

    def _walk(self, roots: Roots) -> None:
        for _found in walk(roots.paths, exclude=self._exclude, notes=WalkNotes()):
            pass

    def _repositories(self, roots: Roots) -> list[str]:
        """Those that the last walk met."""
        if not self._wants_bundles:
            return []
        found = self._watched.repositories(roots.paths, with_trees=self._app.tree)
        if not found and (self._app.git_bundle or not self._app.tree):
            raise unusable(
                f"/{shown(roots.paths[0])}",
                "neither it nor what is below it is one",
                hint="Correct connection.paths, or leave git_bundle out.",
            )
        return found

    def _version(self, roots: Roots, repositories: t.Sequence[GitRepository]) -> str | None:
        """What is said by the file, else by git of the first repository."""
        if self._app.version_file:
            return version_in(self._app.version_file, roots.paths)
        return next((one.describe for one in repositories if one.describe), None)

    def _store(self, repository: GitRepository, name: str, sink: PayloadSink) -> Bundle:
        """As a payload; what it holds is read from its own beginning, and its pack is checked as it passes."""
        words = ["bundle", "create", "-", "--single-worktree", "--all"]
        words += ["HEAD"] if repository.refs.commit else []
        argv = git_argv(words, directory=repository.path, user=repository.user)
        made: list[Bundle] = []

        def write(output: t.BinaryIO) -> None:
            reading, writing = open_pipe()
            with open(reading, "rb") as stream:
                process = spawn("git", argv, stdin=None, stdout=writing)
                try:
                    made.append(read_bundle(stream, output.write))
                except FilesArchiveInvalid:
                    stream.close()
                    if process.wait() in (0, -signal.SIGPIPE):
                        raise
                    # Who cut it short says why.
                except BaseException:
                    kill_all([process])
                    process.wait()
                    raise
            if process.wait():
                raise unusable(repository.path, f"git bundle says: {' '.join(list(process.lines)[-4:])}")

        sink.store(PayloadInput(name=name, media=BUNDLE_MEDIA, write=write, compressed=True))
        return made[0]

    def _doubts(self, repository: GitRepository, refs: t.Mapping[str, str]) -> list[dict[str, str]]:
        if dict(refs) != dict(repository.refs.by_name):
            return [{"path": repository.path, "reason": "its refs changed while it was bundled"}]
        before = self._seen.get(repository.path)
        now = read_refs(repository.path, runner=self._runner)
        if now.commit != repository.refs.commit or (before is not None and before.commit != now.commit):
            return [{"path": repository.path, "reason": "another commit was checked out while the tree was read"}]
        return []


def _payload_name(path: str, taken: t.Collection[str]) -> str:
    """A name for the bundle that is fit for every storage: of the folder, with a number where two are called alike."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", path.rpartition("/")[2]).strip(".-")[:_LONGEST_NAME] or "repository"
    name, count = f"{plain}{_SUFFIX}", 1
    while name.lower() in {one.lower() for one in taken}:
        count += 1
        name = f"{plain}-{count}{_SUFFIX}"
    return name


def _described(repository: GitRepository) -> str:
    if not repository.refs.commit:
        return f"{len(repository.refs.by_name)} refs, nothing checked out"
    dirty = f", {repository.modified} modified" if repository.modified else ""
    dirty += f", {repository.untracked} untracked" if repository.untracked else ""
    return f"{len(repository.refs.by_name)} refs, at {repository.describe} ({repository.refs.commit[:12]}{dirty})"


def _warnings_about(repository: GitRepository) -> list[str]:
    warnings = []
    if not repository.refs.by_name:
        warnings.append(f"{repository.path} has no commits, so there is no bundle of it.")
    warnings += [
        f"{repository.path} has the submodule {path}, which is not there, and so not in the backup."
        for path in repository.missing_submodules
    ]
    return warnings
