import numpy as np
import pytest

from tfdeblur.preparation import dead_leaves, scenes
from tfdeblur.preparation.scenes import Layer, PinholeCamera, PlanarCamera, Scene, Trajectory

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
    return scenes.render(Scene(tuple(layers), camera or PlanarCamera()), times, SIZE, SIZE)


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
    camera = PlanarCamera(Trajectory(velocity=ONE_PIXEL_PER_FRAME))
    far = render([Layer(square([1, 1, 1]), nearness=1.0)], camera)
    near = render([Layer(square([1, 1, 1]), nearness=2.0)], camera)
    np.testing.assert_allclose(middle_of(far[-1]), [2, 0], atol=1e-3)
    np.testing.assert_allclose(middle_of(near[-1]), [4, 0], atol=1e-3)


def test_the_camera_turns_clockwise_and_zooms_about_the_middle():
    layer = Layer(square([1, 1, 1], extent=4), centre=10 + 0j)
    quarter, double = np.array([0, 0, np.pi / 2, 0]), np.array([0, 0, 0, np.log(2)])
    (turned,) = render([layer], PlanarCamera(Trajectory(velocity=quarter)), times=[1.0])
    (zoomed,) = render([layer], PlanarCamera(Trajectory(velocity=double)), times=[1.0])
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
    style = dead_leaves.MotionStyle(1.0, pan=900, tremor=9, turn=3, zoom=4, leaf=0, moving=0)
    for seed in range(5):
        camera = dead_leaves.random_camera(np.random.default_rng(seed), style)
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


def pinhole(*velocity, focal=100.0):
    """A camera with these six coordinates at time 1."""
    return PinholeCamera(Trajectory(velocity=np.array(velocity)), focal)


def seen(camera, points, nearness=1.0):
    """Where points x + iy are seen at time 1."""
    moved = camera.view(nearness, 1.0) @ np.stack([points.real, points.imag, np.ones(len(points))])
    return (moved[0] + 1j * moved[1]) / moved[2]


POINTS = np.array([0, 20, 20j, -30 - 10j])


def test_a_walking_camera_moves_near_points_more():
    np.testing.assert_allclose(seen(pinhole(0.1, 0.2, 0, 0, 0, 0), POINTS), POINTS - 10 - 20j)
    np.testing.assert_allclose(seen(pinhole(0.1, 0, 0, 0, 0, 0), POINTS, nearness=2), POINTS - 20)
    np.testing.assert_allclose(seen(pinhole(0, 0, 0.5, 0, 0, 0), POINTS), 2 * POINTS)


def test_a_slanted_plane_moves_by_its_depth_at_each_point():
    ground = np.array([0, 2, 1.0])  # at y = 20 and focal 100 its inverse depth is 1.4
    moved = seen(pinhole(0.1, 0, 0, 0, 0, 0), POINTS, ground)
    np.testing.assert_allclose(moved, POINTS - 10 * (1 + 2 * POINTS.imag / 100), atol=1e-9)


def test_a_turning_camera_moves_all_depths_alike_and_gives_keystone():
    yaw = np.arctan(0.2)
    for nearness in (1.0, 3.0, np.array([0.5, 0.5, 1.0])):
        moved = seen(pinhole(0, 0, 0, 0, yaw, 0), np.array([0, 20 + 20j]), nearness)
        # What lay at x = 20 comes to the middle, what lay in the middle is further out than 20.
        np.testing.assert_allclose(moved[0], -20, atol=1e-9)
        np.testing.assert_allclose(moved[1].real, 0, atol=1e-9)
        assert 0 < moved[1].imag < 20
    pitched = seen(pinhole(0, 0, 0, np.arctan(0.2), 0, 0), np.array([0j]))
    np.testing.assert_allclose(pitched, 20j, atol=1e-9)  # it looks up, so the scene goes down
    rolled = seen(pinhole(0, 0, 0, 0, 0, np.pi / 2), np.array([10 + 0j]))
    np.testing.assert_allclose(rolled, -10j, atol=1e-9)  # clockwise, so the scene turns back


def test_a_homography_is_drawn_where_the_camera_sees_the_layer():
    camera = pinhole(0.05, -0.03, 0.02, 0.03, -0.05, 0.2)
    layer = Layer(square([1, 1, 1], extent=8), centre=12 - 8j, nearness=np.array([0.3, 0.4, 1.2]))
    (frame,) = scenes.film(Scene((layer,), camera), [1.0], SIZE, SIZE, exposure=0)
    (expected,) = seen(camera, np.array([12 - 8j]), layer.nearness)
    np.testing.assert_allclose(middle_of(frame), [expected.real, expected.imag], atol=0.05)


def test_a_slanted_backdrop_with_the_margin_covers_every_frame():
    camera, ground = pinhole(3, 2, 1, 1, -2, 3), np.array([0.5, 1, 1.0])
    extent = SIZE + 2 * scenes.margin(camera, TIMES, SIZE, SIZE, ground)
    white = np.ones((extent * scenes.OVERSAMPLING,) * 2 + (4,), np.float32)
    np.testing.assert_allclose(render([Layer(white, nearness=ground)], camera), 1, atol=1e-5)


def test_the_longest_step_is_that_of_the_fastest_layer_at_the_border():
    def longest_step(*layers, times=TIMES):
        return scenes.longest_step(Scene(layers), times, SIZE, SIZE)

    turning = Trajectory(velocity=np.array([0, 0, 0.1 * scenes.FRAME_RATE, 0]))
    slow = Layer(square([1, 1, 1]), trajectory=Trajectory(velocity=ONE_PIXEL_PER_FRAME))
    fast = Layer(square([1, 1, 1]), trajectory=turning)
    assert longest_step(slow) == pytest.approx(1)
    assert longest_step(slow, fast) == pytest.approx(0.1 * np.hypot(SIZE, SIZE) / 2, rel=1e-2)
    assert longest_step(slow, times=[0.0]) == 0


def test_without_exposure_a_frame_shows_a_moment():
    path = Trajectory(velocity=8 * ONE_PIXEL_PER_FRAME)
    scene = Scene((Layer(square([1, 1, 1]), trajectory=path),))
    (moment,) = scenes.film(scene, [0.0], SIZE, SIZE, exposure=0)
    np.testing.assert_allclose(moment, render([Layer(square([1, 1, 1]))])[2], atol=1e-6)


@pytest.mark.parametrize("largest", [3, 9, 101])
def test_kernels_are_paths_through_their_middle(largest):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        kernel = scenes.random_kernel(rng, scenes.frame_times(11), 400, largest)
        side, other = kernel.shape
        assert side == other <= largest and side % 2 == 1
        assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1)
        assert kernel[side // 2 - 1 : side // 2 + 2, side // 2 - 1 : side // 2 + 2].sum() > 0
