"""What needs Keras alone gives the same values on JAX and, where it is installed, on PyTorch."""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest
from other_backend import run_on

import tfdeblur
from tfdeblur import losses, metrics, models, pyramid

SMALL = {"filters": 8, "resblocks": 1}


def values(weights=None):
    """{name: array} of losses, metrics, pyramids, restored images; and a network's weights."""
    random = np.random.default_rng(0)
    images = [random.random((2, 32 >> k, 64 >> k, 3), "float32") for k in range(3)]
    labels = [np.roll(x, 1, axis=1) for x in images]
    found = {name: loss(labels, images) for name, loss in losses.LOSSES.items()}
    logits = [random.normal(size=(4, 1)).astype("float32") for _ in range(2)]
    for name, pair in losses.ADVERSARIAL_LOSSES.items():
        found |= {f"{name} {i}": loss(*logits) for i, loss in enumerate(pair)}
    for name, make in pyramid.PYRAMIDS.items():
        found |= {f"pyramid {name} {i}": x for i, x in enumerate(make(images[0], 3))}
    big = [random.random((192, 192, 3)) for _ in range(2)]
    found["psnr"] = metrics.psnr(*big, 1.0)
    for kind in ("gaussian", "volume"):
        found[f"ssim {kind}"] = metrics.ssim(*big, 1.0, kind=kind)
    found["ms_ssim"] = metrics.ms_ssim(*(x[..., 0] for x in big), 1.0)
    net = models.build("mimo_unet", **SMALL)
    if weights:
        net.set_weights(weights)
    image = random.integers(0, 256, (45, 70, 3)).astype("uint8")
    for tile in (None, 32):
        restored = tfdeblur.restore(net, image, tile=tile, precision="float32")
        found[f"restored {tile}"] = restored.astype("float32") / 255
    found = {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}
    return found, net.get_weights()


def write_values():
    """For a process of another backend: reads weights.npz, writes values.npz."""
    with np.load("weights.npz") as file:
        found, _ = values([file[name] for name in file.files])
    np.savez("values.npz", **found)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_values_are_those_of_tensorflow(backend, tmp_path):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    expected, weights = values()
    np.savez(tmp_path / "weights.npz", *weights)
    code = "import test_backends; test_backends.write_values()"
    run_on(backend, code, cwd=tmp_path, path=[pathlib.Path(__file__).parent])
    with np.load(tmp_path / "values.npz") as found:
        assert found.files == list(expected)
        for name, value in expected.items():
            one_grey_level = 1.01 / 255 if name.startswith("restored") else 0
            np.testing.assert_allclose(
                found[name], value, rtol=1e-5, atol=max(1e-6, one_grey_level), err_msg=name
            )
