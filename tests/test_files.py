import os
import signal
import subprocess
import sys

import pytest
from holding import held_by_another

from tfdeblur import files
from tfdeblur.errors import InputError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """What another process holds, with other temporary files, and that process."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    path = tmp_path / "runs" / "mine"
    with held_by_another(path) as holder:
        yield path, holder


def test_what_another_process_holds_is_refused(place):
    path, holder = place
    said = rf"mine is in use by .*process {holder.pid} on .*\)"
    with pytest.raises(InputError, match=said), files.locked(path):
        pass
    other = path.with_name("other")
    with files.locked(other):
        pass


def test_a_lock_ends_with_its_process_however_that_ends(place, tmp_path):
    path, holder = place
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with files.locked(path):
        assert list(path.parent.glob(".tfdeblur-*.lock"))
    assert os.listdir(path.parent) == []


def test_a_lock_makes_the_folders_above_it_and_takes_them_away(tmp_path):
    with files.locked(tmp_path / "a" / "b" / "c"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not os.listdir(tmp_path)
    with files.locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b").mkdir()
    assert os.listdir(tmp_path / "a") == ["b"]


def test_a_lock_that_a_kill_has_left_is_ours(tmp_path):
    kind = files.Kind("run", (r"x\.txt",))
    with files.replacing_folder(tmp_path / "run", kind, "mine") as folder:
        (folder / "x.txt").write_text("x")
    code = (
        "import os, sys; from tfdeblur import files\n"
        "with files.locked(sys.argv[1]): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run" / "inner")])
    assert list((tmp_path / "run").glob(".tfdeblur-*.lock"))
    files.Owned.open(tmp_path / "run", kind).delete()
    assert not os.listdir(tmp_path)


def test_a_lock_goes_where_a_program_is_ended(tmp_path):
    with files.locked(tmp_path / "mine"):
        files.remove_unfinished()
        assert not os.listdir(tmp_path)


def test_a_lock_that_cannot_be_opened_is_none_of_ours(tmp_path):
    with files.locked(tmp_path / "mine"):
        (name,) = os.listdir(tmp_path)
    (tmp_path / name).mkdir()  # as one of another user's
    with pytest.raises(InputError, match="is in use, or was"), files.locked(tmp_path / "mine"):
        pass


def test_waiting_for_one_that_makes_nothing(tmp_path):
    path = tmp_path / "runs" / "mine"
    code = "import sys; from tfdeblur import files\nwith files.locked(sys.argv[1], True): input()"
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with held_by_another(path) as holder, subprocess.Popen(command, **pipes) as waiting:
        waiting.stderr.readline()
        holder.stdin.close()
        holder.wait()
        while not list(path.parent.glob(".tfdeblur-*.lock")):  # that of who waited
            assert waiting.poll() is None
        with pytest.raises(InputError, match=f"process {waiting.pid} "), files.locked(path):
            pass
        waiting.stdin.write("\n")
        waiting.stdin.close()


def test_a_lock_of_what_lies_in_a_cloud_makes_no_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with files.locked("gs://bucket/gopro/1.0.0"):
        assert not os.listdir(tmp_path)


def test_where_nothing_can_be_written_a_lock_lies_among_the_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    with files.locked("/proc/mine"):
        (lock,) = os.listdir(tmp_path)
        with pytest.raises(InputError, match=r"/proc/mine is in use"), files.locked("/proc/mine"):
            pass
    assert lock.endswith(".lock") and not os.listdir(tmp_path)


def test_waiting_says_for_what_and_goes_on(place, capfd):
    path, holder = place
    code = "import sys; from tfdeblur import files\nwith files.locked(sys.argv[1], True): pass"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert f"makes {path}: waiting" in waiting.stderr.readline()
        assert waiting.poll() is None
        holder.stdin.close()
        assert waiting.wait() == 0


def test_two_exports_at_once_do_not_mix(place):
    path, _ = place
    kind = files.Kind("SavedModel", (r"x\.txt",))
    with pytest.raises(InputError, match="in use"), files.replacing_folder(path, kind, "net"):
        pass
    assert not path.exists()
