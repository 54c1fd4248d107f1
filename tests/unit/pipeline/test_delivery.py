# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A payload's way back: every byte arrives, or an error says whose fault it is and nothing stays behind."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import resource
import signal
import subprocess
import threading
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DecryptionFailed,
    IdentityMissing,
    Interrupted,
    PayloadDamaged,
    PayloadTooLarge,
    PipelineFailed,
    RestoreIncomplete,
    StorageUnreachable,
    ToolMissing,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.delivery import PayloadOutput, deliver
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.stored_check import check_stored

MIB = 1024 * 1024
# More than all pipes hold, and it does not compress, so that the stored bytes are more than they hold, too.
PLAIN = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(6 * MIB // 32))
CHAINS = ["plain", "zstd", "age", "zstd+age"]
KINDS = ["argv", "read", "file"]


@dataclasses.dataclass(frozen=True)
class Keys:
    identity: str
    recipient: str


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "identity")


def make_keys(path: pathlib.Path) -> Keys:
    subprocess.run(["age-keygen", "-o", str(path)], check=True, stderr=subprocess.DEVNULL)
    public = subprocess.run(["age-keygen", "-y", str(path)], check=True, stdout=subprocess.PIPE).stdout
    return Keys(identity=str(path), recipient=public.decode().strip())


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> t.Iterator[None]:
    descriptors, threads = len(os.listdir("/proc/self/fd")), set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= threads
    assert children() == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


def children() -> list[str]:
    found = subprocess.run(
        ["ps", "--no-headers", "--ppid", str(os.getpid()), "-o", "args"], stdout=subprocess.PIPE, check=False
    )
    return [line for line in found.stdout.decode().splitlines() if not line.startswith("ps ")]


def piped(argv: t.Sequence[str], data: bytes) -> bytes:
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


def stored(chain: str, keys: Keys, plain: bytes = PLAIN) -> bytes:
    data = plain
    if "zstd" in chain:
        data = piped(["zstd", "-1", "-c", "-q"], data)
    return piped(["age", "-e", "-r", keys.recipient], data) if "age" in chain else data


def described(chain: str, data: bytes, *, plain_size: int | None = len(PLAIN)) -> StoredPayload:
    return StoredPayload(
        name="dump",
        media="text",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        plain_size=plain_size,
        compression="zstd" if "zstd" in chain else None,
        encryption="age" if "age" in chain else None,
    )


def pieces(data: bytes, size: int = 300_000) -> t.Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@dataclasses.dataclass
class Target:
    """Somewhere to deliver to, by each way; *got* is what arrived."""

    kind: str
    path: pathlib.Path
    taken: bytearray = dataclasses.field(default_factory=bytearray)

    @property
    def got(self) -> bytes:
        return bytes(self.taken) if self.kind == "read" else self.path.read_bytes()

    @contextlib.contextmanager
    def output(self) -> t.Iterator[PayloadOutput]:
        if self.kind == "argv":
            yield PayloadOutput(argv=("sh", "-c", 'cat > "$1"', "sh", str(self.path)))
        elif self.kind == "read":
            yield PayloadOutput(read=lambda file: self.taken.extend(file.read()))
        else:
            with self.path.open("wb") as file:
                yield PayloadOutput(file=file.fileno())


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Target:
    return Target(kind=request.param, path=tmp_path / "out")


def run(
    payload: StoredPayload,
    output: PayloadOutput,
    data: bytes | t.Callable[[], t.Iterator[bytes]],
    *,
    identity: str | None = None,
) -> tuple[int | None, Progress]:
    progress = Progress(clock=SystemClock())
    read = data if callable(data) else lambda: pieces(data)
    return deliver(payload, output, read=read, identity_file=identity, progress=progress), progress


@pytest.mark.parametrize("chain", CHAINS)
def test_every_byte_arrives_by_every_way(chain: str, target: Target, keys: Keys) -> None:
    data = stored(chain, keys)
    with target.output() as output:
        count, progress = run(described(chain, data), output, data, identity=keys.identity)
    assert target.got == PLAIN
    assert count == (None if target.kind == "argv" else len(PLAIN))
    assert progress.bytes_stored == len(data)


@pytest.mark.parametrize("chain", CHAINS)
def test_an_empty_payload_arrives(chain: str, target: Target, keys: Keys) -> None:
    data = stored(chain, keys, b"")
    with target.output() as output:
        run(described(chain, data, plain_size=0), output, data, identity=keys.identity)
    assert target.got == b""


def flipped(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


DAMAGES: dict[str, t.Callable[[bytes], bytes]] = {
    "cut by a byte": lambda data: data[:-1],
    "cut in half": lambda data: data[: len(data) // 2],
    "nothing": lambda data: b"",
    "flipped": flipped,
    "longer": lambda data: data + b"x",
    "twice": lambda data: data + data,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("chain", CHAINS)
def test_stored_bytes_that_are_not_those_of_the_manifest_are_refused(
    chain: str, damage: str, target: Target, keys: Keys
) -> None:
    data = stored(chain, keys)
    with target.output() as output, pytest.raises(PayloadDamaged, match="dump is damaged"):
        run(described(chain, data), output, DAMAGES[damage](data), identity=keys.identity)


@pytest.mark.parametrize("chain", ["zstd", "age", "zstd+age"])
def test_bytes_that_were_sealed_again_but_can_not_be_decoded_are_refused(
    chain: str, target: Target, keys: Keys
) -> None:
    data = stored(chain, keys)
    for broken in (data[: len(data) // 2], flipped(data), b"garbage"):
        with target.output() as output, pytest.raises((PayloadDamaged, DecryptionFailed), match="can't be de"):
            run(described(chain, broken), output, broken, identity=keys.identity)


def test_fewer_plain_bytes_than_the_manifest_says_are_refused_where_they_are_counted(
    target: Target, keys: Keys
) -> None:
    data = stored("zstd", keys, PLAIN[:-10])
    with target.output() as output:
        if target.kind == "argv":
            assert run(described("zstd", data), output, data)[0] is None
            return
        with pytest.raises(PayloadDamaged, match=f"holds {len(PLAIN) - 10} plain bytes"):
            run(described("zstd", data), output, data)


def test_what_never_ends_is_stopped_soon_after_its_size() -> None:
    read = 0

    def endless() -> t.Iterator[bytes]:
        nonlocal read
        while True:
            read += MIB
            yield bytes(MIB)

    payload = dataclasses.replace(described("plain", b"x" * 3 * MIB), plain_size=None)
    with pytest.raises(PayloadDamaged, match="or more"):
        run(payload, PayloadOutput(argv=("cat",)), endless)
    assert read <= 5 * MIB
    with pytest.raises(PayloadDamaged, match="or more"):
        check_stored(payload, read=endless, progress=Progress(clock=SystemClock()))


def test_keys_that_are_missing_wrong_or_no_keys_are_named(target: Target, keys: Keys, tmp_path: pathlib.Path) -> None:
    data = stored("zstd+age", keys)
    payload = described("zstd+age", data)
    other = make_keys(tmp_path / "other")
    (tmp_path / "empty").write_text("no key\n")
    with target.output() as output:
        with pytest.raises(IdentityMissing):
            run(payload, output, data)
        with pytest.raises(DecryptionFailed, match="can't be decrypted with this private key"):
            run(payload, output, data, identity=other.identity)
        for path in (tmp_path / "empty", tmp_path / "absent"):
            with pytest.raises(DecryptionFailed):
                run(payload, output, data, identity=str(path))


def test_the_key_may_come_by_a_descriptor(target: Target, keys: Keys) -> None:
    data = stored("zstd+age", keys)
    reading, writing = os.pipe()
    os.write(writing, pathlib.Path(keys.identity).read_bytes())
    os.close(writing)
    with target.output() as output:
        run(described("zstd+age", data), output, data, identity=f"/dev/fd/{reading}")
    os.close(reading)
    assert target.got == PLAIN


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("script", ["exit 7", "head -c 1000000 >/dev/null; exit 7", "cat >/dev/null; exit 7"])
def test_a_process_that_fails_is_blamed_and_not_who_he_cut_off(chain: str, script: str, keys: Keys) -> None:
    data = stored(chain, keys)
    output = PayloadOutput(argv=("sh", "-c", f"echo 'no space' >&2; {script}"))
    with pytest.raises(PipelineFailed, match=r"sh ended with status 7.*no space") as raised:
        run(described(chain, data), output, data, identity=keys.identity)
    assert raised.value.details["status"] == 7


@pytest.mark.parametrize("chain", CHAINS)
def test_a_process_that_fails_over_damaged_bytes_is_not_the_reason(chain: str, keys: Keys) -> None:
    data = stored(chain, keys)
    for script in ("exit 7", "cat >/dev/null; exit 7"):
        with pytest.raises(PayloadDamaged):
            run(
                described(chain, data),
                PayloadOutput(argv=("sh", "-c", script)),
                flipped(data),
                identity=keys.identity,
            )


@pytest.mark.parametrize("chain", CHAINS)
def test_a_process_that_ends_well_before_the_end_is_blamed_unless_it_may(chain: str, keys: Keys) -> None:
    data = stored(chain, keys)
    output = PayloadOutput(argv=("head", "-c", "1000"))
    with pytest.raises(PipelineFailed, match="head ended with status 0 before it had read all"):
        run(described(chain, data), output, data, identity=keys.identity)
    early = dataclasses.replace(output, may_end_early=True)
    assert run(described(chain, data), early, data, identity=keys.identity)[0] is None


@pytest.mark.parametrize("chain", CHAINS)
def test_a_process_that_leaves_a_little_in_its_pipe_is_blamed_too(chain: str, keys: Keys) -> None:
    """All of it fits into the pipe, so nobody upstream notices that it was not read."""
    plain = PLAIN[:20_000]
    data = stored(chain, keys, plain)
    whole = dataclasses.replace(described(chain, data), plain_size=len(plain))
    for script in ("head -c 1000 >/dev/null", "sleep 0.3; head -c 19999 >/dev/null", "sleep 0.3"):
        output = PayloadOutput(argv=("sh", "-c", script))
        with pytest.raises(PipelineFailed, match="ended with status 0 before it had read all"):
            run(whole, output, data, identity=keys.identity)
        early = dataclasses.replace(output, may_end_early=True, check_rest=True)
        run(whole, early, data, identity=keys.identity)
    run(whole, PayloadOutput(argv=("sh", "-c", "sleep 0.3; cat >/dev/null")), data, identity=keys.identity)


@pytest.mark.parametrize("chain", CHAINS)
def test_what_a_process_left_can_be_checked_all_the_same(chain: str, keys: Keys) -> None:
    data = stored(chain, keys)
    output = PayloadOutput(argv=("head", "-c", "1000"), may_end_early=True, check_rest=True)
    reads = []

    def counted(given: bytes) -> t.Callable[[], t.Iterator[bytes]]:
        def read() -> t.Iterator[bytes]:
            for piece in pieces(given):
                reads.append(len(piece))
                yield piece

        return read

    run(described(chain, data), output, counted(data), identity=keys.identity)
    assert sum(reads) == len(data), "it is read once, to its end"
    for damaged in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"x"):
        with pytest.raises(PayloadDamaged):
            run(described(chain, data), output, damaged, identity=keys.identity)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_reader_in_python_may_end_early_and_else_the_rest_is_read_for_it(chain: str, keys: Keys) -> None:
    data = stored(chain, keys)
    seen = []
    output = PayloadOutput(read=lambda file: seen.append(file.read(10)))
    assert run(described(chain, data), output, data, identity=keys.identity)[0] == len(PLAIN)
    early = dataclasses.replace(output, may_end_early=True)
    assert run(described(chain, data), early, data, identity=keys.identity)[0] is None
    assert seen == [PLAIN[:10], PLAIN[:10]]


@pytest.mark.parametrize("chain", CHAINS)
def test_what_a_reader_in_python_raises_comes_out_unless_the_bytes_are_to_blame(chain: str, keys: Keys) -> None:
    data = stored(chain, keys)

    def read(file: t.BinaryIO) -> None:
        while file.read(100_000):
            pass
        raise RestoreIncomplete("half")

    def stumble(file: t.BinaryIO) -> None:
        file.read(1000)
        raise RestoreIncomplete("at once")

    for each in (read, stumble):
        with pytest.raises(RestoreIncomplete):
            run(described(chain, data), PayloadOutput(read=each), data, identity=keys.identity)
        with pytest.raises(PayloadDamaged):
            run(described(chain, data), PayloadOutput(read=each), flipped(data), identity=keys.identity)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("after", [0, 1, 10])
def test_a_repository_that_fails_in_the_middle_is_the_reason(
    chain: str, after: int, target: Target, keys: Keys
) -> None:
    data = stored(chain, keys)

    def failing() -> t.Iterator[bytes]:
        for number, piece in enumerate(pieces(data)):
            if number == after:
                raise StorageUnreachable("gone")
            yield piece

    with target.output() as output, pytest.raises(StorageUnreachable, match="gone"):
        run(described(chain, data), output, failing, identity=keys.identity)


def test_a_failing_repository_outranks_what_its_consumer_says_about_the_end(keys: Keys) -> None:
    data = stored("zstd", keys)

    def failing() -> t.Iterator[bytes]:
        yield data[: len(data) // 2]
        raise StorageUnreachable("gone")

    def read(file: t.BinaryIO) -> None:
        if len(file.read()) != len(PLAIN):
            raise RestoreIncomplete("the archive ends too early")

    with pytest.raises(StorageUnreachable):
        run(described("zstd", data), PayloadOutput(read=read), failing)
    with pytest.raises(StorageUnreachable):
        run(described("zstd", data), PayloadOutput(argv=("sh", "-c", "cat >/dev/null; exit 3")), failing)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("fault", ["unreachable", *DAMAGES])
def test_a_consumer_never_sees_the_end_of_what_is_not_whole(
    chain: str, fault: str, keys: Keys, tmp_path: pathlib.Path
) -> None:
    """As a server that commits what it has loaded when its input ends."""
    data = stored(chain, keys)

    def failing() -> t.Iterator[bytes]:
        if fault != "unreachable":
            yield from pieces(DAMAGES[fault](data))
            return
        yield data[: len(data) // 2]
        raise StorageUnreachable("gone")

    committed = tmp_path / "committed"
    output = PayloadOutput(argv=("sh", "-c", 'cat >/dev/null; touch "$1"', "sh", str(committed)))
    with pytest.raises((StorageUnreachable, PayloadDamaged)):
        run(described(chain, data), output, failing, identity=keys.identity)
    # A decoder that ends by itself over bad bytes can't be kept from closing its end.
    if chain == "plain" or fault == "unreachable":
        assert not committed.exists()


@pytest.mark.thorough
@pytest.mark.parametrize("size", [8 * MIB, 3000 * MIB])
def test_a_decompression_bomb_is_stopped(size: int, target: Target) -> None:
    bomb = subprocess.run(
        ["sh", "-c", f"head -c {size} /dev/zero | zstd -1 -c -q"], stdout=subprocess.PIPE, check=True
    ).stdout
    payload = described("zstd", bomb, plain_size=MIB)
    with target.output() as output, pytest.raises(PayloadTooLarge, match="more than the 1048576 plain bytes"):
        run(payload, output if target.kind != "argv" else PayloadOutput(argv=("cat",)), bomb)
    if target.kind == "file":
        assert len(target.got) < 1500 * MIB


def test_a_reader_that_swallows_the_bomb_s_error_does_not_hide_it() -> None:
    bomb = piped(["zstd", "-1", "-c", "-q"], bytes(8 * MIB))

    def read(file: t.BinaryIO) -> None:
        try:
            file.read()
        except PayloadTooLarge as error:
            raise RestoreIncomplete("as a library would") from error

    def swallow(file: t.BinaryIO) -> None:
        with contextlib.suppress(PayloadTooLarge):
            file.read()

    for each in (read, swallow):
        with pytest.raises(PayloadTooLarge):
            run(described("zstd", bomb, plain_size=MIB), PayloadOutput(read=each), bomb)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_full_disk_is_no_damage_of_the_payload(chain: str, keys: Keys) -> None:
    data = stored(chain, keys)
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(PipelineFailed, match=r"can't be written: .*[Nn]o space left"):
            run(described(chain, data), PayloadOutput(file=descriptor), data, identity=keys.identity)
    finally:
        os.close(descriptor)


def test_a_missing_program_is_named_and_nothing_was_started(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    data = stored("zstd", keys)
    with pytest.raises(ToolMissing, match="no-such-restore"):
        run(described("zstd", data), PayloadOutput(argv=("no-such-restore",)), data)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_program_that_can_not_be_started_leaves_nothing_open(chain: str, keys: Keys, tmp_path: pathlib.Path) -> None:
    data = stored(chain, keys)
    broken = tmp_path / "broken"
    broken.write_bytes(b"no program")
    broken.chmod(0o755)
    with pytest.raises(OSError, match="Exec format"):
        run(described(chain, data), PayloadOutput(argv=(str(broken),)), data, identity=keys.identity)


def test_lines_of_standard_error_reach_their_reader() -> None:
    seen: list[str] = []
    output = PayloadOutput(argv=("sh", "-c", "echo one >&2; cat >/dev/null; echo two >&2"), on_stderr=seen.append)
    run(described("plain", PLAIN), output, PLAIN)
    assert seen == ["one", "two"]


@pytest.mark.thorough
@pytest.mark.parametrize("chain", ["plain", "zstd+age"])
@pytest.mark.parametrize("kind", ["argv", "read", "slow repository"])
def test_a_signal_in_the_middle_ends_everything(chain: str, kind: str, keys: Keys) -> None:
    data = stored(chain, keys)

    def slowly() -> t.Iterator[bytes]:
        yield data[:1000]
        time.sleep(2 if kind == "slow repository" else 0)
        yield data[1000:]

    outputs = {
        "argv": PayloadOutput(argv=("sh", "-c", "sleep 60")),
        "read": PayloadOutput(read=lambda file: time.sleep(60)),
        "slow repository": PayloadOutput(argv=("cat",)),
    }
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    started = time.monotonic()
    with pytest.raises(Interrupted), stopping_on_signals():
        run(described(chain, data), outputs[kind], slowly, identity=keys.identity)
    timer.join()
    assert time.monotonic() - started < 10


def test_memory_is_constant(tmp_path: pathlib.Path) -> None:
    size = 200 * MIB
    digest = hashlib.sha256()
    for _number in range(200):
        digest.update(bytes(MIB))
    payload = dataclasses.replace(
        described("plain", b""), size=size, sha256=digest.hexdigest(), plain_size=size, name="large"
    )

    def read(file: t.BinaryIO) -> None:
        while file.read(MIB):
            pass

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for output in (PayloadOutput(argv=("sh", "-c", "cat >/dev/null")), PayloadOutput(read=read)):
        run(payload, output, lambda: (bytes(MIB) for _number in range(200)))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 24 * MIB
