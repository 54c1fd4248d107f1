# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/object-lock.md``: its commands run by Amazon's own program on a real S3 server, its examples read."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.conformance.s3_places import bare, open_bucket
from tests.integration.runbooks.walk import PAGES
from tests.support.iam import Question, read_policy
from tests.support.pages import read_page
from tests.support.policy_server import BUCKET, FOLDER, NAMES, PREFIX, PolicyServer

pytestmark = pytest.mark.slow

PAGE = PAGES / "object-lock.md"
KEY = "shop/main/base/20261121T020000Z-4f2c91/manifest.json"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.interop
def test_its_commands_do_what_it_says(tmp_path: Path) -> None:
    """Not those of section 3: the server has no IAM, the policies are in its own file."""
    if shutil.which("aws") is None:
        pytest.skip("there is no aws on PATH: pip install awscli")
    page = read_page(PAGE)
    with PolicyServer() as server:
        host = open_bucket(
            server,
            BUCKET,
            PREFIX,
            identity=server.users["host"],
            object_lock={"mode": "governance", "retain": "policy"},
            retain_for=datetime.timedelta(days=30),
        )
        host.put(KEY, b"{}")
        credentials = tmp_path / "credentials"
        credentials.write_text(
            "".join(
                f"[{name}]\naws_access_key_id = {who.access_key}\naws_secret_access_key = {who.secret_key}\n"
                for name, who in (("default", server.administrator), ("host", server.users["host"]))
            )
        )
        tomorrow = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(days=1)
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(tmp_path),
            "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ENDPOINT_URL": server.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "REGION": server.region,
            "AWS_REGION": server.region,
            "KEY": f"{PREFIX}/{KEY}",
            "TOMORROW": tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        before = Path.cwd()
        os.chdir(tmp_path)
        try:
            page.run(["1. The bucket"], environment={**environment, "BUCKET": "acme-new"})
            page.run(["4. Does it hold?"], environment={**environment, "BUCKET": BUCKET})
        finally:
            os.chdir(before)
        assert host.get(KEY) == b"{}"
        assert len(list(open_bucket(server, BUCKET, PREFIX).versions(KEY))) == 1


def test_its_policies_are_made_one_s_own_by_one_command(tmp_path: Path) -> None:
    [command] = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("sed ")]
    assert "docs/iam/host.json" in command
    subprocess.run(
        ["bash", "-eu", "-c", command.replace("docs/iam/host.json", str(FOLDER / "host.json"))],
        cwd=tmp_path,
        check=True,
    )
    policy = read_policy(tmp_path / "host.json")
    assert policy.allows(Question("s3:PutObject", "arn:aws:s3:::BUCKET/PREFIX/shop/main/base/x.zst"))
    assert not policy.allows(Question("s3:DeleteObject", "arn:aws:s3:::BUCKET/PREFIX/shop/main/base/x.zst"))
    assert "acme" not in (tmp_path / "host.json").read_text()


def test_its_description_locks_by_policy() -> None:
    [text] = blocks("yaml")
    job = {"kind": "logical", "schedule": "0 2 * * *", "repositories": ["offsite"], "keep": {"within": "30d"}}
    source = {"name": "main", "engine": "postgresql", "connection": {"host": "db"}, "backups": [job]}
    service = {"name": "shop", "objectives": {"rpo": "1d", "rto": "2h"}, "sources": [source]}
    description = load_description({**yaml.safe_load(text), "lifeboat_services": [service]})
    [repository] = description.repositories
    storage = bare(open_storage(repository.description, name="offsite", clock=SystemClock(), runner=SubprocessRunner()))
    lock = storage._options.object_lock
    assert lock is not None
    assert (lock.mode, lock.retain) == ("GOVERNANCE", None)
    assert (storage._options.bucket, storage._options.prefix) == (BUCKET, PREFIX)


def test_what_it_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"\(\.\./iam/(\w+)\.json\)", text))) == list(NAMES)
    codes = set(re.findall(r"`(storage\.\w+)`", text))
    known = {value.code for value in vars(errors).values() if isinstance(value, type) and hasattr(value, "code")}
    assert codes
    assert codes <= known
    for name in re.findall(r"`((?:tests/conformance/)?test_\w+\.py)`", text):
        assert (PAGES.parents[1] / "tests/conformance" / Path(name).name).exists(), name
    statements = {s["Sid"] for name in NAMES for s in json.loads((FOLDER / f"{name}.json").read_text())["Statement"]}
    for word in ("ReadWhatIsKnownAboutBackups", "ListTheRepository"):
        assert word in text
        assert word in statements
