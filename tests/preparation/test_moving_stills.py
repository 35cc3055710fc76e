import numpy as np
import pytest
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.preparation import archives, moving_stills
from tfdeblur.preparation.moving_stills import Options
from tfdeblur.preparation.scenes import Layer, PinholeCamera, Scene, Trajectory

SIZE = 48
# The photograph as it is: not reduced, no contrast added, nothing in front of it, no noise.
PLAIN = {"size": SIZE, "downscale": (1, 1), "parts": 0, "cutouts": 0, "contrast": 1}
PLAIN |= {"shot_noise": 0, "responses": ("linear",)}


def photograph(seed=0, height=96, width=128):
    """Blobs of colour: uint8 [height, width, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def render(seed=0, photo=None, other=None, **options):
    photo, other = (
        photograph(i) if given is None else given for i, given in enumerate((photo, other))
    )
    return moving_stills.render_pair(photo, other, seed, Options(**{"size": SIZE, **options}))


def mean_error(a, b):
    return np.abs(a.astype(int) - b).mean()


@pytest.mark.parametrize("response", moving_stills.RESPONSES)
def test_a_pair_is_a_pure_function_of_photographs_seed_and_options(response):
    blurry, sharp, frames = render(seed=5, responses=(response,))
    again = render(seed=5, responses=(response,))
    assert blurry.shape == sharp.shape == (SIZE, SIZE, 3)
    assert blurry.dtype == sharp.dtype == np.uint8
    assert frames in moving_stills.FRAME_COUNTS
    np.testing.assert_array_equal(blurry, again[0])
    np.testing.assert_array_equal(sharp, again[1])
    assert (render(seed=6, responses=(response,))[1] != sharp).any()


@pytest.mark.parametrize("response", moving_stills.RESPONSES)
def test_the_sharp_image_is_a_crop_of_the_photograph(response):
    photo = photograph(height=SIZE, width=SIZE)  # one crop is possible
    for seed in range(3):
        blurry, sharp, _ = render(seed, photo, **{**PLAIN, "responses": (response,)})
        assert mean_error(sharp, photo) < 1.5  # resampled twice
        assert mean_error(blurry, photo) > 3 * mean_error(sharp, photo)


def test_parts_of_the_photograph_leave_the_sharp_image_as_it_is():
    photo = photograph(height=SIZE, width=SIZE)
    for seed in range(3):
        _, sharp, _ = render(seed, photo, **{**PLAIN, "parts": 3})
        assert mean_error(sharp, photo) < 1.5


def test_what_rests_is_not_blurred():
    for seed in range(3):
        blurry, sharp, _ = render(seed, speed=0, shot_noise=0)
        np.testing.assert_array_equal(blurry, sharp)


@pytest.mark.parametrize("response", moving_stills.RESPONSES)
def test_uniform_pairs_are_blurred_by_one_kernel(response):
    photo = photograph(height=SIZE, width=SIZE)
    options = {**PLAIN, "responses": (response,), "uniform": True, "speed": 300}
    blurry, sharp, _ = render(3, photo, **options)
    assert mean_error(sharp, photo) < 1.5
    assert mean_error(blurry, sharp) > 2
    # The light is the same in sum, but for the borders.
    light = [moving_stills.decode(x, response).mean() for x in (blurry, sharp)]
    assert light[0] == pytest.approx(light[1], rel=0.05)


def test_large_photographs_are_reduced():
    photo = photograph(height=4 * SIZE, width=4 * SIZE)
    whole = np.asarray(Image.fromarray(photo).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    _, sharp, _ = render(0, photo, **{**PLAIN, "downscale": (4, 8)})
    assert mean_error(sharp, whole) < 3


@pytest.mark.parametrize(("velocity", "axis"), [((2, 0), 1), ((0, 2), 0)])
def test_the_blur_follows_the_path(velocity, axis):
    camera = PinholeCamera(Trajectory(velocity=np.array([*velocity, 0, 0, 0, 0])), focal=200.0)
    image = np.zeros((4 * SIZE, 4 * SIZE, 4), np.float32)
    image[2 * SIZE - 2 : 2 * SIZE + 2, 2 * SIZE - 2 : 2 * SIZE + 2] = 1  # 2x2 pixels of the frame
    blurry, sharp = moving_stills.expose(Scene((Layer(image),), camera), 7, SIZE)
    np.testing.assert_allclose(sharp[23:25, 23:25], 1)
    assert sharp.sum() == pytest.approx(12)
    length = 7 / 240 * 2 * 200  # seconds, units of depth per second, focal length
    profile = blurry.sum(axis=(1 - axis, 2))
    assert np.count_nonzero(profile) == pytest.approx(length + 2, abs=1.5)
    assert np.count_nonzero(blurry.sum(axis=(axis, 2))) == 2
    np.testing.assert_allclose(profile, profile[::-1], atol=1e-4)  # the sharp one is its middle
    np.testing.assert_allclose(profile[20:28], 12 / length, rtol=0.1)  # without gaps


def test_no_border_shows():
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)  # no room around the crop
    for seed in range(8):
        blurry, sharp, _ = render(seed, white, white, speed=150, shot_noise=0)
        assert blurry.min() >= 254 and sharp.min() >= 254


def test_cutouts_come_from_the_other_photograph():
    red, blue = (
        np.full((SIZE, SIZE, 3), colour, np.uint8) for colour in ([255, 0, 0], [0, 0, 255])
    )
    shares = [(render(seed, red, blue, cutouts=4)[1][..., 2] > 127).mean() for seed in range(12)]
    assert 0.01 < np.mean(shares) < 0.5
    assert render(0, red, blue, cutouts=0)[1][..., 2].max() == 0


def test_a_part_is_a_connected_share_with_soft_edges():
    light = moving_stills.decode(photograph(height=96, width=96), "gamma")
    for seed in range(5):
        opacity = moving_stills._part(np.random.default_rng(seed), light)
        assert opacity.shape == (96, 96)
        assert 0.1 < opacity.mean() < 0.55
        assert opacity.min() == 0 and opacity.max() == 1
        assert np.abs(np.diff(opacity, axis=0)).max() <= 0.75


def test_highlights_shine_more_than_the_sensor_can_show():
    photo = np.full((SIZE, SIZE, 3), 30, np.uint8)
    photo[:, 20:26] = 255
    plain = {**PLAIN, "speed": 200}
    differences = []
    for seed in range(5):
        clipped, sharp, _ = render(seed, photo, **plain)
        shining, same, _ = render(seed, photo, **plain, highlights=8)
        assert mean_error(sharp, same) < 3
        differences.append(shining.mean() - clipped.mean())
    assert max(differences) > 5


def test_contrast_clips_what_gets_too_bright_or_too_dark():
    _, plain, _ = render(0, **{**PLAIN, "speed": 0})
    _, stretched, _ = render(0, **{**PLAIN, "speed": 0, "contrast": 3})
    assert stretched.std() > 1.1 * plain.std()
    assert stretched.min() == 0 and stretched.max() == 255


def test_noise_is_in_the_blurry_image_alone():
    blurry, sharp, _ = render(0, **PLAIN)
    noisy, same, _ = render(0, **{**PLAIN, "read_noise": 0.01})
    np.testing.assert_array_equal(sharp, same)
    assert 1 < mean_error(blurry, noisy) < 4


def test_no_view_over_the_horizon_needs_a_picture_without_end():
    """Walking fast along a slanted plane, the camera would see it to where it vanishes."""
    photo, wild = photograph(), Options(size=16, speed=100, speed_spread=3)
    for seed in range(40):
        rng, times = np.random.default_rng(seed), np.array([-0.02, 0, 0.02])
        scene = moving_stills.random_scene(rng, photo, photo, "linear", times, wild)
        assert max(layer.image.shape[0] for layer in scene.layers) <= 2 * 3 * 16


def test_the_smallest_images_are_rendered():
    for seed in range(20):
        blurry, sharp, _ = render(seed, size=1)
        assert blurry.shape == sharp.shape == (1, 1, 3)


def test_half_of_the_blurry_images_were_jpeg_files():
    options = {**PLAIN, "speed": 0}
    noisy = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    worst, good = (
        [mean_error(*render(seed, noisy, jpeg=(q, q), **options)[:2]) for seed in range(12)]
        for q in (10, 95)
    )
    assert 2 <= sum(error > 0 for error in worst) <= 10
    for a, b in zip(worst, good, strict=True):
        assert a > b > 0 or a == b == 0


def test_speeds_differ_as_much_as_is_wanted():
    speeds = [
        [
            abs(complex(*camera.view(np.array([0, 0, 1.0]), 1e-3)[:2, 2])) * 1e3
            for camera in (
                moving_stills.random_camera(np.random.default_rng(seed), SIZE, 100, spread)
                for seed in range(200)
            )
        ]
        for spread in (0.0, 1.0)
    ]
    narrow, wide = (np.std(np.log(values)) for values in speeds)
    assert wide**2 - narrow**2 == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("response", moving_stills.RESPONSES)
def test_responses_decode_what_they_encode(response):
    codes = np.arange(256, dtype=np.uint8)
    light = moving_stills.decode(codes, response)
    assert light.dtype == np.float32
    assert light[0] == 0 and light[-1] == pytest.approx(1)
    assert (np.diff(light) > 0).all()
    np.testing.assert_array_equal(moving_stills.encode(light, response), codes)
    np.testing.assert_array_equal(moving_stills.encode(np.array([-1, 2]), response), [0, 255])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("responses", ()),
        ("responses", ("gama",)),
        ("downscale", (0.5, 1)),
        ("downscale", (2, 1)),
        ("size", 0),
        ("contrast", 0.5),
        ("highlights", 0),
        ("jpeg", (0, 90)),
        ("jpeg", (90, 80)),
        ("speed_spread", -1),
        ("speed", -1),
        ("cutouts", -1),
        ("read_noise", -0.1),
    ],
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option} is"):
        Options(**{option: value})


def write(folder, *names, **kwargs):
    for name in names:
        images.write(folder / name, photograph(**kwargs))
    return folder


def test_photographs_are_found_and_parted_by_name(tmp_path):
    write(tmp_path, "b.png", "a.jpg", "trip/c.png", "trip/d.PNG")
    photos = moving_stills.find_photos(tmp_path, SIZE)
    assert [photo.name for photo in photos] == ["a.jpg", "b.png", "trip/c.png", "trip/d.PNG"]
    train, test = archives.split(photos, 0.25)
    assert len(train) == 3 and len(test) == 1
    assert set(train) | set(test) == set(photos)
    assert archives.split(photos[::-1], 0.25)[1] == test
    assert archives.split(photos, 0) == (photos, [])
    assert [len(part) for part in archives.split(photos[:2], 0.9)] == [1, 1]


def test_unfit_folders_are_refused(tmp_path):
    def refused(folder, message):
        with pytest.raises(InputError, match=message):
            archives.split(moving_stills.find_photos(folder, SIZE), 0.1)

    refused(tmp_path / "nowhere", "nowhere is not a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty holds no photograph")
    refused(write(tmp_path / "one", "a.png"), r"a\.png is the only one")
    refused(write(tmp_path / "twins", "a.png", "a.jpg"), r"a\.jpg and .*a\.png differ only in")
    refused(write(tmp_path / "small", "a.png", height=40), r"a\.png has 128x40 pixels, too few")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    refused(tmp_path / "broken", r"a\.png cannot be read")


def test_a_photograph_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="40x96 pixels is too small for 48x48"):
        render(0, photograph(width=40))
