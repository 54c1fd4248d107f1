# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting objects of streams, where that is wanted with all that the storage kept of them."""

from __future__ import annotations

import itertools
import typing as t

from ..storage.base import DeleteReport, Storage
from ..storage.s3_parallel import at_once

_LISTING_AT_ONCE = 8


def delete_objects(storage: Storage, keys: t.Sequence[str], *, everything: bool) -> DeleteReport:
    """Delete these; with *everything* their older versions and delete markers, too. Raises what the storage raises."""
    if not keys:
        return DeleteReport()
    if not everything:
        return storage.delete(keys)
    wanted = frozenset(keys)
    prefixes = sorted({key.rpartition("/")[0] + "/" for key in keys})
    listed = at_once(lambda prefix: list(storage.versions(prefix)), prefixes, most=_LISTING_AT_ONCE)
    versions = [one for one in itertools.chain.from_iterable(listed) if one.key in wanted]
    versioned = {one.key for one in versions}
    plain = [key for key in keys if key not in versioned]
    reports = [storage.delete_versions(versions)] if versions else []
    reports += [storage.delete(plain)] if plain else []
    return DeleteReport(
        deleted=tuple(key for one in reports for key in one.deleted),
        refused={key: why for one in reports for key, why in one.refused.items()},
        deferred={key: until for one in reports for key, until in one.deferred.items()},
        causes=tuple(cause for one in reports for cause in one.causes),
    )
