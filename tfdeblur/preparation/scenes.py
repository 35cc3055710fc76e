"""Moving scenes, rendered at a high frame rate and in linear light.

A scene is a stack of layers, from back to front. Each is a picture with transparency that moves as
one piece on a smooth trajectory of its own; the camera's trajectory moves all of them, the nearer
ones more (parallax). `render` turns the stack into frames. `dead_leaves` makes such scenes
from nothing, `moving_stills` from photographs.

Points of the image plane are x, y in frame pixels from the middle of the frame, y pointing down,
if not said otherwise. Motions of the plane are homographies: matrices [3, 3] of homogeneous
coordinates (x, y, 1). Outlines and directions are complex numbers x + iy: then a turn with a zoom
is one multiplication.
"""

import dataclasses

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

FRAME_RATE = 240  # frames per second
# Layer pixels per frame pixel: moving a layer by bilinear sampling then does not soften the frames.
OVERSAMPLING = 2
# Frame pixels. A layer that moves further from frame to frame is drawn at several moments of each
# frame's exposure, lest the mean of the frames shows separate copies of it.
LONGEST_STEP = 2.0


# ------------------------------------------------------------------------ motion


def _at_rest():
    return np.zeros(4)


def _no_waves():
    return np.zeros((0, 1))


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """A smooth motion: a velocity with an acceleration, and sine waves for the tremor of a hand.

    All coordinates are 0 at time 0. There are D = 4 of them for what moves in the image plane: x, y
    (frame pixels), angle (radians, clockwise on the screen) and the logarithm of the zoom; and
    D = 6 for a `PinholeCamera`. `velocity` and `acceleration` are [D], per second and per second
    squared; `tremor` (amplitudes), `frequency` (Hz) and `phase` (radians) are [n, D] for n waves.
    Without arguments it is the trajectory of what rests in the image plane.
    """

    velocity: np.ndarray = dataclasses.field(default_factory=_at_rest)
    acceleration: np.ndarray | float = 0.0
    tremor: np.ndarray = dataclasses.field(default_factory=_no_waves)
    frequency: np.ndarray = dataclasses.field(default_factory=_no_waves)
    phase: np.ndarray = dataclasses.field(default_factory=_no_waves)

    def at(self, time):
        """Returns the coordinates [D] at a time in seconds."""
        waves = np.sin(2 * np.pi * self.frequency * time + self.phase) - np.sin(self.phase)
        drift = self.velocity * time + self.acceleration * time**2 / 2
        return drift + (self.tremor * waves).sum(axis=0)


def hand_held(rng, velocity, tremor, shares):
    """Draws the `Trajectory` of what a trembling hand moves with this velocity.

    Args:
        rng: numpy.random.Generator.
        velocity: [D], at time 0.
        tremor: typical amplitude.
        shares: [D], how much of it each coordinate gets.
    """
    # The tremor of a hand is strongest near 10 Hz.
    frequency = np.array([[9], [11], [17], [28]]) * rng.uniform(0.9, 1.1, (4, len(velocity)))
    amplitude = np.array([[1], [1], [0.3], [0.1]]) * shares
    return Trajectory(
        velocity=velocity,
        acceleration=rng.normal(0, 12, len(velocity)) * velocity,
        tremor=amplitude * rng.normal(0, tremor, frequency.shape),
        frequency=frequency,
        phase=rng.uniform(0, 2 * np.pi, frequency.shape),
    )


def random_kernel(rng, times, speed, largest):
    """Draws the path that the trembling hand of a photographer shifts an image along.

    Args:
        rng: numpy.random.Generator.
        times: seconds, of the exposure; the path is in the kernel's middle at time 0.
        speed: typical one, frame pixels per second.
        largest: pixels that the kernel may have in height and width; a longer path is shortened.

    Returns:
        A kernel for `blur.convolve`, float64 [n, n], n odd.
    """
    direction = random_directions(rng) * speed * rng.uniform(0.4, 1.4)
    path = hand_held(rng, np.array([direction.real, direction.imag]), speed / 100, [1, 1])
    moments = np.linspace(times[0], times[-1], 16 * len(times))
    places = np.array([path.at(moment) for moment in moments])
    room = max((largest - 3) // 2, 0)
    places *= min(1, room / max(np.abs(places).max(), 1e-9))
    reach = int(np.ceil(np.abs(places).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    first = np.floor(places).astype(int)
    right, below = (places - first).T
    x, y = first.T + reach
    for row, share in ((y, 1 - below), (y + 1, below)):
        np.add.at(kernel, (row, x), share * (1 - right))
        np.add.at(kernel, (row, x + 1), share * right)
    return kernel / kernel.sum()


def drifting(rng, speed):
    """Draws the `Trajectory` of what drifts, spins and grows.

    Args:
        rng: numpy.random.Generator.
        speed: typical one, frame pixels per second.
    """
    drift = random_directions(rng) * speed * rng.uniform(0.4, 1.4)
    spin, growth = rng.normal(0, [0.01 * speed, 0.003 * speed])
    velocity = np.array([drift.real, drift.imag, spin, growth])
    return Trajectory(velocity=velocity, acceleration=rng.normal(0, 12, 4) * velocity)


@dataclasses.dataclass(frozen=True)
class PlanarCamera:
    """A camera that shifts, turns and zooms the image plane.

    Attributes:
        trajectory: its four coordinates are those of what a resting layer of nearness 1 does.
            Shift and zoom are multiplied by a layer's nearness.
    """

    trajectory: Trajectory = dataclasses.field(default_factory=Trajectory)

    def view(self, nearness, time):
        """The homography [3, 3] from where resting points are at time 0 to where they are seen."""
        x, y, angle, zoom = self.trajectory.at(time)
        return _similarity(nearness * x, nearness * y, angle, nearness * zoom)


@dataclasses.dataclass(frozen=True)
class PinholeCamera:
    """A camera with six degrees of freedom.

    The plane that the nearness 1 stands for is parallel to the image and has the depth 1. A layer's
    nearness is its inverse depth: a number for such a parallel plane, or a vector m [3] for a
    slanted one, whose inverse depth at the point (x, y) is m . (x / focal, y / focal, 1).

    Attributes:
        trajectory: x, y, z of the camera in that unit of depth, to the right, down and forward;
            and its rotation about these axes, a vector in radians (pitch up, yaw right, roll).
        focal: focal length in frame pixels.
    """

    trajectory: Trajectory
    focal: float

    def view(self, nearness, time):
        """The homography [3, 3] from where resting points are at time 0 to where they are seen.

        It is K R (I - c m^T) K^-1 for the camera's matrix K, rotation R^T and place c, and the
        plane's m (Hartley and Zisserman, "Multiple View Geometry", 2004, equation 13.2).
        """
        path = self.trajectory.at(time)
        plane = nearness if np.ndim(nearness) else np.array([0, 0, nearness])
        rotation = Rotation.from_rotvec(path[3:]).as_matrix().T
        lens = np.diag([self.focal, self.focal, 1])
        return lens @ rotation @ (np.eye(3) - np.outer(path[:3], plane)) @ np.linalg.inv(lens)


def _similarity(x, y, angle, zoom):
    """A turn with a zoom (its logarithm) about the origin, then a shift: [3, 3]."""
    turn = np.exp(zoom + 1j * angle)
    return np.array([[turn.real, -turn.imag, x], [turn.imag, turn.real, y], [0, 0, 1]])


def _moved(motion, points):
    """Applies homographies [..., 3, 3] to points [N, 2]: [..., N, 2]."""
    moved = points @ np.swapaxes(motion[..., :2], -1, -2) + motion[..., None, :, 2]
    return moved[..., :2] / moved[..., 2:]


def _corners(width, height):
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]


# ------------------------------------------------------------------------ rendering


@dataclasses.dataclass(frozen=True)
class Layer:
    """A picture that moves as one piece.

    Attributes:
        image: float32 [h, w, 4] with `OVERSAMPLING` pixels per frame pixel: red, green and blue in
            linear light, multiplied by the opacity, which is the last channel.
        centre: complex, where the picture's middle lies at time 0.
        nearness: how much the camera's motion moves it, see the cameras; 1 for the backdrop.
        trajectory: of the layer in the scene, in the image plane.
    """

    image: np.ndarray
    centre: complex = 0j
    nearness: float | np.ndarray = 1.0
    trajectory: Trajectory = dataclasses.field(default_factory=Trajectory)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Layers from back to front, and the camera whose motion moves them over the image plane."""

    layers: tuple
    camera: PlanarCamera | PinholeCamera = dataclasses.field(default_factory=PlanarCamera)


def frame_times(count, rate=FRAME_RATE):
    """Times in seconds of `count` successive frames, `rate` per second; 0 for the middle one."""
    return (np.arange(count) - (count - 1) / 2) / rate


def margin(camera, times, height, width, nearness=1.0):
    """How far a camera looks, at some of the times, past the borders of the frame at time 0.

    Returns:
        int, frame pixels: a resting layer of this nearness that reaches over the frame by so much
        on each side covers every frame.
    """
    moments = np.add.outer(times, np.array([-0.5, 0.5]) / FRAME_RATE).ravel()
    views = np.array([camera.view(nearness, moment) for moment in moments])
    seen = np.abs(_moved(np.linalg.inv(views), _corners(width, height)))
    return int(np.ceil((seen.max(axis=(0, 1)) - [width / 2, height / 2]).max())) + 1


def longest_step(scene, times, height, width):
    """How far, in frame pixels, a point seen at the border moves from one of the times to the next.

    It is the largest such step of all layers, as if each of them filled the frame.
    """
    steps = [0.0]
    for layer in scene.layers:
        poses = np.array([_pose(layer, scene.camera, time) for time in times])
        motions = poses[1:] @ np.linalg.inv(poses[:-1])
        corners = _corners(width, height)
        steps.append(np.linalg.norm(_moved(motions, corners) - corners, axis=-1).max(initial=0))
    return max(steps)


def render(scene, times, height, width):
    """Renders a scene.

    Args:
        scene: `Scene`, whose first layer should reach over the frame by `margin`: what no layer
            covers is black.
        times: seconds, one per frame.
        height, width: of the frames, in pixels.

    Returns:
        float32 [M, height, width, 3], linear light.
    """
    return np.stack(list(film(scene, times, height, width)))


def film(scene, times, height, width, exposure=1 / FRAME_RATE):
    """Renders like `render`, and yields the frames one by one, float32 [height, width, 3].

    Args:
        scene, times, height, width: as for `render`.
        exposure: of each frame, in seconds; 0 shows the scene at a moment.
    """
    layers = [(layer, _planes(layer)) for layer in scene.layers]
    for time in times:
        frame = np.zeros((3, height, width), np.float32)
        for layer, planes in layers:
            _composite(frame, planes, _poses(layer, scene.camera, time, exposure))
        yield np.ascontiguousarray(np.moveaxis(frame, 0, -1))


def _planes(layer):
    return [Image.fromarray(np.ascontiguousarray(p)) for p in np.moveaxis(layer.image, -1, 0)]


def _pose(layer, camera, time):
    """The homography from points, counted from the layer's middle, to where they are seen."""
    x, y, angle, zoom = layer.trajectory.at(time)
    place = _similarity(layer.centre.real + x, layer.centre.imag + y, angle, zoom)
    return camera.view(layer.nearness, time) @ place


def _poses(layer, camera, time, exposure):
    """Returns the layer's poses, one or several, during the exposure of the frame at this time."""
    middle = np.zeros((1, 2))
    start, end = (_moved(_pose(layer, camera, time + t * exposure), middle)[0] for t in (-0.5, 0.5))
    count = max(1, int(np.ceil(np.hypot(*(end - start)) / LONGEST_STEP)))
    moments = time + ((np.arange(count) + 0.5) / count - 0.5) * exposure
    return np.array([_pose(layer, camera, moment) for moment in moments])


def _composite(frame, planes, poses):
    """Lays a layer's planes (red, green, blue, opacity), at its mean over poses, over frame.

    The frame, [3, H, W], is changed in place.
    """
    frame_size, layer_size = np.array(frame.shape[:0:-1]), np.array(planes[0].size)
    seen = _moved(poses, _corners(*layer_size / OVERSAMPLING)).reshape(-1, 2) + frame_size / 2
    first = np.clip(seen.min(axis=0), 0, frame_size).astype(int)
    last = np.clip(np.ceil(seen.max(axis=0)), 0, frame_size).astype(int)
    if (first >= last).any():
        return
    # Maps from the pixels of the box to those of the layer.
    to_layer = _affine(OVERSAMPLING, layer_size / 2)
    maps = to_layer @ np.linalg.inv(poses) @ _affine(1, first - frame_size / 2)
    *colours, opacity = (
        sum(_warp(plane, tuple(last - first), matrix) for matrix in maps) / len(maps)
        for plane in planes
    )
    (left, top), (right, bottom) = first, last
    for channel, colour in zip(frame[:, top:bottom, left:right], colours, strict=True):
        channel *= 1 - opacity
        channel += colour


def _affine(scale, shift):
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])


def _warp(plane, size, matrix):
    """Samples a plane bilinearly where a homography sends each pixel: float32, width x height."""
    coefficients = (matrix / matrix[2, 2]).ravel()[:8].tolist()
    warped = plane.transform(
        size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(warped)


def add_sensor_noise(rng, frames, shot, read):
    """Adds photon and read noise to linear light: Gaussian, of variance shot * light + read^2.

    Args:
        rng: numpy.random.Generator.
        frames: float32 array, linear light in [0, 1].
        shot: variance per unit of light.
        read: standard deviation in the dark.

    Returns:
        float32 array of the same shape.
    """
    deviation = np.sqrt(shot * np.maximum(frames, 0) + read**2)
    return frames + deviation * rng.standard_normal(frames.shape, dtype=np.float32)


# ------------------------------------------------------------------------ drawing


def random_directions(rng, shape=None):
    """Draws complex numbers of modulus 1."""
    return np.exp(1j * rng.uniform(0, 2 * np.pi, shape))


def power_law_radii(rng, count, smallest, largest):
    """Draws radii [count] with a density proportional to r^-3 between the two given."""
    a, b = smallest**-2, largest**-2
    return (a - rng.random(count) * (a - b)) ** -0.5


def random_outlines(rng, count, vertices=96):
    """Draws ellipses, rounded polygons, rocks with ragged edges, bent blades and poles.

    Returns:
        complex [count, vertices], with the area of the unit disc, around 0.
    """
    phi = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    sector = 2 * np.pi / rng.integers(3, 7, (count, 1))
    polygon = np.cos(sector / 2) / np.cos(phi % sector - sector / 2)
    sharpness = rng.choice([0.0, 0.4, 0.8, 1.0], (count, 1), p=[0.35, 0.15, 0.2, 0.3])
    outlines = polygon**sharpness * _ragged(rng, count, phi) * np.exp(1j * phi)
    spread = rng.choice([0.3, 1.0], (count, 1), p=[0.8, 0.2])
    outlines = _bent(rng, _stretched(outlines, np.exp(np.abs(rng.normal(0, spread)))))
    outlines -= outlines.mean(axis=1, keepdims=True)
    area = (outlines.conj() * np.roll(outlines, -1, axis=1)).imag.sum(axis=1, keepdims=True) / 2
    return outlines * np.sqrt(np.pi / np.abs(area)) * random_directions(rng, (count, 1))


def _ragged(rng, count, phi):
    """Factors [count, len(phi)] for radii: 1 for half the leaves, waves of falling amplitude."""
    waves = np.arange(2, 24)[:, None]
    swing = rng.choice([0.0, 0.15, 0.35], (count, 1, 1), p=[0.5, 0.3, 0.2]) / waves**1.1
    swing = swing * rng.normal(0, 1, (count, len(waves), 1))
    phase = rng.uniform(0, 2 * np.pi, (count, len(waves), 1))
    return np.clip(1 + (swing * np.cos(waves * phi + phase)).sum(axis=1), 0.4, 1.6)


def _stretched(outlines, aspect):
    return outlines.real * aspect**0.5 + 1j * outlines.imag / aspect**0.5


def _bent(rng, outlines):
    """Bends half of the outlines into an arc."""
    bend = rng.normal(0, 0.3, (len(outlines), 1)) * rng.integers(0, 2, (len(outlines), 1))
    length = np.abs(outlines.real).max(axis=1, keepdims=True)
    return outlines + 1j * bend * outlines.real**2 / length


def flat(points):
    """Complex points [N] as the list x, y, x, y, ... that Pillow draws."""
    return np.stack([points.real, points.imag], axis=-1).ravel().tolist()


def prefilter(image):
    """Smooths a layer's image like lens and pixel, by a tent two frame pixels wide.

    So its edges, drawn without, do not alias.
    """
    for axis in (0, 1):
        image = ndimage.correlate1d(image, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    return image
