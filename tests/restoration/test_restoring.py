import keras
import numpy as np
import pytest
from PIL import Image
from small_networks import long_but_for, shared

import tfdeblur
from tfdeblur import memory, models, restoration
from tfdeblur.errors import InputError
from tfdeblur.restoration import restoring


class Identity(models.Network):
    """Returns its input, and remembers the sizes that it saw."""

    def __init__(self, stride=4):
        image = keras.Input((None, None, 3))
        level = keras.layers.Identity()(image)
        super().__init__(
            image,
            [level],
            stride=stride,
            inference_bytes_per_pixel=(64, 64),
            activation_channels=3,
            hyperparameters={"stride": stride},
            name="identity",
        )


class BoxFilter(models.Network):
    """The mean of the pixels that are at most `reach` away, zeros beyond the border."""

    def __init__(self, reach):
        image = keras.Input((None, None, 3))
        size = 2 * reach + 1
        mean = keras.layers.DepthwiseConv2D(
            size,
            padding="same",
            use_bias=False,
            depthwise_initializer=keras.initializers.Constant(1 / size**2),
        )
        super().__init__(
            image,
            [mean(image)],
            stride=4,
            inference_bytes_per_pixel=(64, 64),
            activation_channels=3,
            hyperparameters={"reach": reach},
            name="box_filter",
        )


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype="uint8")


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return models.build("mimo_unet", filters=8, resblocks=1)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 9), (16, 16), (37, 53)])
def test_any_size_comes_back(size, net):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
    restored = tfdeblur.restore(net, image)
    assert restored.shape == image.shape and restored.dtype == np.uint8
    np.testing.assert_array_equal(tfdeblur.restore(Identity(), image), image)


@pytest.mark.parametrize("tile", [16, 20, 64])
def test_tiles_of_a_local_function_equal_the_whole(image, tile):
    whole = restoration.restore_float(Identity(), image)
    tiled = restoration.restore_float(Identity(), image, tile=tile, overlap=8)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_tiles_of_a_wide_filter_show_no_seam():
    # Beside every cut the filter sees zeros, which would show as dark lines on this even picture.
    net, image = BoxFilter(reach=16), np.full((150, 200, 3), 180, "uint8")
    whole = restoration.restore_float(net, image)
    seams = restoration.restore_float(net, image, tile=80, overlap=8)
    assert np.abs(seams - whole).max() > 0.1
    tiled = restoration.restore_float(net, image, tile=128, overlap=4 * 16)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_tiles_of_a_network_are_as_the_whole(net):
    ramp = np.linspace(0, 255, 160, dtype="uint8")
    image = np.stack(np.broadcast_arrays(ramp, ramp[:120, None], np.uint8(128)), axis=-1)
    whole = tfdeblur.restore(net, image).astype(int)
    tiled = tfdeblur.restore(net, image, tile=96)
    assert np.abs(tiled - whole).mean() < 1


def test_sixteen_bits_stay(image, net):
    deep = image.astype("uint16") * 257
    np.testing.assert_array_equal(tfdeblur.restore(Identity(), deep + 1), deep + 1)
    restored = tfdeblur.restore(net, deep, tile=20, overlap=8)
    assert restored.dtype == np.uint16 and (restored % 257).any()
    expected = restoration.restore_float(net, image, tile=20, overlap=8)
    np.testing.assert_allclose(restored / 65535, expected, atol=1e-5)


def test_progress_is_told_after_each_tile(image):
    shares = []
    tfdeblur.restore(Identity(), image, tile=32, overlap=8, progress=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1]
    tfdeblur.restore(Identity(), image, progress=shares.append)
    assert shares[4:] == [1]


def test_auto_chooses_from_the_memory(monkeypatch, net):
    image = np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype="uint8")
    sizes = []
    monkeypatch.setattr(
        restoring, "_run", lambda net, images: (sizes.append(images.shape), images)[1]
    )

    def sizes_within(free):
        sizes.clear()
        monkeypatch.setattr(memory, "of_device", lambda: free)
        np.testing.assert_array_equal(tfdeblur.restore(net, image, tile="auto"), image)
        return sizes

    assert sizes_within(2**32) == [(1, 500, 600, 3)]
    whole = 500 * 600 * net.bytes_per_pixel
    several = sizes_within(whole)
    assert len(several) == 2 and several[0][1] * several[0][2] * net.bytes_per_pixel < 0.8 * whole
    assert sizes_within(None) == [(1, 500, 600, 3)]
    with pytest.raises(InputError, match=r"even a tile of .* end other programs"):
        sizes_within(2**20)

    monkeypatch.setattr(net, "largest_tile", 384, raising=False)
    for free in (2**32, None):
        assert len(sizes_within(free)) == 4 and max(max(shape[1:3]) for shape in sizes) <= 384
    _, *size, _ = sizes[0]
    assert len(sizes_within(np.prod(size) * net.bytes_per_pixel)) > 4


def test_self_ensemble_in_tiles(image):
    ensemble = tfdeblur.restore(Identity(), image, tile=32, overlap=8, self_ensemble=True)
    np.testing.assert_array_equal(ensemble, image)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's traces")
def test_one_trace_for_all_sizes():
    net = models.build("mimo_unet", filters=4, resblocks=1)
    for height in (8, 20, 33, 64):
        for width in (8, 40, 41):
            tfdeblur.restore(net, np.zeros((height, width, 3), "uint8"))
    assert net.restoring_function.func.experimental_get_tracing_count() == 1


def test_what_is_no_network_is_refused(image, net):
    for other in (keras.Model(net.inputs, net.outputs), lambda images: images, "maxim"):
        with pytest.raises(InputError, match=r"no network: .*open_network"):
            tfdeblur.restore(other, image)


def test_few_sizes_where_each_compiles(monkeypatch):
    net, sizes = Identity(), set()
    # After a run, which is deterministic, Keras would not let it be set.
    monkeypatch.setattr(Identity, "jit_compile", True)
    monkeypatch.setattr(restoring, "_run", lambda net, images: (sizes.add(images.shape), images)[1])
    for size in range(200, 400):
        image = np.random.default_rng(0).integers(0, 256, (size, 300, 3), dtype="uint8")
        np.testing.assert_array_equal(tfdeblur.restore(net, image), image)
    assert len(sizes) <= 9


@pytest.mark.parametrize("name", long_but_for("nafnet", "restormer", "mprnet", "dmphn"))
def test_no_more_padding_than_the_stride_where_each_pixel_depends_on_all(name, monkeypatch):
    """Means of the picture, grids over it and cuts of it: more padding would change all pixels."""
    whole = {"deblurgan", "deblurgan_v2", "dmphn", "maxim", "mprnet", "nafnet", "restormer"}
    net, sizes = shared(name), []
    monkeypatch.setattr(type(net), "jit_compile", True)
    monkeypatch.setattr(
        restoring, "_run", lambda _, images: (sizes.append(images.shape), images)[1]
    )
    image = np.zeros((530, 330, 3), "uint8")
    tfdeblur.restore(net, image)
    restoration.restore_float(net, image)
    least = tuple(-(-(n + net.least_padding) // net.stride) * net.stride for n in (530, 330))
    assert sizes[1][1:3] == least
    assert (sizes[0][1:3] == least) == (name in whole)


def test_self_ensemble_is_the_mean_over_rotations(image, net):
    image = image // 2 + 64  # away from 0 and 255, where results are clipped
    ensemble = restoration.restore_float(net, image, self_ensemble=True)
    unit = [np.ascontiguousarray(np.rot90(image, k)) for k in range(4)]
    single = [np.rot90(restoration.restore_float(net, x), -k) for k, x in enumerate(unit)]
    np.testing.assert_allclose(ensemble, np.mean(single, axis=0), atol=1e-5)
    turned = restoration.restore_float(net, unit[1], self_ensemble=True)
    np.testing.assert_allclose(np.rot90(turned, -1), ensemble, atol=1e-5)


@pytest.mark.slow
def test_precision_follows_the_weights(image, net):
    before = tfdeblur.restore(net, image, precision="bfloat16")
    assert np.abs(before.astype(int) - tfdeblur.restore(net, image)).max() <= 2
    changed = models.build("mimo_unet", filters=8, resblocks=1)
    tfdeblur.restore(changed, image, precision="bfloat16")
    changed.set_weights(net.get_weights())
    np.testing.assert_array_equal(tfdeblur.restore(changed, image, precision="bfloat16"), before)


def test_quantise_rounds_and_clips():
    values = np.array([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.2])
    np.testing.assert_array_equal(restoration.quantise(values), [0, 0, 0, 1, 255, 255])
    levels = np.arange(2**16)
    np.testing.assert_array_equal(restoration.quantise(levels / 65535, "uint16"), levels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4)])
def test_arrays_of_every_kind(dtype, shape):
    peak = np.iinfo(dtype).max if dtype.startswith("u") else 1
    image = (np.random.default_rng(0).random(shape) * peak).astype(dtype)
    restored = tfdeblur.restore(Identity(), image)
    assert restored.dtype == image.dtype and restored.shape == shape
    np.testing.assert_allclose(restored, image, atol=0 if dtype != "float64" else 1e-7)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_images_and_paths(tmp_path, image, mode):
    picture = Image.fromarray(image).convert(mode)
    restored = tfdeblur.restore(Identity(), picture)
    assert restored.mode == mode
    np.testing.assert_array_equal(restored, picture)
    picture.save(tmp_path / "x.png")
    np.testing.assert_array_equal(tfdeblur.restore(Identity(), tmp_path / "x.png"), picture)
    np.testing.assert_array_equal(tfdeblur.restore(Identity(), str(tmp_path / "x.png")), picture)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "float32"])
def test_pil_images_of_more_than_eight_bits(dtype):
    values = np.array([[0, 40000, 65535]]) / (65535 if dtype == "float32" else 1)
    picture = Image.fromarray(values.astype(dtype))
    restored = tfdeblur.restore(Identity(), picture)
    assert restored.mode == picture.mode
    np.testing.assert_array_equal(restored, picture)


def test_pil_images_keep_what_they_say(tmp_path, image):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "x.jpg", exif=exif, icc_profile=b"profile", dpi=(9, 9))
    with Image.open(tmp_path / "x.jpg") as picture:
        restored = tfdeblur.restore(Identity(), picture)
    assert restored.getexif()[0x0112] == 6
    assert restored.info["icc_profile"] == b"profile" and restored.info["dpi"] == (9, 9)


@pytest.mark.parametrize(
    ("wrong", "how"),
    [
        (np.full((4, 4, 3), 1.5, "float32"), r"np\.asarray\(image\) / 255"),
        (np.full((4, 4, 3), np.nan, "float32"), "some of this is no number"),
        (np.zeros((4, 4, 3), "int64"), r'astype\("uint8"\)'),
        (np.zeros((1, 4, 4, 3), "uint8"), "one by one"),
        (np.zeros((3, 4, 4 * 2), "uint8"), "channels last"),
        (np.zeros((0, 4, 3), "uint8"), "one image"),
        (Image.new("P", (4, 4)), r'convert\("RGB"\)'),
        (Image.new("1", (4, 4)), r'convert\("L"\)'),
        (Image.new("I", (4, 4)), r'np\.asarray\(image\)\.astype\("uint16"\)'),
        (Image.new("F", (4, 4), 255), r"np\.asarray\(image\) / 255"),
    ],
)
def test_what_else_is_given_is_told_how_to_convert(wrong, how):
    with pytest.raises(InputError, match=how):
        tfdeblur.restore(Identity(), wrong)


@pytest.mark.parametrize(("mode", "usual"), [("L", "LA"), ("RGB", "RGBA")])
def test_a_transparent_colour_of_a_pil_image_is_not_lost_without_a_word(mode, usual):
    picture = Image.new(mode, (4, 4))
    picture.info["transparency"] = 0 if mode == "L" else (0, 0, 0)
    with pytest.raises(InputError, match=rf'convert\("{usual}"\)'):
        tfdeblur.restore(Identity(), picture)
    assert tfdeblur.restore(Identity(), picture.convert(usual)).mode == usual


def test_tiles_smaller_than_their_overlap_are_refused(image):
    with pytest.raises(InputError, match="`tile=8`"):
        tfdeblur.restore(Identity(), image, tile=8, overlap=8)


def test_broken_weights_are_told(image):
    broken = models.build("mimo_unet", filters=8, resblocks=1)
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    with pytest.raises(InputError, match="not finite"):
        tfdeblur.restore(broken, image)


def test_strength_and_mask(image, net, tmp_path):
    whole = tfdeblur.restore(net, image)
    assert (whole != image).any()
    np.testing.assert_array_equal(tfdeblur.restore(net, image, strength=0), image)
    mask = np.zeros((37, 53), bool)
    mask[5:20, 7:30] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for given in (mask, tmp_path / "mask.png"):
        restored = tfdeblur.restore(net, image, mask=given)
        np.testing.assert_array_equal(restored, np.where(mask[..., None], whole, image))
    with pytest.raises(InputError, match="`mask` is of 53x36 pixels"):
        tfdeblur.restore(net, image, mask=mask[1:])


@pytest.mark.parametrize("strength", ["0.5", None, 1.5, -1, float("nan")])
def test_a_strength_that_is_none(strength):
    with pytest.raises(InputError, match=rf"`strength={strength}`: give a number from 0 to 1"):
        tfdeblur.restore(Identity(), np.zeros((8, 8, 3), "uint8"), strength=strength)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("tile", "big"), ("tile", 3.5), ("tile", True), ("tile", -64), ("overlap", "x")],
)
def test_tiles_are_whole_numbers_of_pixels(argument, value):
    options = {"tile": 64} | {argument: value}
    with pytest.raises(InputError, match=f"`{argument}={value}`: give a number of pixels"):
        tfdeblur.restore(Identity(), np.zeros((8, 8, 3), "uint8"), **options)
