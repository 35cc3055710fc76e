import numpy as np
import pytest

from tfdeblur import blur


def constant_frames(*codes):
    return np.stack([np.full((2, 3, 3), code, np.uint8) for code in codes])


def test_linear_response_takes_the_mean_of_the_codes():
    blurry, _ = blur.synthesize(constant_frames(10, 20, 31), response="linear")
    assert blurry.dtype == np.uint8
    np.testing.assert_array_equal(blurry, 20)  # 61 / 3 = 20.33


def test_gamma_response_takes_the_mean_of_the_light():
    # (1/3)^(1/2.2) * 255 = 154.76: one white frame out of three is far brighter than a third.
    blurry, _ = blur.synthesize(constant_frames(0, 255, 0))
    np.testing.assert_array_equal(blurry, 155)


def test_gamma_is_a_parameter():
    # (1/3)^(1/1.8) * 255 = 138.51
    blurry, _ = blur.synthesize(constant_frames(0, 255, 0), gamma=1.8)
    np.testing.assert_array_equal(blurry, 139)


def test_equal_frames_stay_as_they_are():
    frame = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)
    for response in blur.RESPONSES:
        blurry, sharp = blur.synthesize(np.stack([frame] * 13), response)
        np.testing.assert_array_equal(blurry, frame)
        np.testing.assert_array_equal(sharp, frame)


def test_sharp_is_the_middle_frame_and_a_copy():
    frames = constant_frames(1, 2, 3, 4, 5)
    _, sharp = blur.synthesize(frames)
    np.testing.assert_array_equal(sharp, 3)
    sharp[:] = 0
    np.testing.assert_array_equal(frames[2], 3)


def test_a_list_of_frames_is_as_good_as_an_array():
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    for from_array, from_list in zip(
        blur.synthesize(frames), blur.synthesize(list(frames)), strict=True
    ):
        np.testing.assert_array_equal(from_array, from_list)


@pytest.mark.parametrize("response", blur.RESPONSES)
def test_encode_inverts_decode(response):
    codes = np.arange(256, dtype=np.uint8)
    light = blur.to_linear(codes, response)
    assert light.dtype == np.float32
    assert (light[0], light[-1]) == (0, 1)
    np.testing.assert_array_equal(blur.from_linear(light, response), codes)


def test_encode_clips():
    np.testing.assert_array_equal(blur.from_linear(np.float32([-1, 2])), [0, 255])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (constant_frames(1, 2, 3, 4), "odd number"),
        (constant_frames(1), "3 or more"),
        ([], "3 or more"),
        (constant_frames(1, 2, 3).astype(np.float32), "uint8"),
        (constant_frames(1, 2, 3)[..., 0], r"\[M, H, W, 3\]"),
        (constant_frames(1, 2, 3)[..., :1], r"RGB frames \[H, W, 3\]"),
        ([np.zeros((2, 2, 3), np.uint8)] * 2 + [np.zeros((2, 4, 3), np.uint8)], "one size"),
    ],
)
def test_unfit_frames_are_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        blur.synthesize(frames)


def test_unknown_response_is_refused():
    with pytest.raises(ValueError, match="choose one of gamma, linear"):
        blur.synthesize(constant_frames(1, 2, 3), response="srgb")


def test_gamma_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="positive"):
        blur.synthesize(constant_frames(1, 2, 3), gamma=0)


def test_names_of_the_last_version_still_work():
    assert (blur.decode, blur.encode) == (blur.to_linear, blur.from_linear)
