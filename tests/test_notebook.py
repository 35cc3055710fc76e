"""examples/restore_a_photo.ipynb runs from top to bottom, and says what is true."""

import json
import pathlib

import numpy as np
import pytest

import tfdeblur

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def cells():
    notebook = json.loads((EXAMPLES / "restore_a_photo.ipynb").read_text("utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_it_is_kept_without_results():
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells())


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(monkeypatch, capsys):
    tiny = tfdeblur.models.build("deepdeblur", scales=1, filters=4, resblocks=1)
    # Tests fetch nothing.
    monkeypatch.setattr(tfdeblur.weights, "open_network", lambda: (tiny, "tiny with none"))
    monkeypatch.chdir(EXAMPLES)
    names = {}
    for cell in cells():
        exec("".join(cell["source"]), names)
    part, restored, sharp = (names[name] for name in ("part", "restored", "sharp"))
    assert restored.shape == part.shape and restored.dtype == np.uint8
    printed = capsys.readouterr().out
    shaken, _, deconvolved = (line for line in printed.splitlines() if " dB" in line)
    assert shaken.startswith("shaken") and "tiny with none" in printed
    # The shake is taken out of it.
    before = tfdeblur.metrics.psnr(sharp, names["shaken"], 255)
    assert f"{before:.2f} dB" in shaken and float(deconvolved.split()[0]) > before + 3
