# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""URIs are shown without their secrets and pointed at one member without losing anything else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.uri import direct_uri, seeds, shown_uri


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://h", "mongodb://h"),
        ("mongodb://h:1,i:2/", "mongodb://h:1,i:2"),
        ("mongodb://ann:secret@h:1/app?replicaSet=rs0", "mongodb://h:1/app"),
        ("mongodb+srv://ann:secret@cluster.example/?w=1", "mongodb+srv://cluster.example"),
        ("mongodb://ann:s%40cret@[::1]:27017/", "mongodb://[::1]:27017"),
        # Not a URI: an @ that should have been %40. Nothing of it is safe.
        ("mongodb://ann:sec@ret@h/app", "the MongoDB URI"),
        ("mongodb://ann:sec/ret@h/app", "the MongoDB URI"),
        ("mongodb://ann:secret", "the MongoDB URI"),
        ("mongodb://ann:secret?w=1", "the MongoDB URI"),
        ("secret", "the MongoDB URI"),
    ],
)
def test_no_secret_is_shown(uri: str, shown: str) -> None:
    assert shown_uri(uri) == shown


@settings(deadline=None)
@given(st.text(alphabet="a@:/?#%[]&=,+", max_size=12))
def test_no_part_of_a_password_is_shown(middle: str) -> None:
    # However the password is written, it never gets into a message.
    for uri in (f"mongodb://ann:SECRET{middle}@host/app", f"mongodb://ann:{middle}SECRET@host/app"):
        assert "SECRET" not in shown_uri(uri)


def test_seeds() -> None:
    assert seeds("mongodb://ann:x@one,two:27018,[::1]:27019/?tls=true") == (
        ("one", 27017),
        ("two", 27018),
        ("::1", 27019),
    )


def test_one_member_keeps_credentials_and_options() -> None:
    uri = "mongodb://ann:s%40cret@one,two/app?replicaSet=rs0&authSource=admin&readPreference=secondary&directConnection=false"
    assert direct_uri(uri, host="three:27019") == (
        "mongodb://ann:s%40cret@three:27019/app?replicaSet=rs0&authSource=admin&directConnection=true"
    )
    assert direct_uri("mongodb://one", host="two:1") == "mongodb://two:1/?directConnection=true"
