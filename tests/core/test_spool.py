"""The file in which call records wait: what is in it, in which order, and what a cut or a full disk does to it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from core.full_disk import full_disk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aigateway_core.records import Attempt, CallRecord
from aigateway_core.spool import Spool

MIB = 1 << 20


def record(number: int | str, **more: object) -> CallRecord:
    values: dict[str, object] = {
        "id": str(number),
        "request_id": "r",
        "created_at": datetime(2026, 5, 4, 12, 0, 0, 7, UTC),
        "dialect": "d",
        "client_key_id": "-",
        "outcome": "ok",
        "status_code": 200,
        "latency_ms": 1,
    }
    return CallRecord(**{**values, **more})  # type: ignore[arg-type]


def waiting(spool: Spool, most: int = 10_000) -> list[CallRecord | None]:
    return [each.record for each in spool.peek(most)]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "folder" / "calls.spool", MIB)


def test_records_come_out_as_they_went_in_and_in_their_order(spool: Spool) -> None:
    full = record(
        "full",
        created_at=datetime(2026, 5, 4, tzinfo=timezone(timedelta(hours=3))),
        model="m ⚡ \ud83d \0",
        input_tokens=10**30,
        streamed=True,
        attempts=(Attempt(account_id="a", latency_ms=1, proxy_id=3), Attempt(account_id="b", latency_ms=2)),
    )
    spool.put([full, record(1)])
    spool.put([record(2)])
    assert waiting(spool) == [full, record(1), record(2)]
    spool.remove(spool.peek(2))
    assert waiting(spool) == [record(2)]
    assert waiting(Spool(spool.path, MIB)) == [record(2)]


def test_nothing_is_made_before_there_is_anything_to_keep(spool: Spool) -> None:
    assert spool.peek(10) == ()
    assert spool.bytes() == 0
    assert not spool.path.parent.exists()


def test_nobody_else_can_read_the_file(spool: Spool) -> None:
    spool.put([record(1)])
    for path in spool.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(spool.path.parent.stat().st_mode) == 0o700


def test_d_18_it_stays_within_its_bounds_and_drops_the_oldest(spool: Spool) -> None:
    dropped = sum(spool.put([record(f"{batch}-{n}", error="x" * 900) for n in range(100)]) for batch in range(30))
    left = waiting(spool)
    assert dropped > 0
    assert len(left) + dropped == 3000
    assert left[-1] is not None
    assert left[-1].id == "29-99"
    assert spool.bytes() <= MIB
    assert spool.path.stat().st_size <= 2 * MIB


def test_a_record_of_a_later_version_loses_what_this_one_does_not_know(spool: Spool) -> None:
    spool.put([record(1)])
    with spool._open() as connection, connection:
        connection.execute("UPDATE spool SET record = json_set(record, '$.mood', 'fine')")
        connection.execute("INSERT INTO spool (record) VALUES ('{')")
        connection.execute("INSERT INTO spool (record) VALUES ('[]')")
    assert waiting(spool) == [record(1), None, None]


def test_a_record_with_a_byte_that_no_text_has_keeps_none_of_the_others_back(spool: Spool) -> None:
    spool.put([record(1), record(2), record(3)])
    with spool._open() as connection, connection:
        connection.execute("UPDATE spool SET record = CAST(x'7b22ff' AS TEXT) WHERE seq = 2")
    assert waiting(spool) == [record(1), None, record(3)]


def test_several_processes_may_use_the_same_file(spool: Spool) -> None:
    other = Spool(spool.path, MIB)
    spool.put([record(1)])
    other.put([record(2)])
    taken = other.peek(10)
    spool.remove(spool.peek(10))
    other.remove(taken)
    assert waiting(spool) == []


def test_d_18_a_disk_that_does_not_take_it_is_an_os_error_and_passes(spool: Spool) -> None:
    spool.put([record(1)])
    with full_disk():
        with pytest.raises(OSError, match="cannot be used"):
            spool.put([record(n, error="x" * 1000) for n in range(100)])
        assert waiting(spool) == [record(1)]
    spool.put([record(2)])
    assert waiting(spool) == [record(1), record(2)]


def test_what_was_put_outlives_the_death_of_its_process(spool: Spool) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from test_spool import record, Spool\n"
        "spool = Spool(Path(sys.argv[1]), 1 << 20)\n"
        "for n in range(20): spool.put([record(n)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folders = map(str, Path(__file__).parents[:2])
    done = subprocess.run([sys.executable, "-c", script, str(spool.path), *folders], check=False)
    assert done.returncode == -signal.SIGKILL
    assert waiting(spool) == [record(n) for n in range(20)]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.floats(0, 1), part=st.sampled_from(["", "-wal"]), noise=st.binary(max_size=8))
def test_a_file_that_was_cut_or_scribbled_on_costs_records_and_nothing_else(
    keep: float, part: str, noise: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "calls.spool", MIB)
        spool.put([record(n, error="x" * 500) for n in range(20)])
        copy = Path(folder) / "copy.spool"
        for suffix in ("", "-wal"):
            if Path(f"{spool.path}{suffix}").exists():
                shutil.copy(f"{spool.path}{suffix}", f"{copy}{suffix}")
        spool.close()
        victim = Path(f"{copy}{part}")
        whole = victim.read_bytes() if victim.exists() else b""
        victim.write_bytes(whole[: int(len(whole) * keep)] + noise)
        cut = Spool(copy, MIB)
        for _ in range(3):
            try:
                found = waiting(cut)
                assert [each for each in found if each is not None] == [
                    record(n, error="x" * 500) for n in range(20) if record(n, error="x" * 500) in found
                ]
                cut.put([record("after")])
                break
            except OSError:
                continue
        assert waiting(cut)[-1] == record("after")
        cut.close()


def scribble_on(path: Path) -> None:
    """Damage the file as whoever uses it finds it: all that is in it stands there, and none of it can be read."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(b"?" * 4096)


def kept_aside(spool: Spool) -> int:
    """How many files were, without what belongs to each."""
    aside = [path.name for path in spool.path.parent.glob(f"{spool.path.name}.damaged*")]
    return len([name for name in aside if not name.endswith(("-wal", "-shm"))])


def set_aside(spool: Spool) -> None:
    scribble_on(spool.path)
    spool.close()
    with pytest.raises(OSError, match="damaged"):
        spool.peek(10)


def test_whoever_holds_a_file_that_another_has_set_aside_goes_on_with_the_fresh_one(spool: Spool) -> None:
    other = Spool(spool.path, MIB)
    spool.put([record(1)])
    assert waiting(other) == [record(1)]
    set_aside(spool)
    spool.put([record(2)])
    assert waiting(other) == [record(2)]
    other.put([record(3)])
    other.close()
    assert waiting(spool) == waiting(Spool(spool.path, MIB)) == [record(2), record(3)]
    assert kept_aside(spool) == 1


def test_nobody_sets_aside_a_file_but_the_one_that_was_damaged_under_him(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Spool(spool.path, MIB)
    other.put([record(1)])

    def set_aside_at_that_moment(*_: object) -> None:
        set_aside(spool)
        spool.put([record(2)])
        raise sqlite3.DatabaseError("malformed")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(other, "_bytes", set_aside_at_that_moment)
        with pytest.raises(OSError, match="damaged"):
            other.put([record(9)])
    assert waiting(other) == waiting(spool) == [record(2)]


def test_what_goes_into_a_file_that_is_set_aside_at_that_moment_is_not_called_kept(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Spool(spool.path, MIB)
    other.put([record(1)])

    def bytes_at_that_moment(_: sqlite3.Connection) -> int:
        other.path.rename(f"{other.path}.damaged")
        return 0

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(other, "_bytes", bytes_at_that_moment)
        with pytest.raises(OSError, match="replaced"):
            other.put([record(2)])
    other.put([record(2)])
    assert waiting(spool) == [record(2)]


@pytest.mark.parametrize("used_meanwhile", [False, True])
def test_what_was_taken_out_of_another_file_is_not_deleted_from_this_one(spool: Spool, used_meanwhile: bool) -> None:
    spool.put([record(number) for number in range(5)])
    taken = spool.peek(10)
    spool.path.rename(f"{spool.path}.old")
    Spool(spool.path, MIB).put([record("fresh")])
    if used_meanwhile:
        spool.put([record("other")])
    spool.remove(taken)
    assert [each and each.id for each in waiting(spool)] == ["fresh", "other"][: 1 + used_meanwhile]


def test_each_file_that_was_damaged_is_kept(spool: Spool) -> None:
    for number in range(3):
        spool.put([record(number)])
        set_aside(spool)
    assert kept_aside(spool) == 3


def test_a_file_that_somebody_removed_is_made_again_and_said(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.put([record(1)])
    for path in spool.path.parent.iterdir():
        path.unlink()
    assert waiting(spool) == []
    spool.put([record(2)])
    assert waiting(spool) == waiting(Spool(spool.path, MIB)) == [record(2)]
    assert [each.message for each in caplog.records if str(spool.path) in each.message]


def test_what_a_full_disk_does_not_let_go_of_comes_out_once_all_the_same(spool: Spool) -> None:
    spool.put([record(1), record(2)])
    with full_disk(), pytest.raises(OSError, match="cannot be used"):
        spool.remove(spool.peek(1))
    assert waiting(spool) == [record(2)]
    spool.put([record(3)])
    assert waiting(spool) == [record(2), record(3)]
    with full_disk(), pytest.raises(OSError, match="cannot be used"):
        spool.remove(spool.peek(9))
    assert waiting(spool) == []
    assert spool.bytes() > 0
    spool.remove(())
    assert spool.bytes() == 0
    spool.path.unlink()
    spool.put([record(4)])
    assert waiting(spool) == [record(4)]


def test_what_was_kept_elsewhere_is_not_counted_as_dropped(spool: Spool) -> None:
    assert spool.put([record(n, error="x" * 900) for n in range(400)]) == 0
    with full_disk(), pytest.raises(OSError, match="cannot be used"):
        spool.remove(spool.peek(400))
    assert spool.put([record(n, error="x" * 900) for n in range(400)]) == 0
    assert len(waiting(spool)) == 400
