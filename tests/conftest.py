import os
import pathlib
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parent / "helpers"))  # for `import golden`

import numpy as np
import pytest
from absl import app, flags


@pytest.hookimpl(tryfirst=True)  # before the marks choose
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)


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


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Runs a command in this process: function of its module and words; starting none is quick.

    What it returns is like what `subprocess.run` does: `returncode`, `stdout`, `stderr`.
    """

    def run(module, *arguments):
        app.define_help_flags()  # which it does once in a process: they stay
        before = set(flags.FLAGS)
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                module.start()
        finally:
            for name in set(flags.FLAGS) - before:  # they are global, and another command's next
                delattr(flags.FLAGS, name)
        out, err = capsys.readouterr()
        return types.SimpleNamespace(returncode=ended.value.code or 0, stdout=out, stderr=err)

    return run
