"""The spool: first in first out, bounded, whole after a crash at any byte."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.errors import SpoolInUse
from telemetry.spool import Spool


def _drain(spool: Spool) -> list[bytes]:
    found = []
    while (record := spool.peek()) is not None:
        found.append(record)
        spool.forget()
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def _spooled(folder: Path, *records: bytes) -> Path:
    with Spool(folder) as spool:
        for record in records:
            assert spool.append(record)
    return _files(folder)[-1]


def test_records_come_out_in_the_order_in_which_they_went_in(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for record in (b"one", b"two", b"three"):
            spool.append(record)

        assert len(spool) == 3
        assert _drain(spool) == [b"one", b"two", b"three"]
        assert len(spool) == 0
        assert spool.peek() is None


def test_peeking_does_not_take_a_record_away(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.append(b"one")

        assert (spool.peek(), spool.peek(), len(spool)) == (b"one", b"one", 1)


def test_an_empty_spool_uses_no_disk(tmp_path: Path) -> None:
    with Spool(tmp_path, segment_bytes=10) as spool:
        for number in range(20):
            spool.append(b"record %d" % number)
        assert len(_files(tmp_path)) > 1

        _drain(spool)

        assert (_files(tmp_path), spool.size) == ([], 0)


def test_records_are_there_after_a_restart_and_new_ones_come_after_them(tmp_path: Path) -> None:
    _spooled(tmp_path, b"one", b"two")

    with Spool(tmp_path) as spool:
        spool.append(b"three")

        assert _drain(spool) == [b"one", b"two", b"three"]


def test_files_that_were_used_up_do_not_come_back_after_a_restart(tmp_path: Path) -> None:
    with Spool(tmp_path, segment_bytes=1) as spool:  # a file for each record
        for record in (b"one", b"two", b"three"):
            spool.append(record)
        spool.forget()

    with Spool(tmp_path) as spool:
        assert _drain(spool) == [b"two", b"three"]


def test_at_the_bound_the_oldest_are_kept_and_the_newest_refused(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=100) as spool:
        kept = [spool.append(bytes([number]) * 20) for number in range(1, 6)]

        assert kept == [True, True, True, False, False]
        assert sum(file.stat().st_size for file in _files(tmp_path)) <= 100
        assert spool.peek() == b"\x01" * 20


def test_of_several_records_as_many_of_the_first_are_kept_as_find_room(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=100) as spool:
        kept = spool.extend([bytes([number]) * 20 for number in range(1, 6)])

        assert (kept, len(spool)) == (3, 3)
        assert _drain(spool) == [bytes([number]) * 20 for number in range(1, 4)]


def test_records_written_together_are_there_after_a_restart(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.append(b"one")
        spool.extend([b"two", b"three"])
        spool.extend([])

    with Spool(tmp_path) as spool:
        assert _drain(spool) == [b"one", b"two", b"three"]


def test_after_the_disk_has_refused_the_spool_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    with Spool(tmp_path) as spool:
        spool.append(b"one")
        with monkeypatch.context() as full_disk:
            full_disk.setattr(os, "fsync", refuse)
            with pytest.raises(OSError, match="No space"):
                spool.extend([b"two", b"three"])
        spool.append(b"four")

    with Spool(tmp_path) as spool:
        assert (_drain(spool), spool.damaged) == ([b"one", b"four"], 0)


def test_a_record_set_aside_is_kept_in_a_file_and_no_longer_waits(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.extend([b"nobody can read this", b"two"])

        file = spool.set_aside()

        assert file.read_bytes() == b"nobody can read this"
        assert _drain(spool) == [b"two"]


def test_there_is_room_again_when_old_records_have_gone(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=100, segment_bytes=1) as spool:
        while spool.append(b"x" * 20):
            pass
        spool.forget()

        assert spool.append(b"y" * 20)


def test_the_bound_holds_for_what_an_earlier_process_left(tmp_path: Path) -> None:
    _spooled(tmp_path, b"x" * 80)

    with Spool(tmp_path, max_bytes=100) as spool:
        assert not spool.append(b"y" * 20)


@pytest.mark.parametrize("lost", range(1, 8 + 5 + 1))
def test_a_torn_last_record_is_dropped_and_the_rest_kept(tmp_path: Path, lost: int) -> None:
    file = _spooled(tmp_path, b"one", b"two", b"three")
    os.truncate(file, file.stat().st_size - lost)

    with Spool(tmp_path) as spool:
        spool.append(b"four")

        assert _drain(spool) == [b"one", b"two", b"four"]


def test_zeros_behind_the_last_record_as_after_a_power_cut_are_not_records(tmp_path: Path) -> None:
    file = _spooled(tmp_path, b"one")
    with file.open("ab") as end:
        end.write(bytes(4096))

    with Spool(tmp_path) as spool:
        assert spool.damaged == 1
        assert _drain(spool) == [b"one"]


def test_a_record_that_the_disk_has_changed_is_left_out_and_counted(tmp_path: Path) -> None:
    file = _spooled(tmp_path, b"one", b"two", b"three")
    data = bytearray(file.read_bytes())
    data[data.index(b"two")] ^= 0xFF
    file.write_bytes(data)

    with Spool(tmp_path) as spool:
        assert spool.damaged == 1
        assert _drain(spool) == [b"one", b"three"]


def test_a_length_that_makes_no_sense_ends_the_file_without_reading_beyond_it(tmp_path: Path) -> None:
    file = _spooled(tmp_path, b"one")
    with file.open("ab") as end:
        end.write(struct.pack("<II", 0xFFFFFFFF, 0) + b"junk")

    with Spool(tmp_path) as spool:
        assert _drain(spool) == [b"one"]


@pytest.mark.parametrize("content", [b"", b"\x01", os.urandom(300)])
def test_a_file_without_any_whole_record_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "000000000007.spool").write_bytes(content)

    with Spool(tmp_path) as spool:
        assert spool.append(b"one")
        assert _drain(spool) == [b"one"]


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with Spool(tmp_path) as spool:
        assert len(spool) == 0

    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_second_process_is_refused_and_the_folder_is_free_after_the_first(tmp_path: Path) -> None:
    take = f"from pathlib import Path; from telemetry.spool import Spool; Spool(Path({str(tmp_path)!r}))"
    command = [sys.executable, "-c", f"{take}.__enter__()"]

    with Spool(tmp_path):
        refused = subprocess.run(command, capture_output=True, timeout=30, check=False)
    taken = subprocess.run(command, capture_output=True, timeout=30, check=False)

    assert SpoolInUse.__name__ in refused.stderr.decode()
    assert taken.returncode == 0


def test_a_record_without_content_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool, pytest.raises(ValueError, match="1 to"):
        spool.append(b"")


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.one_of(st.binary(min_size=1, max_size=60), st.sampled_from(["forget", "restart"])), max_size=40)
)
def test_it_behaves_like_a_bounded_queue_that_may_repeat_after_a_restart(steps: list[bytes | str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        model: list[bytes] = []
        forgotten: list[bytes] = []
        spool = Spool(Path(name), max_bytes=600, segment_bytes=100)
        spool.__enter__()
        for step in steps:
            if step == "forget":
                if model:
                    assert spool.peek() == model[0]
                    spool.forget()
                    forgotten.append(model.pop(0))
            elif step == "restart":
                spool.__exit__(None, None, None)
                spool = Spool(Path(name), max_bytes=600, segment_bytes=100)
                spool.__enter__()
                again = len(spool) - len(model)
                assert again >= 0
                # Only the newest of those forgotten come back, in their order, before all others.
                back = forgotten[len(forgotten) - again :]
                model = back + model
                del forgotten[len(forgotten) - again :]
            else:
                assert isinstance(step, bytes)
                if spool.append(step):
                    model.append(step)
                else:
                    assert spool.size + len(step) + 8 > 600
        assert _drain(spool) == model
        spool.__exit__(None, None, None)
