# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same description is checked once: its schema takes a third of a second."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description import description

Loaded = t.Callable[[t.Mapping[str, t.Any]], t.Any]
_KNOWN: dict[str, t.Any] = {}


@pytest.fixture(autouse=True)
def _remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ansible")
    load: Loaded = description.load_description

    def remembered(mapping: t.Mapping[str, t.Any]) -> t.Any:
        text = json.dumps(mapping, sort_keys=True)
        if text not in _KNOWN:
            _KNOWN[text] = load(mapping)
        return _KNOWN[text]

    monkeypatch.setattr(description, "load_description", remembered)
