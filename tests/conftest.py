import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parent / "helpers"))  # for `import golden`

import numpy as np
import pytest


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The current folder, with photos/a.jpg, photos/trip/b.png and photos/note.txt."""
    from tfdeblur.io import images  # here, so that what tests import is theirs

    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    images.write("photos/a.jpg", image)
    images.write("photos/trip/b.png", image)
    pathlib.Path("photos/note.txt").write_text("no image")
    return pathlib.Path("photos")
