# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings of versions and delete markers.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from __future__ import annotations

import itertools
import typing as t

from .base import ObjectVersion, is_key
from .s3_connection import S3Connection, object_info
from .s3_parallel import at_once

_LISTING_AT_ONCE = 8


class S3Versions:
    """What lies below the prefix of one repository, old states included.

    SeaweedFS (4.48) loses versions of ``a`` where a page of a thousand ends at ``a-b`` or ``a.b``: it goes through them
    in another order than it names them in. of_keys() asks for such a name once more; what below() leaves out it finds
    another time.
    """

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection

    def below(self, prefix: str) -> t.Iterator[ObjectVersion]:
        """All of the keys that begin with *prefix*, those of one key together, the latest of it first."""
        for page in self._pages(prefix):
            yield from self._in_order(page)

    def of_keys(self, keys: t.Sequence[str]) -> list[ObjectVersion]:
        """All versions and markers of exactly those keys."""
        folders: dict[str, list[str]] = {}
        for key in keys:
            folders.setdefault(key.rpartition("/")[0], []).append(key)
        found = at_once(self._of_folder, list(folders.values()), most=_LISTING_AT_ONCE)
        return list(itertools.chain.from_iterable(found))

    def _of_folder(self, keys: t.Sequence[str]) -> list[ObjectVersion]:
        """The versions of keys that lie in one folder: by listing it, or one by one where that is fewer requests."""
        wanted = frozenset(keys)
        root = self._connection.options.root
        found: list[ObjectVersion] = []
        doubtful: frozenset[str] = frozenset()
        # What lies in folders below is left out by the service.
        pages = self._pages(_common_start(keys), Delimiter="/")
        for number, page in enumerate(pages, start=1):
            found += [version for version in self._read(page) if version.key in wanted]
            if number == len(wanted) and page.get("IsTruncated"):
                break
            doubtful |= _beginnings(page.get("NextKeyMarker", "")[len(root) :]) & wanted
        else:
            sure = [version for version in found if version.key not in doubtful]
            return [*sure, *(version for key in sorted(doubtful) for version in self._of_key(key))]
        return [version for key in keys for version in self._of_key(key)]

    def _of_key(self, key: str) -> t.Iterator[ObjectVersion]:
        for page in self._pages(key, Delimiter="/"):
            versions = list(self._read(page))
            yield from (version for version in versions if version.key == key)
            # Longer names come behind it.
            if any(version.key != key for version in versions):
                return

    def _pages(self, prefix: str, **arguments: str) -> t.Iterator[t.Any]:
        root = self._connection.options.root
        return self._connection.pages(
            "list_object_versions", doing=f"list versions of {prefix}", Prefix=root + prefix, **arguments
        )

    def _in_order(self, page: t.Any) -> t.Iterator[ObjectVersion]:
        """The versions of a page by key: the service gives versions and markers apart."""
        root = self._connection.options.root
        by_key: dict[str, list[ObjectVersion]] = {}
        # A key whose versions fill more than the page: it began in the one before, or goes on in the next.
        by_key[page.get("KeyMarker", "")[len(root) :]] = []
        for version in self._read(page):
            by_key.setdefault(version.key, []).append(version)
        last = page.get("NextKeyMarker", "")[len(root) :]
        by_key[last] = by_key.pop(last, [])
        for versions in by_key.values():
            versions.sort(key=lambda version: (version.is_latest, version.modified), reverse=True)
            yield from versions

    def _read(self, page: t.Any) -> t.Iterator[ObjectVersion]:
        root = self._connection.options.root
        for kind in ("Versions", "DeleteMarkers"):
            for found in page.get(kind, ()):
                key = found["Key"][len(root) :]
                if not is_key(key):
                    continue
                info = object_info(key, size=found.get("Size", 0), modified=found["LastModified"])
                yield ObjectVersion(
                    key=key,
                    version_id=found["VersionId"],
                    size=info.size,
                    modified=info.modified,
                    is_latest=found["IsLatest"],
                    is_marker=kind == "DeleteMarkers",
                )


def _common_start(names: t.Sequence[str]) -> str:
    """The characters that all of *names* begin with."""
    first, last = min(names), max(names)
    length = next(
        (place for place, pair in enumerate(zip(first, last)) if pair[0] != pair[1]), min(len(first), len(last))
    )
    return first[:length]


def _beginnings(name: str) -> frozenset[str]:
    """All shorter names that *name* begins with."""
    return frozenset(name[:length] for length in range(1, len(name)))
