# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pattern leaves out, and what it must not."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.patterns import Patterns


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.pyc", "srv/app/a.pyc", True),
        ("*.pyc", "srv/app/a.py", False),
        ("*.pyc", "a.pyc", True),
        ("__pycache__", "srv/app/__pycache__", True),
        ("__pycache__", "srv/app/__pycache__2", False),
        ("conf.d/*.bak", "etc/app/conf.d/x.bak", True),
        ("conf.d/*.bak", "etc/app/conf.d/sub/x.bak", False),
        ("conf.d/**/*.bak", "etc/app/conf.d/sub/deep/x.bak", True),
        ("conf.d/**/*.bak", "etc/app/conf.d/x.bak", True),
        ("/etc/ssl/private", "etc/ssl/private", True),
        ("/etc/ssl/private/", "etc/ssl/private", True),
        ("/etc/ssl/private", "srv/etc/ssl/private", False),
        ("/etc/*", "etc/a/b", False),
        ("/etc/**", "etc/a/b", True),
        ("?.conf", "etc/a.conf", True),
        ("?.conf", "etc/ab.conf", False),
        ("[ab].conf", "etc/b.conf", True),
        ("[!ab].conf", "etc/b.conf", False),
        ("[a.conf", "etc/[a.conf", True),
        ("a+b", "etc/a+b", True),
        ("*", "etc/line\nfeed", True),
        ("*.conf", "etc/x.conf\n", False),
    ],
)
def test_what_is_matched(pattern: str, path: str, matches: bool) -> None:
    assert Patterns([pattern]).match(path) is matches


def test_what_is_below_a_match_matches() -> None:
    patterns = Patterns(["/etc/ssl"])
    assert patterns.match_any("etc/ssl/private/key.pem")
    assert not patterns.match("etc/ssl/private/key.pem")
    assert not patterns.match_any("etc/ssl2")


@pytest.mark.parametrize("pattern", ["", "/", "a\0b"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(RequestInvalid):
        Patterns([pattern])
