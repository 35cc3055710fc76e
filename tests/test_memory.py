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
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    net = models.build("mimo_unet", filters=8, resblocks=1)
    image = np.zeros((200, 300, 3), "uint8")
    with pytest.raises(InputError, match=r"300x200 .*--tile"):
        tfdeblur.restore(net, image)
    assert tfdeblur.restore(net, image, tile=40, overlap=8).shape == image.shape
