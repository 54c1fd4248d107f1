# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server says becomes an error with a name; what it repeats of AUTH is kept out."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    RedisAuthenticationFailed,
    RedisCommandFailed,
    RedisCommandUnavailable,
    RedisLoading,
    RedisPermissionDenied,
    RedisProtectedMode,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.faults import ACL_RULES, command_error

PEER = "127.0.0.1:6379"


@pytest.mark.parametrize(
    ("text", "words", "error", "says"),
    [
        ("NOPERM this user has no permissions to run the 'bgsave'", ["BGSAVE"], RedisPermissionDenied, "BGSAVE"),
        ("NOPERM User u has no permissions to run the 'config|get' command", ["CONFIG", "GET", "dir"],
         RedisPermissionDenied, "CONFIG GET"),
        ("NOPERM this user has no permissions to run the 'auth' command", ["AUTH", "x"], RedisPermissionDenied, "AUTH"),
        ("NOAUTH Authentication required.", ["PING"], RedisAuthenticationFailed, "asks for a password"),
        ("WRONGPASS invalid username-password pair or user is disabled.", ["AUTH", "x"], RedisAuthenticationFailed,
         "does not accept"),
        ("ERR invalid password", ["AUTH", "x"], RedisAuthenticationFailed, "does not accept"),
        ("ERR AUTH <password> called without any password configured for the default user.", ["AUTH", "x"],
         RedisAuthenticationFailed, "has none"),
        ("ERR Client sent AUTH, but no password is set", ["AUTH", "x"], RedisAuthenticationFailed, "has none"),
        ("ERR wrong number of arguments for 'auth' command", ["AUTH", "u", "x"], RedisAuthenticationFailed, "older"),
        ("LOADING Redis is loading the dataset in memory", ["AUTH", "x"], RedisLoading, "loading"),
        ("DENIED Redis is running in protected mode because", ["PING"], RedisProtectedMode, "protected mode"),
        ("ERR unknown command 'BGSAVE', with args beginning with: ", ["BGSAVE"], RedisCommandUnavailable, "renamed"),
        ("ERR something else", ["BGSAVE"], RedisCommandFailed, "something else"),
    ],
)  # fmt: skip
def test_named(text: str, words: list[str], error: type[LifeboatError], says: str) -> None:
    found = command_error(text, command=words[0], words=words, peer=PEER)
    assert isinstance(found, error)
    assert says in found.message
    assert PEER in found.message


def test_a_permission_comes_with_the_rules_that_are_needed() -> None:
    found = command_error("NOPERM", command="SYNC", words=["SYNC"], peer=PEER)
    assert ACL_RULES in found.hint
    assert found.details == {"command": "SYNC", "server": PEER}


def test_auth_is_never_quoted() -> None:
    # A server on which AUTH was renamed answers with the beginning of what it was given.
    text = "ERR unknown command 'AUTH', with args beginning with: 'hunter2' "
    found = command_error(text, command="AUTH", words=["AUTH", "hunter2"], peer=PEER)
    assert "hunter2" not in str(found) + repr(found.as_dict())
