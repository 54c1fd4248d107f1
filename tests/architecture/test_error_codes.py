# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/error-codes.md says what the code says, and a malformed error is found."""

from __future__ import annotations

import ast
import pathlib
import types

import pytest

from lifeboat.core import errors
from tools import error_codes

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    status = error_codes.main(["--check"])
    assert status == 0, capsys.readouterr().out


def test_every_error_of_the_engine_is_listed() -> None:
    page = error_codes.page()
    assert len(error_codes.known_errors()) > 20
    assert all(f"`{item.code}`" in page for item in error_codes.known_errors())


def declared_elsewhere(text: str) -> list[str]:
    known = {item.__name__ for item in error_codes.known_errors()}
    classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if known & {ast.unparse(base).rpartition(".")[2] for base in node.bases}]


def test_every_error_of_ours_stands_in_the_file_that_is_read() -> None:
    root = ROOT / "plugins/module_utils/_engine"
    files = [path for path in root.rglob("*.py") if path != root / "core/errors.py"]
    assert len(files) > 10
    elsewhere = [f"{path.relative_to(root)}: {name}" for path in files for name in declared_elsewhere(path.read_text())]
    assert not elsewhere, "declared in core/errors.py, an error gets a code and a line of documentation"
    assert declared_elsewhere("class Late(errors.LifeboatError): ...") == ["Late"]
    assert declared_elsewhere("class Ended(Exception): ...") == []


def test_an_outdated_page_is_found(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "error-codes.md"
    page.write_text(error_codes.page().replace("lock.held", "lock.kept"))
    monkeypatch.setattr(error_codes, "PAGE", page)
    assert error_codes.main(["--check"]) == 1
    assert "+| `lock.held`" in capsys.readouterr().out
    assert error_codes.main([]) == 0
    assert error_codes.main(["--check"]) == 0


def declare(name: str, **attributes: object) -> types.SimpleNamespace:
    return types.SimpleNamespace(
        __name__=__name__, Made=type(name, (errors.LifeboatError,), {"__module__": __name__, **attributes})
    )


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        pytest.param({"__doc__": "Something."}, "code None", id="no code of its own"),
        pytest.param({"__doc__": "Something.", "code": "Lock Held"}, "not of the form", id="a code of another form"),
        pytest.param({"code": "lock.lost"}, "no docstring", id="no meaning"),
    ],
)
def test_a_malformed_error_is_refused(attributes: dict[str, object], complaint: str) -> None:
    with pytest.raises(error_codes.Malformed, match=complaint):
        error_codes.known_errors(declare("Made", **attributes))


def test_two_errors_with_one_code_are_refused() -> None:
    module = declare("One", code="lock.lost", __doc__="One.")
    module.Other = type(
        "Other", (errors.LifeboatError,), {"__module__": __name__, "code": "lock.lost", "__doc__": "Two."}
    )
    with pytest.raises(error_codes.Malformed, match="same code"):
        error_codes.known_errors(module)
