"""The network in the package: it is the one that its model card describes, and restores."""

import hashlib
import pathlib
import re

import numpy as np

import tfdeblur
from tfdeblur import blur, metrics, weights
from tfdeblur.preparation import dead_leaves

CARD = pathlib.Path(__file__).parents[2] / "docs" / "photographs.md"


def test_the_file_is_that_of_the_model_card():
    content = weights.OWN_FILE.read_bytes()
    (sha256,) = re.findall(r"\b[0-9a-f]{64}\b", CARD.read_text(encoding="utf-8"))
    assert hashlib.sha256(content).hexdigest() == sha256
    assert len(content) < 8e6


def test_it_restores_what_is_blurred_and_leaves_what_is_sharp():
    net, name = weights.open_network(weights.OWN)
    assert name == "photographs" and net.origin["recipe"] == "photographs_small"
    for seed in range(3):
        _, sharp, _ = dead_leaves.render_pair(seed, size=128)
        blurry = blur.convolve(sharp, np.full((1, 5), 0.2, "float32"))
        before = metrics.psnr(sharp, blurry, 255)
        assert metrics.psnr(sharp, tfdeblur.restore(net, blurry), 255) > before + 0.5
        assert metrics.psnr(sharp, tfdeblur.restore(net, sharp), 255) > 33
