# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that was restored into a scratch mongod, ready to be questioned."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..recovery.questions import FAILED, PASSED, Answer, Check, Question
from .archive_listing import ListedArchive
from .database_hash import hash_checks
from .load_values import LoadReport
from .namespaces import VIEW
from .noted_content import NotedContent
from .questions import answer
from .restored_checks import restored_checks

if t.TYPE_CHECKING:
    from .connection import Client

#: Where users and roles of the archive are kept, so that nobody becomes a user of the scratch server.
USERS_INTO = "lifeboat_verification"
_SERVERS_OWN = frozenset(("admin", "config", "local"))


@dataclass(frozen=True)
class RestoredDump:
    """The instance of :class:`recovery.verifier.Instance`; *archive* is what level 2 read, *report* what was loaded."""

    client: Client
    noted: NotedContent
    archive: ListedArchive
    report: LoadReport
    versions: t.Mapping[str, t.Any]

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """Versions, and how much was loaded."""
        return {
            **self.versions,
            "collections": len(self.report.collections),
            "documents": self.report.documents,
            "users": self.report.users,
            "roles": self.report.roles,
            "oplog": self.report.oplog.as_dict() if self.report.oplog is not None else None,
            "left_out": list(self.report.left_out),
        }

    def compare(self) -> t.Iterator[Check]:
        """Counts, indexes, options, noted hashes, the server's own validate. Raises MongoUnreachable and MongoError."""
        yield from restored_checks(
            self.client,
            report=self.report,
            archived={".".join(key): one for key, one in self.archive.collections.items()},
            noted={".".join(key): one.documents for key, one in self.noted.collections.items()},
        )
        yield from hash_checks(
            self.client,
            noted={key: one.dbhash for key, one in self.noted.collections.items() if one.dbhash is not None},
            targets={_parts(one.source): _parts(one.target) for one in self.report.collections},
        )
        yield from self._people()

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Each collection, by its name in the dumped database or as ``database.collection``."""
        there: dict[str, list[str]] = {}
        for one in self.report.collections:
            database, _dot, name = one.target.partition(".")
            if name in self._names(database):
                for known_as in (one.target, name):
                    there.setdefault(known_as, []).append(one.target)
        for name in names:
            found = there.get(name)
            if not found:
                yield Check(
                    name=f"required {name}",
                    state=FAILED,
                    message=f"The required collection {name} is not there.",
                    expected=name,
                )
                continue
            shown = ", ".join(f"{full} ({self._count(full)} documents)" for full in found)
            yield Check(
                name=f"required {name}",
                state=PASSED,
                message=f"The required collection is there: {shown}.",
                found=found,
            )

    def ask(self, question: Question) -> Answer:
        """A count, find or aggregate question. Raises QuestionFailed."""
        return answer(question, client=self.client, database=self._database)

    @property
    def _database(self) -> str | None:
        """The database that is meant where none is named: the dumped one, or the only one of users."""
        if self.noted.database is not None:
            return self.noted.database
        own = [name for name in self.archive.databases if name not in _SERVERS_OWN]
        return own[0] if len(own) == 1 else None

    def _people(self) -> t.Iterator[Check]:
        for kind, loaded in (("users", self.report.users), ("roles", self.report.roles)):
            now = self.client.admin[f"{USERS_INTO}.{kind}"].count_documents({})
            expected = sum(
                end.count
                for (database, name), end in self.archive.ends.items()
                if name == f"$admin.system.{kind}" or (database, name) == ("admin", f"system.{kind}")
            )
            # An oplog may have added and removed some.
            good = loaded == expected and (now == loaded or self.report.oplog is not None)
            if expected or not good:
                yield Check(
                    name=f"restored {kind}",
                    state=PASSED if good else FAILED,
                    message=f"{now} of {expected} {kind} of the archive could be restored.",
                    expected=expected,
                    found=now,
                )

    def _names(self, database: str) -> frozenset[str]:
        return frozenset(self.client[database].list_collection_names())

    def _count(self, full: str) -> int:
        database, _dot, name = full.partition(".")
        is_view = any(one.target == full and one.type == VIEW for one in self.report.collections)
        handle = self.client[database][name]
        return int(handle.count_documents({}) if is_view else handle.estimated_document_count())


def _parts(full_name: str) -> tuple[str, str]:
    database, _dot, name = full_name.partition(".")
    return database, name
