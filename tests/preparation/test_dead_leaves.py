import concurrent.futures

import numpy as np
import pytest

from tfdeblur import blur
from tfdeblur.preparation import dead_leaves, scenes
from tfdeblur.preparation.scenes import PlanarCamera, Scene, Trajectory

SIZE = 64
TIMES = scenes.frame_times(5)


def test_a_pair_is_made_of_its_frames():
    frames = dead_leaves.render_frames(seed=3, size=SIZE)
    blurry, sharp, count = dead_leaves.render_pair(seed=3, size=SIZE)
    assert count == len(frames)
    assert count in dead_leaves.FRAME_COUNTS
    assert blurry.shape == sharp.shape == (SIZE, SIZE, 3)
    assert blurry.dtype == sharp.dtype == np.uint8
    np.testing.assert_array_equal(sharp, frames[count // 2])
    np.testing.assert_array_equal(blurry, blur.synthesize(frames)[0])


@pytest.mark.slow
def test_a_seed_decides_on_every_byte_whatever_else_is_rendered():
    alone = [dead_leaves.render_pair(seed, SIZE)[:2] for seed in range(4)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: dead_leaves.render_pair(seed, SIZE)[:2], range(4)))
    np.testing.assert_array_equal(alone, together)
    assert len({pair[1].tobytes() for pair in alone}) == 4


def test_sensor_noise_is_an_option():
    clean = dead_leaves.render_pair(seed=3, size=SIZE)[1]
    noisy = dead_leaves.render_pair(seed=3, size=SIZE, read_noise=0.01)[1]
    assert 0 < np.abs(clean.astype(int) - noisy).mean() < 20


def test_a_scene_at_rest_is_not_blurred():
    rest = dead_leaves.MotionStyle(1.0, pan=0, tremor=0, turn=0, zoom=0, leaf=0, moving=0)
    scene = dead_leaves.dead_leaves(np.random.default_rng(0), rest, TIMES, SIZE)
    frames = blur.from_linear(scenes.render(scene, TIMES, SIZE, SIZE))
    blurry, sharp = blur.synthesize(frames)
    np.testing.assert_array_equal(blurry, sharp)
    assert sharp.std() > 20  # there is something to see


def unexplained_share(frames, reach=15):
    """The share of the blur's energy that the best kernel for the whole image leaves, in [0, 1].

    The kernel has (2 * reach + 1)^2 free values, and works on luminance in linear light, where
    uniform motion would be an exact convolution.
    """
    light = blur.to_linear(frames).mean(axis=-1, dtype=np.float64)
    return beyond_one_kernel(light.mean(axis=0), light[len(light) // 2], reach)


def beyond_one_kernel(blurry, sharp, reach):
    windows = np.lib.stride_tricks.sliding_window_view(sharp, (2 * reach + 1,) * 2)[::2, ::2]
    windows = windows.reshape(-1, (2 * reach + 1) ** 2)
    inside = slice(reach, -reach)
    target = blurry[inside, inside][::2, ::2].ravel()
    kernel = np.linalg.solve(
        windows.T @ windows + 1e-6 * np.eye(windows.shape[1]), windows.T @ target
    )
    blur_energy = np.sum((target - sharp[inside, inside][::2, ::2].ravel()) ** 2)
    return np.sum((target - windows @ kernel) ** 2) / blur_energy


def test_one_kernel_explains_a_uniform_pair():
    blurry, sharp, _ = dead_leaves.render_pair(seed=5, size=128, uniform=True)
    assert blurry.dtype == sharp.dtype == np.uint8
    assert np.abs(blurry.astype(int) - sharp).mean() > 1
    light = [blur.to_linear(x).mean(axis=-1, dtype=np.float64) for x in (blurry, sharp)]
    assert beyond_one_kernel(*light, reach=11) < 0.02


def test_one_kernel_explains_the_blur_of_a_uniform_shift():
    rng = np.random.default_rng(0)
    style = dead_leaves.MOTION_STYLES["still"]
    image = dead_leaves.dead_leaves(rng, style, TIMES, 192).layers[0].image
    camera = PlanarCamera(Trajectory(velocity=np.array([240, 120, 0, 0])))
    frames = scenes.render(Scene((scenes.Layer(image),), camera), scenes.frame_times(9), 160, 160)
    assert unexplained_share(blur.from_linear(frames)) < 0.02


@pytest.mark.slow
def test_one_kernel_does_not_explain_the_blur_of_dynamic_scenes():
    shares = []
    for seed, name in enumerate(["tripod", "hand-held", "panned", "turned"] * 2):
        rng, times = np.random.default_rng(seed), scenes.frame_times(11)
        scene = dead_leaves.dead_leaves(rng, dead_leaves.MOTION_STYLES[name], times, 256)
        frames = blur.from_linear(scenes.render(scene, times, 256, 256))
        shares.append(unexplained_share(frames))
    assert np.mean(np.array(shares) > 0.1) >= 0.75, shares
