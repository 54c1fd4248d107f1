# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of docs/iam: what each lets its owner do, and what nobody may."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from tests.support.iam import Policy, Question, like, questions_of, read_policy

ROOT = pathlib.Path(__file__).parents[3]
NAMES = ("copier", "host", "keeper", "pruner", "reader")
BUCKET = "arn:aws:s3:::acme-backups"
BACKUP = f"{BUCKET}/production/shop/main/base/20261121T020000Z-4f2c91"
STREAM = f"{BUCKET}/production/shop/main/wal/7301234567890123456"
FOREIGN = "arn:aws:s3:::acme-backups/staging/shop/main/base/20261121T020000Z-4f2c91"


def policy(name: str) -> Policy:
    return read_policy(ROOT / f"docs/iam/{name}.json")


def allowed(action: str, resource: str, **context: str) -> set[str]:
    """Whose policy allows it; *context* by its last word: prefix, days."""
    keys = {"prefix": "s3:prefix", "days": "s3:object-lock-remaining-retention-days"}
    question = Question(action, resource, {keys[word]: value for word, value in context.items()})
    return {name for name in NAMES if policy(name).allows(question)}


def test_there_are_no_others() -> None:
    assert sorted(path.stem for path in (ROOT / "docs/iam").iterdir()) == list(NAMES)


@pytest.mark.parametrize(
    ("action", "resource", "who"),
    [
        ("s3:PutObject", f"{BACKUP}/base.tar.zst.age", {"copier", "host"}),
        ("s3:PutObject", f"{BACKUP}/manifest.json", {"copier", "host"}),
        ("s3:PutObject", f"{STREAM}/segments/00000001/0.zst", {"copier", "host"}),
        ("s3:PutObject", f"{STREAM}/records/2026112119/1.json", {"copier", "host"}),
        ("s3:PutObject", f"{BACKUP}/verification-1.json", {"copier", "reader"}),
        ("s3:PutObject", f"{BACKUP}/removal-1.json", {"pruner"}),
        ("s3:PutObject", f"{BACKUP}/sweep-1.json", {"copier", "host", "pruner"}),
        ("s3:PutObject", f"{BACKUP}/pin-1.json", {"copier", "keeper"}),
        ("s3:PutObject", f"{STREAM}/floors/2026112119.json", {"pruner"}),
        ("s3:PutObject", f"{BUCKET}/production/.lifeboat/prune.json", {"pruner"}),
        ("s3:PutObject", f"{BUCKET}/production/.lifeboat-check", {"copier", "host", "pruner"}),
        ("s3:GetObject", f"{BACKUP}/base.tar.zst.age", {"copier", "reader"}),
        ("s3:GetObject", f"{STREAM}/segments/00000001/0.zst", {"copier", "reader"}),
        ("s3:GetObject", f"{BACKUP}/manifest.json", set(NAMES)),
        ("s3:GetObject", f"{STREAM}/records/2026112119/1.json", set(NAMES)),
        ("s3:DeleteObject", f"{BACKUP}/base.tar.zst.age", {"pruner"}),
        ("s3:DeleteObjectVersion", f"{BACKUP}/base.tar.zst.age", {"pruner"}),
        ("s3:DeleteObjectVersion", f"{STREAM}/segments/00000001/0.zst", {"pruner"}),
        ("s3:DeleteObject", f"{BACKUP}/pin-1.json", {"keeper", "pruner"}),
        ("s3:DeleteObjectVersion", f"{BACKUP}/manifest.json", {"pruner"}),
        ("s3:AbortMultipartUpload", f"{BACKUP}/base.tar.zst.age", {"copier", "host", "pruner"}),
        ("s3:GetObjectRetention", f"{BACKUP}/base.tar.zst.age", {"keeper", "pruner"}),
        ("s3:PutObjectRetention", f"{BACKUP}/base.tar.zst.age", {"copier", "host", "keeper"}),
        ("s3:PutObjectRetention", f"{BACKUP}/verification-1.json", {"copier", "host", "keeper", "reader"}),
        ("s3:GetObjectLegalHold", f"{BACKUP}/base.tar.zst.age", {"keeper", "pruner"}),
        ("s3:PutObjectLegalHold", f"{BACKUP}/base.tar.zst.age", {"keeper"}),
        ("s3:ListBucketMultipartUploads", BUCKET, {"copier", "host", "pruner"}),
        ("s3:GetBucketVersioning", BUCKET, {"keeper", "pruner"}),
        ("s3:GetBucketObjectLockConfiguration", BUCKET, {"keeper", "pruner"}),
    ],
)
def test_each_may_do_his_own_work(action: str, resource: str, who: set[str]) -> None:
    assert allowed(action, resource) == who


@pytest.mark.parametrize(
    "action",
    [
        "s3:BypassGovernanceRetention",
        "s3:PutBucketVersioning",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
        "s3:DeleteBucket",
    ],
)
@pytest.mark.parametrize("resource", [BUCKET, f"{BACKUP}/manifest.json", FOREIGN])
def test_nobody_may_undo_the_protection_even_where_another_policy_allows_all(action: str, resource: str) -> None:
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    for name in NAMES:
        assert not policy(name).allows(Question(action, resource))
        generous = Policy(statements=(*policy(name).statements, everything))
        assert not generous.allows(Question(action, resource)), name


@pytest.mark.parametrize("action", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectLegalHold"])
@pytest.mark.parametrize("name", ["copier", "host", "reader"])
def test_who_makes_or_reads_backups_deletes_none_even_where_another_policy_allows_all(name: str, action: str) -> None:
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    generous = Policy(statements=(*policy(name).statements, everything))
    assert generous.allows(Question("s3:GetBucketPolicy", BUCKET))
    assert not generous.allows(Question(action, f"{BACKUP}/manifest.json"))


@pytest.mark.parametrize(
    "key",
    [
        f"{BACKUP}/removal-1.json",  # it would hide the backup, and the pruner's next run would finish the removal
        f"{STREAM}/floors/2026112119.json",  # it would hide the stream's past
        f"{BUCKET}/production/.lifeboat/prune.json",  # nobody else could prune for six hours
        f"{BACKUP}/verification-1.json",  # a bad backup would count as proved, and good ones go in its place
        f"{BACKUP}/pin-1.json",  # it would be paid for for ever
    ],
)
def test_a_stolen_host_can_not_have_others_remove_or_keep(key: str) -> None:
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    generous = Policy(statements=(*policy("host").statements, everything))
    assert not generous.allows(Question("s3:PutObject", key))


def test_what_lies_elsewhere_in_the_bucket_is_nobody_s() -> None:
    actions = {
        action
        for name in NAMES
        for statement in policy(name).statements
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert len(actions) > 10
    for action in actions:
        assert allowed(action, f"{FOREIGN}/manifest.json") == set(), action
        assert allowed(action, "arn:aws:s3:::other/production/shop/main/base/x.json") == set(), action


def test_only_the_repository_can_be_listed() -> None:
    for action, who in (
        ("s3:ListBucket", set(NAMES)),
        ("s3:ListBucketVersions", {"keeper", "pruner"}),
    ):
        assert allowed(action, BUCKET, prefix="production/") == who
        assert allowed(action, BUCKET, prefix="production/shop/") == who
        assert allowed(action, BUCKET, prefix="") == set()
        assert allowed(action, BUCKET, prefix="staging/") == set()
        assert allowed(action, BUCKET) == set()


def test_a_stolen_host_can_not_lock_the_bucket_for_ever() -> None:
    """Nor can a verifier: locks for a hundred years would have to be paid for a hundred years."""
    key = f"{BACKUP}/verification-1.json"
    assert allowed("s3:PutObjectRetention", key, days="35") == {"copier", "host", "keeper", "reader"}
    assert allowed("s3:PutObjectRetention", key, days="400") == {"copier", "host", "keeper", "reader"}
    assert allowed("s3:PutObjectRetention", key, days="401") == {"keeper"}


# --- the evaluator itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "pattern", "matches"),
    [
        ("a/b/c.json", "a/*.json", True),
        ("a/b.json.zst", "a/*.json", False),
        ("abc", "a?c", True),
        ("abbc", "a?c", False),
        ("a.c", "a?c", True),
        ("abc", "a.c", False),
        ("a", "*", True),
        ("", "*", True),
        ("A", "a", False),
    ],
)
def test_patterns(value: str, pattern: str, matches: bool) -> None:
    assert like(value, pattern) is matches


def test_an_explicit_deny_wins_and_silence_is_no() -> None:
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": ["s3:delete*"], "Resource": "arn:aws:s3:::b/a*"}
    both = Policy(statements=(allow, deny))
    assert both.allows(Question("s3:DeleteObject", "arn:aws:s3:::b/b"))
    assert not both.allows(Question("s3:DeleteObject", "arn:aws:s3:::b/a"))
    assert both.allows(Question("s3:GetObject", "arn:aws:s3:::b/a"))
    assert not Policy(statements=(deny,)).allows(Question("s3:GetObject", "arn:aws:s3:::b/a"))


@pytest.mark.parametrize(
    "text",
    [
        '{"Version": "2008-10-17", "Statement": []}',
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}]}',
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": {}}]}',
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Condition": {"IpAddress": {"a": "::1"}}}]}',
        '{"Version": "2012-10-17", "Statement": [{"Effect": "allow", "Action": "s3:*", "Resource": "*"}]}',
    ],
)
def test_what_the_evaluator_does_not_know_it_does_not_decide(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json"):
        read_policy(tmp_path / "x.json")


def test_requests_ask_for_what_amazon_asks_for() -> None:
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
    until = now + datetime.timedelta(days=35)
    put = questions_of("PutObject", {"Bucket": "b", "Key": "k", "ObjectLockRetainUntilDate": until}, now=now)
    assert [question.action for question in put] == ["s3:PutObject", "s3:PutObjectRetention"]
    assert put[1].context == {"s3:object-lock-remaining-retention-days": "35"}
    delete = {"Objects": [{"Key": "k"}, {"Key": "m", "VersionId": "1"}]}
    assert questions_of("DeleteObjects", {"Bucket": "b", "Delete": delete}, now=now) == [
        Question("s3:DeleteObject", "arn:aws:s3:::b/k"),
        Question("s3:DeleteObjectVersion", "arn:aws:s3:::b/m"),
    ]
    with pytest.raises(KeyError):
        questions_of("PutBucketAcl", {"Bucket": "b", "Key": ""}, now=now)
