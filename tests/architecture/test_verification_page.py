# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/verification.md shows what the tests prove, and its examples are taken by the code."""

from __future__ import annotations

import json
import pathlib
import re

import jsonschema
import pytest
import yaml

from lifeboat.catalog.verification import parse_verification
from lifeboat.catalog.verification_schema import VERIFICATION_SCHEMA
from lifeboat.operations.verify_values import proof_from
from tools import verification_table

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/verification.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_table_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    status = verification_table.main(["--check"])
    assert status == 0, capsys.readouterr().err


def test_a_table_that_differs_is_found(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8").replace("shorter than it was | 0 |", "shorter than it was | 1 |"))
    monkeypatch.setattr(verification_table, "PAGE", page)
    assert verification_table.main(["--check"]) == 1


def test_the_examples_are_questions() -> None:
    examples = [yaml.safe_load(block)["verify"] for block in blocks("yaml")]
    proofs = [proof_from(example) for example in examples]
    assert {question.way for proof in proofs for question in proof.questions} == {"count", "sql", "redis"}
    assert [len(proof.require) for proof in proofs] == [2, 2, 0]


def test_the_example_of_a_document_is_one() -> None:
    (block,) = blocks("json")
    document = json.loads(block)
    jsonschema.Draft202012Validator(VERIFICATION_SCHEMA).validate(document)
    read = parse_verification(block.encode(), key="k", backup_id=document["backup"])
    assert not read.passed
    assert (read.level, read.reached) == (4, 3)
