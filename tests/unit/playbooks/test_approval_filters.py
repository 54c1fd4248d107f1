# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who must approve a failover, as its play asks the description."""

from __future__ import annotations

import pytest

from tests.support.approvals import public_key
from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter.approval_play import failover_approvals


def asked(service: str, **approvals: object) -> object:
    data = description()
    if approvals:
        data["lifeboat_services"][0]["approvals"] = approvals
    return failover_approvals(data["lifeboat_services"], data["lifeboat_repositories"], None, service)


def test_the_service_s_own_and_nothing_where_nobody_must() -> None:
    signers = [{"name": "ada", "key": public_key("ada")}]
    assert asked("family", needed=1, signers=signers) == {"needed": 1, "signers": signers}
    assert asked("adhd", needed=1, signers=signers) == {}
    assert asked("family") == {}


def test_a_service_that_nobody_describes_and_a_wrong_description_stop_the_play() -> None:
    with pytest.raises(AnsibleFilterError, match="nobody can tell who must approve"):
        asked("shop")
    with pytest.raises(AnsibleFilterError, match="must approve, and there are 1"):
        asked("family", needed=2, signers=[{"name": "ada", "key": public_key("ada")}])
