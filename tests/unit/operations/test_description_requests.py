# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people call a source or a backup, and what they hear when it is neither."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.description_requests import (
    selection_of,
)


def test_a_source_and_a_kind_of_its_backups() -> None:
    source, kind = selection_of("shop/main"), selection_of("shop/main/base")
    assert (source.service, source.source, source.kind) == ("shop", "main", None)
    assert (kind.service, kind.source, kind.kind) == ("shop", "main", "base")


@pytest.mark.parametrize("text", ["shop", "shop/main/base/20261121T020000Z-4f2c91", ""])
def test_anything_else_is_refused_with_what_restores_and_recoveries_take(text: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        selection_of(text)
    assert "Write SERVICE/SOURCE, or SERVICE/SOURCE/KIND" in refused.value.hint
    assert "label" in refused.value.hint
