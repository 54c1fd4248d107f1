# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat verify`` and ``lifeboat restore`` as somebody types them at night, with real servers and real backups."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import verify_run
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis import beside
from tests.integration.redis.daemons import Daemon
from tests.integration.redis.servers import digest, fill
from tests.support.command_line import CommandLine, Said, describe

pytestmark = pytest.mark.slow
LOCAL = "shop/cache/rdb"


@dataclass
class Place:
    """A server, a repository, a description; *lifeboat* runs a command."""

    folder: pathlib.Path
    server: Daemon
    lifeboat: CommandLine

    @property
    def target(self) -> str:
        return f"redis at 127.0.0.1:{self.server.port}"

    def in_place(self, *more: str) -> tuple[str, ...]:
        control = self.server.control
        commands = [f"service_control.{name}={command}" for name, command in control.items()]
        return ("restore", LOCAL, "--in-place", "--quiet", *(word for one in commands for word in ("-o", one)), *more)

    def run(self, *words: str) -> Said:
        return self.lifeboat("", *words)


def description(folder: pathlib.Path, port: int, **settings: t.Any) -> dict[str, t.Any]:
    source = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": port},
        "backups": [{"kind": "rdb", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"count": 7}}],
        "verify": {
            "level": 4,
            "schedule": "0 6 * * *",
            "questions": [{"name": "list", "redis": ["LLEN", "list"], "equals": 1000}],
        },
    }
    return {
        "lifeboat_settings": {
            "state_directory": str(folder / "state"),
            "scratch_directory": str(folder / "scratch"),
            **settings,
        },
        "lifeboat_repositories": {"local": {"type": "file", "path": str(folder / "repository"), "create": True}},
        "lifeboat_services": [{"name": "shop", "objectives": {"rpo": "1d", "rto": "2h"}, "sources": [source]}],
    }


@contextlib.contextmanager
def made(folder: pathlib.Path, **settings: t.Any) -> t.Iterator[Place]:
    server = Daemon(folder=folder / "server")
    try:
        server.start()
        fill(server, keys=60)
        lifeboat = describe(folder / "config.yml", description(folder, server.port, **settings))
        yield Place(folder=folder, server=server, lifeboat=lifeboat)
    finally:
        server.kill()


@pytest.fixture
def place(tmp_path: pathlib.Path) -> t.Iterator[Place]:
    with made(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[Place, list[str]]]:
    """A place with two backups that nobody may change: the older one is verified."""
    with made(tmp_path_factory.mktemp("two")) as one:
        backups = []
        for _turn in range(2):
            one.lifeboat("backup shop --quiet").succeeded()
            listed = one.lifeboat("list --json").succeeded().document["backups"]
            backups.append(listed[-1]["id"])
            if len(backups) == 1:
                one.lifeboat(f"verify --quiet {backups[0]}").succeeded()
        yield one, backups


def verified(said: Said) -> list[str]:
    return [outcome["backup"] for outcome in said.succeeded().document["results"]]


def test_verify_from_nothing_to_a_proof_of_all(place: Place) -> None:
    lifeboat = place.lifeboat
    lifeboat("verify").refused("catalog.backup_not_found", hint="lifeboat list")
    lifeboat("backup shop --quiet").succeeded()
    first = lifeboat("list --json").document["backups"][0]["id"]
    plan = lifeboat("verify --dry-run").succeeded().out
    assert plan.splitlines() == [f"{LOCAL}/{first} would be verified to level 4 (questioned); it is complete"]
    assert lifeboat("list --json").document["backups"][0]["verification"] is None, "a plan changes nothing"
    for level, name in enumerate(["present", "intact", "readable", "restored", "questioned"]):
        said = lifeboat(f"verify {LOCAL} --level {level} --quiet").succeeded().out
        assert said.startswith(f"{LOCAL}/{first}: passed, level {level} ({name}) of {level} in ")
        assert ("time to recover" in said) == (level >= 3)
        state = lifeboat("list --json").document["backups"][0]["state"]
        assert state == ("verified" if level >= 3 else "complete")
    # What is proved is neither due nor unverified any more, and that is no error: cron asks every night.
    assert lifeboat("verify --due").succeeded().out == "Nothing is due.\n"
    assert lifeboat("verify --unverified").succeeded().out == "No backup is unverified.\n"
    assert lifeboat("verify --due --json").succeeded().document == {"results": []}

    lifeboat("backup shop --quiet").succeeded()
    second = lifeboat("list --json").document["backups"][1]["id"]
    assert verified(lifeboat("verify --unverified --dry-run --json")) == [second]
    assert verified(lifeboat("verify --due --dry-run --json")) == [second]
    assert verified(lifeboat("verify --newest 5 --level 0 --json")) == [first, second]
    assert len(verified(lifeboat("verify --sample 1 --level 0 --json"))) == 1
    assert verified(lifeboat(f"verify {first} --level 1 --json")) == [first]
    assert verified(lifeboat("verify --due --json --quiet")) == [second]
    # Where the time went is kept: fetched (decrypted and loaded on the way), ready, questioned.
    document = lifeboat(f"show {second} --json").document["verifications"][-1]
    assert {"reading through", "fetching and loading", "starting", "questioning"} <= set(document["stages"])
    assert 0 < document["recovery_seconds"] <= sum(document["stages"].values())
    assert document["plain_bytes"] > 0
    assert list((place.folder / "scratch").glob("*")) == []


def test_a_backup_that_is_not_proved_is_loud_and_shown(place: Place) -> None:
    lifeboat = place.lifeboat
    lifeboat("backup shop --quiet").succeeded()
    backup = lifeboat("list --json").document["backups"][0]["id"]
    with place.server.client() as client:
        client.rpush("list", "one more")
    changed = description(place.folder, place.server.port)
    changed["lifeboat_services"][0]["sources"][0]["verify"]["questions"][0]["equals"] = 1001
    said = describe(place.folder / "changed.yml", changed)("verify --quiet").refused(
        "verify.not_proved", status=1, hint=f"lifeboat show {backup}"
    )
    assert said.out.startswith(f"{LOCAL}/{backup}: FAILED, level 3 (restored) of 4 in ")
    assert "failed: list" in said.out
    assert "1000" in said.out
    assert "1001" in said.out
    shown = lifeboat(f"show {backup} --json").succeeded().document["verifications"]
    assert [check["found"] for check in shown[-1]["checks"] if check["name"] == "list"] == [1000]
    assert '"last_verification"' in lifeboat(f"show {backup}").out
    # What failed is not restored unless somebody insists.
    folder = place.folder / "beside"
    lifeboat(f"restore {LOCAL} -o data_directory={folder}").refused("catalog.backup_not_trusted", hint="--allow-failed")
    lifeboat(f"restore {backup} -o data_directory={folder}").refused(
        "catalog.backup_not_trusted", hint="--allow-failed"
    )
    assert not folder.exists()
    lifeboat(f"restore {backup} --allow-failed -o data_directory={folder} --dry-run").succeeded()


def test_beside(two: tuple[Place, list[str]]) -> None:
    place, (first, second) = two
    lifeboat, folder = place.lifeboat, place.folder / "beside"
    plan = lifeboat(f"restore {LOCAL} -o data_directory={folder} --dry-run").succeeded().out
    assert plan.startswith(f"{LOCAL} would be restored into {folder}\n  from {first} in local: the newest verified; 1 ")
    assert "\n  takes about " in plan
    assert "(1 measured: " in plan
    assert plan.endswith("\n  replaces nothing that exists\n")
    assert not folder.exists()
    newest = lifeboat(f"restore {LOCAL} --point newest -o data_directory={folder} --dry-run --json")
    assert newest.succeeded().document["plan"]["backup"]["id"] == second
    document = lifeboat(f"restore {LOCAL} -o data_directory={folder} --json --quiet").succeeded().document["restore"]
    try:
        assert document["state"] == "finished"
        assert document["backup"]["id"] == first
        answer = subprocess.run([*document["connect"].split(), "LLEN", "list"], capture_output=True, check=True)
        assert answer.stdout.strip() == b"1000"
        lifeboat(f"restore {LOCAL} -o data_directory={folder}").refused("restore.target_invalid", hint="-o NAME=VALUE")
    finally:
        lifeboat(f"restore --roll-back {document['id']}", "--confirm", str(folder)).succeeded()
    assert not folder.exists()
    listed = lifeboat("restore --list").succeeded().out
    assert any(document["id"] in line and "rolled back" in line for line in listed.splitlines())


def test_a_copy_asks_for_the_password_and_says_so(tmp_path: pathlib.Path) -> None:
    with made(tmp_path) as place:
        with place.server.client() as client:
            client.config_set("requirepass", "hush-hush")
        known = description(tmp_path, place.server.port)
        (tmp_path / "password").write_text("hush-hush\n")
        known["lifeboat_services"][0]["sources"][0]["connection"]["password_file"] = str(tmp_path / "password")
        lifeboat, folder = describe(tmp_path / "known.yml", known), tmp_path / "beside"
        lifeboat("backup shop --quiet").succeeded()
        said = lifeboat(f"restore {LOCAL} --point newest --quiet -o data_directory={folder}").succeeded().out
        restore_id = said.partition("  restore: ")[2].partition("\n")[0]
        try:
            assert "warning: It asks for the password of the connection" in said
            assert "hush" not in said
            ask = said.partition("  connect: ")[2].partition("\n")[0].split()
            for variables, answer in (({}, "NOAUTH"), ({"REDISCLI_AUTH": "hush-hush"}, "1000")):
                done = subprocess.run(
                    [*ask, "LLEN", "list"], env={**os.environ, **variables}, capture_output=True, text=True, check=False
                )
                assert answer in done.stdout
        finally:
            lifeboat(f"restore --roll-back {restore_id} --quiet --confirm {folder}").succeeded()


def test_the_list_says_how_long_a_recovery_takes_against_the_objective(two: tuple[Place, list[str]]) -> None:
    place, (_first, second) = two
    [forecast] = place.lifeboat("list --json").succeeded().document["forecasts"]
    assert (forecast["job"], forecast["backup"]) == (LOCAL, second)
    assert (forecast["verdict"], forecast["objective_seconds"]) == ("met", 7200.0)
    assert forecast["forecast"]["count"] >= 1
    text = place.lifeboat("list --newest 1").succeeded().out
    assert "2 hours: met" in text
    assert "RANGE SEEN" in text


def test_requests_that_say_nothing_or_nonsense_are_refused_before_anything_is_touched(
    two: tuple[Place, list[str]],
) -> None:
    place, (first, _second) = two
    lifeboat, folder = place.lifeboat, place.folder / "refused"
    to = f"-o data_directory={folder}"
    nobody = "20260101T000000Z-abcdef"
    for command, code, hint in (
        ("verify nope", "request.invalid", "shop/cache"),
        (f"verify {LOCAL}/deeper", "request.invalid", "shop/cache"),
        ("verify shop/cache/aof", "catalog.backup_not_found", "lifeboat list"),
        (f"verify {nobody}", "catalog.backup_not_found", "lifeboat list"),
        ("verify --newest 0", "request.invalid", "--newest 1"),
        ("verify --sample -1", "request.invalid", "--sample 1"),
        ("verify --repository nope", "request.invalid", "local"),
        ("restore", "request.invalid", "SERVICE/SOURCE/KIND"),
        (f"restore nope {to}", "request.invalid", LOCAL),
        (f"restore shop/nope/rdb {to}", "request.invalid", "shop/cache"),
        (f"restore shop/cache/aof {to}", "catalog.backup_not_found", "lifeboat list"),
        (f"restore {nobody} {to}", "catalog.backup_not_found", "lifeboat list"),
        (f"restore {LOCAL} --before yesterday {to}", "request.invalid", "2026-11-21T02:00:00Z"),
        (f"restore {LOCAL} --before 2026-01-01T00:00:00Z {to}", "catalog.backup_not_found", "lifeboat list"),
        (f"restore {LOCAL} --repository nope {to}", "request.invalid", "local"),
        (f"restore {LOCAL}", "request.invalid", "-o NAME=VALUE"),
        (f"restore {LOCAL} --in-place", "request.invalid", "-o service_control.unit="),
        (f"restore {LOCAL} -o data_directory", "request.invalid", "-o data_directory=/srv/copy"),
        (f"restore {LOCAL} {to} -o nope=1", "request.invalid", "data_directory"),
        (f"restore {LOCAL} {to} -o data_directory.x=1", "request.invalid", "once"),
        (f"restore {LOCAL} {to} {to}", "request.invalid", "once"),
        (f"restore {LOCAL} {to} -o connection=5", "request.invalid", "connection.port"),
        (f"restore {LOCAL} -o data_directory=[", "request.invalid", "quotes"),
        (f"restore --resume {nobody}", "restore.ledger_invalid", "restore --list"),
        ("restore --discard ../x", "restore.ledger_invalid", "restore --list"),
        (f"restore --roll-back {nobody} --dry-run", "request.invalid", "restore --list"),
        (f"restore {LOCAL} --resume {nobody}", "request.invalid", "restore --list"),
        (f"restore {first} --unfinished", "request.invalid", "restore --list"),
    ):
        said = lifeboat(command).refused(code, hint=hint)
        assert said.out == ""
        assert ("-o NAME=VALUE" in said.err) <= (code == "request.invalid"), "how options are written is of no help"
        as_json = lifeboat(f"{command} --json")
        assert as_json.document["error"]["code"] == code, command
    assert not folder.exists()
    for command in ("verify --level 9", "verify --newest 1 --due", f"restore {LOCAL} --resume {nobody} --discard x"):
        assert "usage: lifeboat" in lifeboat(command).ended(2).err


def test_in_place(place: Place) -> None:
    lifeboat, server = place.lifeboat, place.server
    lifeboat("backup shop --quiet").succeeded()
    lifeboat("verify --quiet").succeeded()
    wanted = digest(server)
    with server.client() as client:
        client.set("later", "than the backup")
    held = digest(server)
    plan = place.run(*place.in_place("--dry-run")).succeeded().out
    known = description(place.folder, server.port)
    known["lifeboat_services"][0]["sources"][0]["service_control"] = server.control
    by_itself = describe(place.folder / "known.yml", known)(f"restore {LOCAL} --in-place --dry-run").succeeded().out
    assert by_itself.splitlines()[3:8] == plan.splitlines()[3:8], "the description says how it is stopped"
    assert plan.endswith(f"  replaces {place.target}: to go ahead add --confirm '{place.target}'\n")
    place.run(*place.in_place()).refused("restore.confirmation_missing", hint=f'--confirm "{place.target}"')
    wrong = place.run(*place.in_place("--confirm", "redis")).refused("restore.confirmation_missing")
    assert "not 'redis'" in wrong.err
    assert digest(server) == held, "nothing was touched"

    said = place.run(*place.in_place("--confirm", place.target)).succeeded().out
    assert digest(server) == wanted
    restore_id = said.partition("  restore: ")[2].partition("\n")[0]
    assert f"lifeboat restore --roll-back {restore_id} --confirm '{place.target}'" in said
    lifeboat(f"restore --resume {restore_id}").refused("restore.ledger_invalid")
    back = lifeboat(f"restore --roll-back {restore_id}").refused("restore.confirmation_missing")
    assert "what was written since is lost" in back.err
    # As the text says it, word for word.
    lifeboat(f"restore --roll-back {restore_id} --confirm '{place.target}'").succeeded()
    assert digest(server) == held
    lifeboat(f"restore --discard {restore_id} --confirm '{place.target}'").refused("restore.ledger_invalid")

    again = place.run(*place.in_place("--confirm", place.target)).succeeded().out
    restore_id = again.partition("  restore: ")[2].partition("\n")[0]
    lifeboat(f"restore --discard {restore_id}").refused("restore.confirmation_missing", hint="--confirm")
    assert any(restore_id in name for name in server.names())
    gone = lifeboat(f"restore --discard {restore_id} --confirm '{place.target}'").succeeded().out
    assert "  removed: " in gone
    assert not any(restore_id in name for name in server.names())
    assert "discarded" in lifeboat(f"restore --discard {restore_id}").refused("restore.ledger_invalid").err
    assert digest(server) == wanted


@pytest.mark.parametrize("way", ["--resume", "--roll-back"])
def test_a_restore_that_is_killed_in_its_middle(place: Place, way: str) -> None:
    lifeboat, server = place.lifeboat, place.server
    lifeboat("backup shop --quiet").succeeded()
    wanted = digest(server)
    with server.client() as client:
        client.set("later", "than the backup")
    held = digest(server)
    # The fault: the first command that would start the server kills lifeboat instead.
    start = server.folder / "start"
    good = start.read_text()
    start.write_text(
        f"test -e {server.folder}/killed || {{ touch {server.folder}/killed; kill -9 $PPID; exit; }}\n{good}"
    )
    assert lifeboat("restore --unfinished").succeeded().out == "No restore is unfinished.\n"
    died = place.lifeboat.process("", *place.in_place("--point", "newest", "--confirm", place.target))
    assert died.status == -9
    assert not server.answers()
    said = lifeboat("restore --unfinished").ended(1).out
    restore_id = said.partition(" ")[0]
    assert f"into {place.target}" in said
    assert ": DIED\n" in said
    assert f"lifeboat restore {way} {restore_id}" in said
    [document] = lifeboat("restore --unfinished --json").ended(1).document["unfinished"]
    assert (document["id"], document["runs_now"]) == (restore_id, False)
    lifeboat(f"restore --discard {restore_id} --confirm '{place.target}'").refused("restore.ledger_invalid")

    lifeboat(f"restore {way} {restore_id} --quiet").succeeded()
    assert digest(server) == (wanted if way == "--resume" else held)
    assert lifeboat("restore --unfinished").succeeded().out == "No restore is unfinished.\n"


def test_the_next_restore_says_that_it_takes_back_the_dead_one(place: Place) -> None:
    lifeboat, server = place.lifeboat, place.server
    lifeboat("backup shop --quiet").succeeded()
    wanted = digest(server)
    start = server.folder / "start"
    good = start.read_text()
    start.write_text("kill -9 $PPID\n")
    assert lifeboat.process("", *place.in_place("--point", "newest", "--confirm", place.target)).status == -9
    start.write_text(good)
    restore_id = lifeboat("restore --unfinished").out.partition(" ")[0]
    said = place.run(*place.in_place("--point", "newest", "--confirm", place.target)).succeeded()
    assert f"{restore_id} into {place.target} died; it is rolled back first" in said.err
    assert digest(server) == wanted


def test_an_encrypted_backup(tmp_path: pathlib.Path) -> None:
    for name in ("key", "other"):
        subprocess.run(["age-keygen", "-o", tmp_path / name], check=True, capture_output=True)
    public = subprocess.run(["age-keygen", "-y", tmp_path / "key"], check=True, capture_output=True, text=True).stdout
    with made(tmp_path, encryption={"recipients": [public.strip()]}) as place:
        lifeboat, folder = place.lifeboat, tmp_path / "beside"
        lifeboat("backup shop --quiet").succeeded()
        to = f"restore {LOCAL} --point newest --quiet -o data_directory={folder}"
        lifeboat("verify --level 1 --quiet").succeeded()
        # No key, and a file that is not there, say nothing about the backup: its state stays.
        missing = lifeboat("verify --quiet").refused("verify.not_proved", status=1)
        assert "[payload.identity_missing]\n  hint: " in missing.out
        assert "--identity-file" in missing.out
        assert "NOT VERIFIED" in missing.out
        assert "[secret.unavailable]" in lifeboat("verify --identity-file /nowhere").ended(1).out
        assert lifeboat("list --json").document["backups"][0]["state"] == "complete"
        lifeboat(to).refused("payload.identity_missing", hint="--identity-file")
        lifeboat(f"{to} --identity-file /nowhere").refused("secret.unavailable", hint="ls -l /nowhere")
        wrong = lifeboat(f"{to} --identity-file {tmp_path / 'other'}").refused("payload.decryption_failed", status=1)
        assert "filippo.io" not in wrong.err
        # The plan says it as well: whoever asks first doesn't find out in the middle of it.
        lifeboat(f"{to} --dry-run").refused("payload.identity_missing", hint="--identity-file")
        lifeboat(f"{to} --dry-run --identity-file {tmp_path / 'other'}").refused("payload.decryption_failed", status=1)
        lifeboat(f"{to} --dry-run --identity-file {tmp_path / 'key'}").succeeded()
        assert not folder.exists()

        # A wrong key is a failure of the proof; the right one lifts it.
        lifeboat(f"verify --quiet --identity-file {tmp_path / 'other'}").refused("verify.not_proved", status=1)
        assert lifeboat("list --json").document["backups"][0]["state"] == "failed"
        lifeboat(to).refused("catalog.backup_not_trusted", hint="lifeboat verify")
        lifeboat(f"verify --quiet --identity-file {tmp_path / 'key'}").succeeded()
        assert lifeboat("list --json").document["backups"][0]["state"] == "verified"
        done = lifeboat(f"{to} --json --identity-file {tmp_path / 'key'}").succeeded().document["restore"]
        lifeboat(f"restore --roll-back {done['id']} --confirm {folder}").succeeded()
        assert not folder.exists()


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(
    two: tuple[Place, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, (_first, second) = two
    lifeboat, folder = place.lifeboat, place.folder / "too-small"
    for module in (beside, verify_run):
        monkeypatch.setattr(module, "free_bytes", lambda _path: 10)  # a fault: disks that are full
    for more in ("", " --dry-run"):
        said = lifeboat(f"restore {LOCAL} -o data_directory={folder}{more}").refused("restore.no_space", status=2)
        assert "and 10 are free" in said.err
    assert not folder.exists()
    # Of the backup it says nothing: no verdict, and no document.
    state = [backup["state"] for backup in lifeboat("list --json").document["backups"]]
    said = lifeboat(f"verify {second} --quiet").refused("verify.not_proved", status=1)
    assert "NOT VERIFIED" in said.out
    assert "[restore.no_space]\n  hint: " in said.out
    assert "scratch_directory" in said.out
    assert [backup["state"] for backup in lifeboat("list --json").document["backups"]] == state
    assert lifeboat(f"show {second} --json").succeeded().document["verifications"] == []
    lifeboat(f"verify {second} --level 2 --dry-run").succeeded()


def test_on_request_the_scratch_copy_is_kept_to_look_at(two: tuple[Place, list[str]], tmp_path: pathlib.Path) -> None:
    place, (first, _second) = two
    wrong = description(place.folder, place.server.port, scratch_directory=str(tmp_path / "scratch"))
    wrong["lifeboat_services"][0]["sources"][0]["verify"]["questions"][0]["equals"] = 7
    lifeboat = describe(tmp_path / "wrong.yml", wrong)
    said = lifeboat(f"verify {first} --keep-scratch --quiet").refused("verify.not_proved", status=1)
    (kept,) = (tmp_path / "scratch").iterdir()
    assert f"rm -r {kept}" in said.out + said.err
    assert list(kept.rglob("*.rdb")), "what was restored is there"
    # Neither the next run nor one without the wish touches it, and that one leaves nothing of its own.
    lifeboat(f"verify {first} --quiet").refused("verify.not_proved", status=1)
    assert list((tmp_path / "scratch").iterdir()) == [kept]
    lifeboat = describe(tmp_path / "right.yml", description(place.folder, place.server.port))
    lifeboat(f"verify {first} --quiet").succeeded()


def test_repositories_that_cannot_be_read(two: tuple[Place, list[str]], tmp_path: pathlib.Path) -> None:
    place, (first, second) = two
    both = description(place.folder, place.server.port)
    far = {"type": "file", "path": str(tmp_path / "gone")}
    both["lifeboat_repositories"] = {"far": far, **both["lifeboat_repositories"]}
    lifeboat = describe(tmp_path / "both.yml", both)
    # One of two: what can be done is done, and it is said and told by the exit status that it was not all.
    said = lifeboat(f"verify {second} --level 1 --quiet").refused("verify.not_proved", status=1)
    assert "passed, level 1" in said.out
    assert "[storage.bucket_missing]" in said.err
    plan = lifeboat(f"restore {LOCAL} -o data_directory={tmp_path / 'beside'} --dry-run").succeeded()
    assert f"from {first} in local" in plan.out
    assert "warning: " in plan.err
    # None: not "there is no backup", which would be the worst answer of all.
    none = {**both, "lifeboat_repositories": {"local": far}}
    lifeboat = describe(tmp_path / "none.yml", none)
    for command in ("verify", f"verify {first}", f"verify {LOCAL}", f"restore {first}", f"restore {LOCAL}"):
        lifeboat(command).refused("storage.all_failed", status=1, hint="mount")


def test_a_description_that_is_not_there(tmp_path: pathlib.Path) -> None:
    CommandLine(configuration=tmp_path / "none.yml")("restore --unfinished").refused(
        "configuration.unreadable", hint="ls -l"
    )
