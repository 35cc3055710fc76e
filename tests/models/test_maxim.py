import pathlib

import golden
import keras
import numpy as np
import pytest
from other_backend import run_on

from tfdeblur import metrics, models, precision, weights
from tfdeblur.models import maxim

SHARED = pathlib.Path(__file__).parents[3] / "shared"
SMALL = {"filters": 8, "stages": 2, "groups": 1, "bottleneck_blocks": 1}
TINY = {"filters": 4, "stages": 1, "groups": 1, "bottleneck_blocks": 1}


def _check_reference():
    arrays = golden.arrays("maxim_small")
    net = models.build("maxim", **SMALL)
    weights.from_flax(
        net, {f"opt/target/{name}": value for name, value in golden.state_dict(arrays).items()}
    )
    outputs = net(arrays["input"].astype("float32") / 255)
    expected = [arrays[f"stage{stage}_output_{k}"] for stage in (1, 0) for k in (1, 2, 3)]
    for output, array in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, array, atol=1e-4)


@pytest.mark.slow
def test_outputs_equal_the_reference():
    _check_reference()


@pytest.mark.long
def test_outputs_equal_the_reference_on_jax():
    pytest.importorskip("jax")
    code = (
        "import keras, test_maxim\n"
        "assert keras.backend.backend() == 'jax'\n"
        "test_maxim._check_reference()\n"
    )
    run_on("jax", code, path=[pathlib.Path(__file__).parent])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stages", "parameters"), [(1, 6_139_561), pytest.param(3, 22_212_795, marks=pytest.mark.long)]
)
def test_parameter_count(stages, parameters):
    assert models.build("maxim", stages=stages).count_params() == parameters


@pytest.mark.slow
def test_outputs_have_their_sizes_at_any_multiple_of_the_stride():
    net = models.build("maxim", **TINY)
    shapes = [tuple(x.shape) for x in net(np.zeros((2, 64, 128, 3)))]
    assert shapes == [(2, 64 // k, 128 // k, 3) for k in (1, 2, 4)]


def test_training_and_restoring_compute_the_same_dense_layer():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    layer = maxim.Conv2D(6, 1, activation=maxim.gelu, data_format="channels_last")
    layer.build(x.shape)
    layer.bias.assign(np.arange(6) / 6)
    np.testing.assert_allclose(layer(x), layer(x, training=True), atol=1e-6)


@pytest.mark.slow
def test_the_seed_decides_about_fresh_weights():
    kernels = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        kernels.append(maxim.lecun_normal((3, 3, 64, 64)))
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    assert np.std(kernels[0]) == pytest.approx((9 * 64) ** -0.5, rel=0.02)


def test_blocks_mix_near_pixels_and_grids_far_ones():
    x = np.zeros((1, 16, 24, 1), "float32")
    x[0, 5, 9] = 1
    for axis, rows, columns in (
        ("block", range(4, 8), range(8, 12)),
        ("grid", range(1, 16, 4), range(3, 24, 6)),
    ):
        layer = maxim.TokenDense(axis, 4)
        layer.build(x.shape)
        layer.kernel.assign(np.ones((16, 16)))
        reached = np.argwhere(np.asarray(layer(x))[0, :, :, 0] > 0).tolist()
        assert reached == [[row, column] for row in rows for column in columns]


@pytest.mark.parametrize("factor", [2, 4])
def test_resizing_keeps_constants_and_ramps(factor):
    """The weights have the sum 1, at the borders too, and no resizing shifts the picture."""
    ramp = np.broadcast_to(np.arange(16.0, dtype="float32")[:, None, None], (1, 16, 16, 1))
    for layer, scale in (
        (maxim.BilinearEnlargement(factor), factor),
        (maxim.BilinearReduction(factor), 1 / factor),
    ):
        size = int(16 * scale)
        np.testing.assert_allclose(
            layer(np.ones_like(ramp)), np.ones((1, size, size, 1)), rtol=1e-6
        )
        assert tuple(layer.compute_output_shape((1, 16, None, 3))) == (1, size, None, 3)
        expected = (np.arange(size) + 0.5) / scale - 0.5
        inside = slice(factor, -factor) if scale > 1 else slice(1, -1)
        np.testing.assert_allclose(
            np.asarray(layer(ramp))[0, inside, 3, 0], expected[inside], rtol=1e-5
        )


@pytest.mark.slow
def test_published_weights_give_the_published_pixels():
    """They are not ours to ship. Slow: a network of 22 million weights, in two precisions."""
    folder = SHARED / "published" / "maxim_gopro"
    if not folder.is_dir():
        pytest.skip(f"the authors' weights are missing: {folder}")
    arrays = dict(np.load(SHARED / "golden" / "maxim_gopro_crop.npz"))
    net = weights.import_network(folder / "weights.npz")
    assert net.hyperparameters == models.build("maxim").hyperparameters
    x = arrays["input"].astype("float32") / 255
    outputs = [np.asarray(output) for output in net(x)]
    expected = [arrays[f"stage{stage}_output_{k}"] for stage in (2, 1, 0) for k in (1, 2, 3)]
    for output, array in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, array, atol=1e-4)
    half = [np.asarray(output) for output in precision.cast(net, "bfloat16")(x)]
    assert {output.dtype.name for output in half} == {"float32"}
    assert metrics.psnr(outputs[0][0], half[0][0], data_range=1) > 50
