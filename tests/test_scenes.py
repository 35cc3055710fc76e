import concurrent.futures

import numpy as np
import pytest

from tfdeblur import blur, scenes
from tfdeblur.scenes import Layer, Scene, Trajectory

SIZE = 64
TIMES = scenes.frame_times(5)
ONE_PIXEL_PER_FRAME = np.array([scenes.FRAME_RATE, 0, 0, 0.0])


def square(colour, extent=16, opacity=1.0):
    """A layer's image: a square in the middle of an empty picture twice as wide."""
    pixels = 2 * extent * scenes.OVERSAMPLING
    image = np.zeros((pixels, pixels, 4), np.float32)
    inside = slice(pixels // 4, 3 * pixels // 4)
    image[inside, inside] = [*(np.array(colour) * opacity), opacity]
    return image


def render(layers, camera=None, times=TIMES):
    return scenes.render(Scene(tuple(layers), camera or Trajectory()), times, SIZE, SIZE)


def middle_of(frame):
    """x, y of the centroid of the light, from the middle of the frame."""
    light = frame.sum(axis=-1)
    pixels = np.arange(SIZE) + 0.5 - SIZE / 2
    return light.sum(0) @ pixels / light.sum(), light.sum(1) @ pixels / light.sum()


def test_trajectory_starts_at_zero_and_follows_its_terms():
    ones = np.ones(4)
    wave = Trajectory(tremor=2 * ones[None], frequency=3 * ones[None], phase=0.5 * ones[None])
    path = Trajectory(velocity=ones, acceleration=4 * ones)
    np.testing.assert_allclose(wave.at(0), 0)
    np.testing.assert_allclose(path.at(0.5), 1 * 0.5 + 4 * 0.25 / 2)
    np.testing.assert_allclose(
        wave.at(0.1), 2 * (np.sin(2 * np.pi * 0.3 + 0.5) - np.sin(0.5)) * ones
    )


def test_frame_times_are_those_of_240_fps_around_zero():
    np.testing.assert_allclose(scenes.frame_times(3), [-1 / 240, 0, 1 / 240])


def test_a_resting_layer_is_drawn_where_it_is():
    frames = render([Layer(square([1, 0.5, 0.25]), centre=8 - 4j)])
    assert frames.shape == (5, SIZE, SIZE, 3)
    assert frames.dtype == np.float32
    expected = np.zeros((SIZE, SIZE, 3), np.float32)
    expected[20:36, 32:48] = [1, 0.5, 0.25]
    for frame in frames:
        np.testing.assert_allclose(frame, expected, atol=1e-6)


def test_motion_by_whole_pixels_is_an_exact_shift():
    moving = Layer(square([1, 1, 1]), trajectory=Trajectory(velocity=ONE_PIXEL_PER_FRAME))
    frames = render([moving])
    for k, frame in enumerate(frames):
        np.testing.assert_allclose(frame, np.roll(frames[2], k - 2, axis=1), atol=1e-5)


def test_fast_layers_leave_a_trace_without_gaps():
    path = Trajectory(velocity=8 * ONE_PIXEL_PER_FRAME)
    trace = render([Layer(square([1, 1, 1], extent=4), trajectory=path)]).mean(axis=0)[32, :, 0]
    level = 4 / (8 * len(TIMES))  # 4 pixels wide, it dwells so long at each place
    np.testing.assert_allclose(trace[16:48], level, rtol=0.01)


def test_nearer_layers_follow_the_camera_more():
    camera = Trajectory(velocity=ONE_PIXEL_PER_FRAME)
    far = render([Layer(square([1, 1, 1]), nearness=1.0)], camera)
    near = render([Layer(square([1, 1, 1]), nearness=2.0)], camera)
    np.testing.assert_allclose(middle_of(far[-1]), [2, 0], atol=1e-3)
    np.testing.assert_allclose(middle_of(near[-1]), [4, 0], atol=1e-3)


def test_the_camera_turns_clockwise_and_zooms_about_the_middle():
    layer = Layer(square([1, 1, 1], extent=4), centre=10 + 0j)
    quarter, double = np.array([0, 0, np.pi / 2, 0]), np.array([0, 0, 0, np.log(2)])
    (turned,) = render([layer], Trajectory(velocity=quarter), times=[1.0])
    (zoomed,) = render([layer], Trajectory(velocity=double), times=[1.0])
    np.testing.assert_allclose(middle_of(turned), [0, 10], atol=0.05)
    np.testing.assert_allclose(middle_of(zoomed), [20, 0], atol=0.05)
    assert zoomed.sum() == pytest.approx(4 * 16 * 3, rel=0.02)


def test_later_layers_hide_earlier_ones_by_their_opacity():
    red, veil = square([1, 0, 0], extent=32), square([0, 1, 0], extent=8, opacity=0.25)
    frame = render([Layer(red), Layer(veil)])[2]
    np.testing.assert_allclose(frame[32, 32], [0.75, 0.25, 0], atol=1e-6)
    np.testing.assert_allclose(frame[32, 20], [1, 0, 0], atol=1e-6)


def test_layers_out_of_sight_leave_no_trace():
    assert not render([Layer(square([1, 1, 1]), centre=500 + 0j)]).any()


def test_a_backdrop_with_the_margin_covers_every_frame():
    style = scenes.MotionStyle(1.0, pan=900, tremor=9, turn=3, zoom=4, leaf=0, moving=0)
    for seed in range(5):
        camera = scenes.camera_trajectory(np.random.default_rng(seed), style)
        extent = SIZE + 2 * scenes.margin(camera, TIMES, SIZE, SIZE)
        white = np.ones((extent * scenes.OVERSAMPLING,) * 2 + (4,), np.float32)
        np.testing.assert_allclose(render([Layer(white)], camera), 1, atol=1e-5)


def test_radii_follow_the_power_law():
    radii = scenes.power_law_radii(np.random.default_rng(0), 100_000, 4, 64)
    assert radii.min() >= 4
    assert radii.max() <= 64
    for radius in (5, 8, 20):  # the share of leaves that are larger, by integration of r^-3
        expected = (radius**-2 - 64**-2) / (4**-2 - 64**-2)
        assert np.mean(radii > radius) == pytest.approx(expected, rel=0.05)


def test_outlines_have_the_area_of_the_unit_disc():
    outlines = scenes.random_outlines(np.random.default_rng(0), 50)
    x, y = outlines.real, outlines.imag
    area = (x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1) / 2
    np.testing.assert_allclose(area, np.pi, rtol=1e-6)


def test_sensor_noise_has_the_stated_variance():
    frames = np.full((1, 200, 200, 3), 0.5, np.float32)
    noisy = scenes.add_sensor_noise(np.random.default_rng(0), frames, shot=0.02, read=0.1)
    assert noisy.dtype == np.float32
    assert noisy.mean() == pytest.approx(0.5, abs=0.003)
    assert noisy.var() == pytest.approx(0.02 * 0.5 + 0.1**2, rel=0.03)


def test_a_pair_is_made_of_its_frames():
    frames = scenes.render_frames(seed=3, size=SIZE)
    blurry, sharp, count = scenes.render_pair(seed=3, size=SIZE)
    assert count == len(frames)
    assert count in scenes.FRAME_COUNTS
    assert blurry.shape == sharp.shape == (SIZE, SIZE, 3)
    assert blurry.dtype == sharp.dtype == np.uint8
    np.testing.assert_array_equal(sharp, frames[count // 2])
    np.testing.assert_array_equal(blurry, blur.synthesize(frames)[0])


def test_a_seed_decides_on_every_byte_whatever_else_is_rendered():
    alone = [scenes.render_pair(seed, SIZE)[:2] for seed in range(4)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: scenes.render_pair(seed, SIZE)[:2], range(4)))
    np.testing.assert_array_equal(alone, together)
    assert len({pair[1].tobytes() for pair in alone}) == 4


def test_sensor_noise_is_an_option():
    clean = scenes.render_pair(seed=3, size=SIZE)[1]
    noisy = scenes.render_pair(seed=3, size=SIZE, read_noise=0.01)[1]
    assert 0 < np.abs(clean.astype(int) - noisy).mean() < 20


def test_a_scene_at_rest_is_not_blurred():
    rest = scenes.MotionStyle(1.0, pan=0, tremor=0, turn=0, zoom=0, leaf=0, moving=0)
    scene = scenes.dead_leaves(np.random.default_rng(0), rest, TIMES, SIZE)
    frames = blur.encode(scenes.render(scene, TIMES, SIZE, SIZE))
    blurry, sharp = blur.synthesize(frames)
    np.testing.assert_array_equal(blurry, sharp)
    assert sharp.std() > 20  # there is something to see


def unexplained_share(frames, reach=15):
    """The share of the blur's energy that the best kernel for the whole image leaves, in [0, 1].

    The kernel has (2 * reach + 1)^2 free values, and works on luminance in linear light, where
    uniform motion would be an exact convolution.
    """
    light = blur.decode(frames).mean(axis=-1, dtype=np.float64)
    sharp, blurry = light[len(light) // 2], light.mean(axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(sharp, (2 * reach + 1,) * 2)[::2, ::2]
    windows = windows.reshape(-1, (2 * reach + 1) ** 2)
    inside = slice(reach, -reach)
    target = blurry[inside, inside][::2, ::2].ravel()
    kernel = np.linalg.solve(
        windows.T @ windows + 1e-6 * np.eye(windows.shape[1]), windows.T @ target
    )
    blur_energy = np.sum((target - sharp[inside, inside][::2, ::2].ravel()) ** 2)
    return np.sum((target - windows @ kernel) ** 2) / blur_energy


def test_one_kernel_explains_the_blur_of_a_uniform_shift():
    rng = np.random.default_rng(0)
    style = scenes.MOTION_STYLES["still"]
    image = scenes.dead_leaves(rng, style, TIMES, 192).layers[0].image
    camera = Trajectory(velocity=np.array([240, 120, 0, 0]))
    frames = scenes.render(Scene((Layer(image),), camera), scenes.frame_times(9), 160, 160)
    assert unexplained_share(blur.encode(frames)) < 0.02


def test_one_kernel_does_not_explain_the_blur_of_dynamic_scenes():
    shares = []
    for seed, name in enumerate(["tripod", "hand-held", "panned", "turned"] * 2):
        rng, times = np.random.default_rng(seed), scenes.frame_times(11)
        scene = scenes.dead_leaves(rng, scenes.MOTION_STYLES[name], times, 256)
        frames = blur.encode(scenes.render(scene, times, 256, 256))
        shares.append(unexplained_share(frames))
    assert np.mean(np.array(shares) > 0.1) >= 0.75, shares
