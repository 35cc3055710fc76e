import numpy as np
import pytest

import tfdeblur
from tfdeblur import memory, models
from tfdeblur.errors import InputError


def test_what_does_not_fit_is_refused():
    memory.check(1, "one byte", "nothing to do.")
    with pytest.raises(InputError, match=r"a picture needs more than 1024\.0 GiB.*--tile=512"):
        memory.check(2**40, "a picture", "--tile=512")


def test_restoring_without_memory_names_the_flag(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**22)
    net = models.build("mimo_unet", filters=8, resblocks=1)
    image = np.zeros((200, 300, 3), "uint8")
    with pytest.raises(InputError, match=r"300x200 .*`tile=auto`"):
        tfdeblur.restore(net, image)
    assert tfdeblur.restore(net, image, tile=40, overlap=8).shape == image.shape


def test_limits_of_control_groups_count(monkeypatch, tmp_path):
    group = tmp_path / "system" / "container"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("5000000\n")
    (group.parent / "memory.current").write_text("3000000\n")
    (group.parent / "memory.stat").write_text("anon 100\ninactive_file 1000000\n")
    (tmp_path / "cgroup").write_text("0::/system/container\n")
    lines = memory._lines
    monkeypatch.setattr(
        memory, "_lines", lambda p: lines(tmp_path / "cgroup" if p == "/proc/self/cgroup" else p)
    )
    monkeypatch.setitem(
        memory._CONTROL_GROUPS, "", (tmp_path, "memory.max", "memory.current", "inactive_file")
    )
    assert memory.available() == 3_000_000


def test_a_gpu_that_does_not_tell_its_memory(monkeypatch):
    """TensorFlow knows nothing of GPU:0 here, and raises what it does for such a device."""
    monkeypatch.setattr(memory, "on_cpu", lambda: False)
    memory.reset_peak()
    assert memory.peak() is None
    assert memory.of_device() is None
    assert memory.whose() == "the GPU"
