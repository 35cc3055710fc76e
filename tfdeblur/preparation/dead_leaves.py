"""Dead leaves in motion: scenes made from nothing.

A dead-leaves image (Matheron 1968; Lee, Mumford and Huang, "Occlusion Models for Natural Images",
IJCV 2001) consists of shapes that occlude each other and whose radius follows a power law r^-3: it
has the statistics of natural images at all scales. Here a backdrop of such leaves moves with the
camera alone, and each leaf in front of it is a layer of a `scenes.Scene`.

Points and vectors are complex numbers x + iy in frame pixels, from the middle of the frame, y
pointing down, if not said otherwise.
"""

import dataclasses
import functools

import numpy as np
from PIL import Image, ImageDraw

from tfdeblur import blur
from tfdeblur.preparation import scenes
from tfdeblur.preparation.scenes import OVERSAMPLING, Layer, PlanarCamera, Scene, Trajectory

# ------------------------------------------------------------------------ textures


TILE = 512  # pixels; a power of two, so that wrapping around is a bitwise and


@dataclasses.dataclass(frozen=True)
class Textures:
    """Seamless tiles [T, TILE, TILE], of mean 0 and deviation 1, and how many leaves have each."""

    tiles: np.ndarray
    shares: np.ndarray


@functools.cache
def _textures():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:TILE, :TILE] * (2 * np.pi / TILE)
    soft, rough = _noise(rng, 1.7), _noise(rng, 1.2)
    share_of = [
        (0.12, np.zeros((TILE, TILE))),
        (0.06, _noise(rng, 2.0)),
        (0.10, soft),
        (0.15, rough),
        (0.12, _noise(rng, 1.0)),
        (0.10, _noise(rng, 1.2, stretch=8)),  # fur, bark, brushed metal
        (0.07, _noise(rng, 1.0, stretch=3)),
        (0.06, np.tanh(6 * (_noise(rng, 1.3) - 0.6))),  # patches
        (0.06, 0.2 * soft - np.exp(-((rough / 0.15) ** 2))),  # cracks
        (0.05, 0.3 * rough + np.sin(20 * x + 3 * soft)),  # wood
        (0.03, np.tanh(4 * np.sin(16 * x))),  # stripes
        (0.04, 0.2 * rough + np.tanh(2 * np.sin(40 * x))),
        (0.02, 0.3 * rough + np.maximum(np.cos(28 * x), np.cos(28 * y)) ** 3),  # weave
        (0.02, np.tanh(8 * np.sin(12 * x)) * np.tanh(8 * np.sin(12 * y))),  # checks
    ]
    shares, tiles = zip(*share_of, strict=True)
    return Textures(np.stack([_standardised(tile) for tile in tiles]), np.array(shares))


@functools.cache
def _slow_field():
    """One tile of the smoothest noise."""
    return _standardised(_noise(np.random.default_rng(2), 2.0))[None]


def _noise(rng, slope, stretch=1):
    """A tile of noise with the amplitude spectrum 1/f^slope; natural images have a slope near 1."""
    frequency = np.hypot(np.fft.rfftfreq(TILE), stretch * np.fft.fftfreq(TILE)[:, None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) / frequency**slope
    return _standardised(np.fft.irfft2(spectrum, (TILE, TILE)))


def _standardised(tile):
    return ((tile - tile.mean()) / max(tile.std(), 1e-6)).astype(np.float32)


def _sample(tiles, tile, position):
    """Bilinear samples of tiles[tile] at complex positions in tile pixels, wrapped around."""
    column, row = np.floor(position.real), np.floor(position.imag)
    along_x, along_y = position.real - column, position.imag - row
    column, row = column.astype(np.int32), row.astype(np.int32)
    left, right = column & (TILE - 1), (column + 1) & (TILE - 1)
    top, bottom = ((tile * TILE + (r & (TILE - 1))) * TILE for r in (row, row + 1))
    values = tiles.reshape(-1)
    upper = values[top + left] * (1 - along_x) + values[top + right] * along_x
    lower = values[bottom + left] * (1 - along_x) + values[bottom + right] * along_x
    return upper * (1 - along_y) + lower * along_y


# ------------------------------------------------------------------------ leaves


# Hues, as fractions of the colour circle, of brick, earth, wood, foliage, water, sky.
SURFACE_HUES = (0.02, 0.05, 0.08, 0.09, 0.11, 0.14, 0.22, 0.30, 0.45, 0.56, 0.60, 0.63)
SHADOW_REACHES = (1, 2, 4, 6, 9, 12)  # layer pixels; several, for a soft edge
SHADOW_DEPTH = 0.55


@dataclasses.dataclass(frozen=True)
class Look:
    """What the leaves of one scene have in common.

    Attributes:
        palette: [P, 3], linear light, hue by hue.
        light: complex, unit vector to where the light comes from.
        origin: complex, where the fields begin that give neighbours like hues and brightness.
    """

    palette: np.ndarray
    light: complex
    origin: complex


def random_look(rng):
    """Draws three hues in many shades; most are dull and dark, few vivid or bright."""
    shades = [16, 10, 6]
    hue = np.repeat(rng.choice(SURFACE_HUES, size=3), shades) + rng.normal(0, 0.015, sum(shades))
    brightness = np.clip(0.16 * np.exp(rng.normal(0, 0.9, len(hue))), 0.01, 0.6)
    saturation = rng.beta(1.4, 2.6, len(hue)) * (1 - brightness)
    pure = np.clip(np.abs((hue[:, None] + [0, 2 / 3, 1 / 3]) % 1 * 6 - 3) - 1, 0, 1)
    colour = 1 - saturation[:, None] * (1 - pure)
    colour *= (brightness / colour.mean(axis=1))[:, None]
    return Look(colour, scenes.random_directions(rng), complex(*rng.uniform(0, TILE, 2)))


def count_to_cover(size, smallest, largest):
    """How many leaves with such radii have together the area of a square of this size."""
    mean_square = 2 * np.log(largest / smallest) / (smallest**-2 - largest**-2)
    return int(np.ceil(size**2 / (np.pi * mean_square)))


def _random_strokes(rng):
    """Draws thin marks on a leaf of radius 1: polylines, a list of complex arrays."""
    draw = (_glyphs, _glyphs, _veins, _ruled_lines)[rng.integers(4)]
    direction = scenes.random_directions(rng)
    return [direction * stroke for stroke in draw(rng)]


def _glyphs(rng):
    """Rows of figures that look like script: zigzags on the points of a 3 x 3 grid."""
    rows, columns, points = rng.integers(1, 5), rng.integers(2, 8), rng.integers(3, 6)
    figures = rng.integers(0, 3, (rows, columns, points, 2)) @ [0.3, 0.5j]
    places = np.arange(columns) + 1.6j * np.arange(rows)[:, None] - (columns + 1.6j * rows) / 2
    return ((figures + places[..., None]) * 0.9 / max(1.6 * rows, columns)).reshape(-1, points)


def _veins(rng):
    """A rib with pairs of side veins."""
    along = np.linspace(-0.55, 0.55, rng.integers(5, 12))
    side = 0.3j * np.sqrt(0.6 - along**2)
    return [np.array([-0.6, 0.6]), *np.stack([along + 0.14 + side, along, along + 0.14 - side], 1)]


def _ruled_lines(rng):
    offsets = np.linspace(-0.5, 0.5, rng.integers(2, 9))
    half = 0.95 * np.sqrt(0.5 - offsets**2)
    return np.stack([1j * offsets - half, 1j * offsets + half], axis=1)


def paint(rng, look, outlines, middle, extent):
    """Paints leaves over each other, the first one lowest.

    Args:
        rng: numpy.random.Generator, which decides on colours, textures and strokes.
        look: `Look` of the scene.
        outlines: complex [K, V].
        middle: complex, where in the scene the middle of the picture lies.
        extent: int, width and height of the picture in frame pixels.

    Returns:
        The image of a `Layer`, float32 [OVERSAMPLING * extent, OVERSAMPLING * extent, 4].
    """
    pixels = OVERSAMPLING * extent
    colours = _leaf_colours(rng, look, outlines.mean(axis=1))
    outlines = OVERSAMPLING * (outlines - middle) + (1 + 1j) * pixels / 2
    centres = outlines.mean(axis=1)
    radii = np.abs(outlines - centres[:, None]).mean(axis=1)
    ids = _draw(rng, outlines, centres, radii, pixels)
    light = colours[ids] * _shading(rng, look, ids, centres, radii)[..., None]
    return scenes.prefilter(_cast_shadows(look, ids, light))


def _leaf_colours(rng, look, places):
    """Colours of the leaves at K places and of the strokes on them: float32 [1 + 2K, 3], by id."""
    field = functools.partial(_sample, _slow_field(), 0)
    region = field(1.5 * places + look.origin) + rng.normal(0, 0.8, len(places))
    rank = 1 / (1 + np.exp(-1.4 * region))  # about uniform in (0, 1)
    leaves = look.palette[(rank * len(look.palette)).astype(int)]
    leaves = leaves * np.exp(0.45 * field(1.5 * places + look.origin + TILE / 2))[:, None]
    strokes = look.palette[rng.integers(len(look.palette), size=len(places))]
    by_leaf = np.stack([leaves, strokes], axis=1).reshape(-1, 3)
    return np.concatenate([np.zeros((1, 3)), by_leaf]).astype(np.float32)


def _draw(rng, outlines, centres, radii, pixels):
    """Returns the ids of what is seen, int32: 0 nothing, 2k + 1 leaf k, 2k + 2 its strokes."""
    canvas = Image.new("I", (pixels, pixels))
    draw = ImageDraw.Draw(canvas)
    marked = (rng.random(len(radii)) < 0.35) & (radii > 6 * OVERSAMPLING)
    for k, outline in enumerate(outlines):
        draw.polygon(scenes.flat(outline), fill=2 * k + 1)
        if marked[k]:
            width = int(rng.integers(2, np.clip(radii[k] / 12, 3, 8)))
            for stroke in _random_strokes(rng):
                line = scenes.flat(radii[k] * stroke + centres[k])
                draw.line(line, fill=2 * k + 2, width=width, joint="curve")
    return np.asarray(canvas)


def _shading(rng, look, ids, centres, radii):
    """Returns factors of brightness [pixels, pixels]: texture, slant to the light, curvature."""
    count = len(radii)

    def seen(values, dtype=np.float32):
        """The values [K] of leaves -> those of the pixels; strokes have their leaf's."""
        return np.concatenate([values[:1], np.repeat(values, 2)]).astype(dtype)[ids]

    y, x = np.mgrid[: ids.shape[0], : ids.shape[1]].astype(np.float32)
    place = x + 1j * y
    textures = _textures()
    tile = rng.choice(len(textures.shares), count, p=textures.shares)
    grain = np.exp(rng.normal(-0.2, 0.5, count)) * scenes.random_directions(rng, count)
    offset = rng.uniform(0, TILE, (count, 2)) @ [1, 1j]
    position = place * seen(grain, np.complex64) + seen(offset, np.complex64)
    contrast = np.clip(np.exp(rng.normal(-2.5, 0.8, count)), 0, 0.25)
    texture = seen(contrast) * _sample(textures.tiles, seen(tile, np.int32), position)

    local = (place - seen(centres, np.complex64)) / seen(radii)
    slant = 0.35 * look.light * rng.random(count) + rng.normal(0, 0.15, count)
    slant = (seen(slant, np.complex64).conj() * local).real
    curvature = seen(0.35 * rng.random(count)) * (local.real**2 + local.imag**2)
    return np.exp(np.clip(texture + slant - curvature, -2, 0.8))


def _cast_shadows(look, ids, light):
    """Darkens what has a nearer leaf between itself and the light, and adds the opacity.

    Where the picture is empty, its shadow remains: black, and partly opaque.
    """
    depth = (ids + 1) // 2
    shadow = np.zeros(ids.shape, np.float32)
    for reach in SHADOW_REACHES:
        towards = -round(reach * look.light.imag), -round(reach * look.light.real)
        shadow += np.roll(depth, towards, (0, 1)) > depth
    shadow *= SHADOW_DEPTH / len(SHADOW_REACHES)
    empty = ids == 0
    light *= np.where(empty, 0, 1 - shadow)[..., None]
    return np.concatenate([light, np.where(empty, shadow, 1)[..., None]], axis=-1)


# ------------------------------------------------------------------------ scenes of dead leaves


FRAME_COUNTS = (7, 9, 11, 13)  # M, as in Nah et al. 2017
KERNEL_SPEED = 150.0  # of uniform blur, frame pixels per second: paths of 4 to 8 pixels


@dataclasses.dataclass(frozen=True)
class MotionStyle:
    """How much moves in a kind of scene: typical values, from which scenes and leaves draw theirs.

    Attributes:
        share: of all scenes.
        pan: of the camera, frame pixels per second.
        tremor: of the hand, frame pixels.
        turn: of the camera, radians per second.
        zoom: of the camera, per second.
        leaf: frame pixels per second.
        moving: share of the leaves that move by themselves.
    """

    share: float
    pan: float
    tremor: float
    turn: float
    zoom: float
    leaf: float
    moving: float


MOTION_STYLES = {
    "still": MotionStyle(0.10, pan=4, tremor=0.25, turn=0.01, zoom=0.01, leaf=10, moving=0.2),
    "tripod": MotionStyle(0.15, pan=5, tremor=0.6, turn=0.04, zoom=0.04, leaf=320, moving=0.7),
    "hand-held": MotionStyle(0.30, pan=60, tremor=3.0, turn=0.8, zoom=0.5, leaf=250, moving=0.7),
    "panned": MotionStyle(0.30, pan=180, tremor=2.0, turn=0.6, zoom=0.6, leaf=260, moving=0.7),
    "turned": MotionStyle(0.15, pan=80, tremor=2.0, turn=1.4, zoom=1.8, leaf=230, moving=0.6),
}


def random_style(rng):
    """Draws a `MotionStyle` according to the shares."""
    styles = list(MOTION_STYLES.values())
    return styles[rng.choice(len(styles), p=[style.share for style in styles])]


def random_camera(rng, style):
    """Draws a `PlanarCamera`: a pan, a turn, a zoom and the tremor of a hand."""
    pan = scenes.random_directions(rng) * style.pan * rng.uniform(0.4, 1.4)
    velocity = np.array([pan.real, pan.imag, rng.normal(0, style.turn), rng.normal(0, style.zoom)])
    # A hand turns and zooms far less than it shifts.
    return PlanarCamera(scenes.hand_held(rng, velocity, style.tremor, [1, 1, 0.001, 0.0003]))


def leaf_trajectory(rng, style):
    """Draws the `Trajectory` of a leaf, which may rest."""
    if rng.random() > style.moving:
        return Trajectory()
    return scenes.drifting(rng, style.leaf)


def backdrop(rng, look, extent, smallest, largest):
    """Draws leaves that cover a square of `extent` frame pixels: a `Layer` at rest."""
    count = 3 * count_to_cover(extent, smallest, largest)
    radii = scenes.power_law_radii(rng, count, smallest, largest)
    centres = rng.uniform(-extent / 2, extent / 2, (count, 2)) @ [1, 1j]
    radii[0], centres[0] = 8 * extent, 0  # the ground, which fills the gaps
    outlines = radii[:, None] * scenes.random_outlines(rng, count) + centres[:, None]
    return Layer(paint(rng, look, outlines, 0j, extent))


def single_leaves(rng, look, style, size, smallest, largest):
    """Draws leaves to lie before a backdrop, with their shadows: a list of `Layer`s, far to near.

    Together they have 0.5 to 1.6 times the area of a frame of this size, and overlap at random.
    """
    count = int(rng.uniform(0.5, 1.6) * count_to_cover(size, smallest, largest))
    radii = scenes.power_law_radii(rng, count, smallest, largest)
    nearness = np.sort(rng.uniform(1.0, 2.0, count))
    centres = rng.uniform(-0.6 * size, 0.6 * size, (count, 2)) @ [1, 1j]
    room_for_shadow = max(SHADOW_REACHES) / OVERSAMPLING + 2
    outlines = radii[:, None] * scenes.random_outlines(rng, count)
    layers = []
    for outline, near, centre in zip(outlines, nearness, centres, strict=True):
        extent = 2 * int(np.abs(outline).max() + room_for_shadow)
        image = paint(rng, look, outline[None] + centre, centre, extent)
        layers.append(Layer(image, centre, near, leaf_trajectory(rng, style)))
    return layers


def dead_leaves(rng, style, times, size):
    """Makes a scene of dead leaves.

    Args:
        rng: numpy.random.Generator.
        style: `MotionStyle`.
        times: seconds, at which the scene has to cover the frame.
        size: width and height of the frames, in pixels.

    Returns:
        `Scene`.
    """
    camera = random_camera(rng, style)
    look = random_look(rng)
    smallest = size * np.exp(rng.uniform(np.log(0.03), np.log(0.12)))
    extent = size + 2 * scenes.margin(camera, times, size, size)
    behind = backdrop(rng, look, extent, smallest, largest=size / 2)
    # Smaller leaves stay in the backdrop: each layer costs time.
    in_front = single_leaves(rng, look, style, size, max(smallest, 0.03 * size), size / 3)
    return Scene((behind, *in_front), camera)


def render_frames(seed, size=256, shot_noise=0.0, read_noise=0.0):
    """Renders high-speed frames of a scene of dead leaves, a pure function of the arguments.

    Args:
        seed: int >= 0, which decides on everything.
        size: height and width in pixels.
        shot_noise, read_noise: of the sensor, see `scenes.add_sensor_noise`.

    Returns:
        uint8 [M, size, size, 3], encoded by the gamma response; M is one of `FRAME_COUNTS`.
    """
    rng = np.random.default_rng(seed)
    times = scenes.frame_times(rng.choice(FRAME_COUNTS))
    scene = dead_leaves(rng, random_style(rng), times, size)
    frames = scenes.render(scene, times, size, size)
    if shot_noise or read_noise:
        frames = scenes.add_sensor_noise(rng, frames, shot_noise, read_noise)
    return blur.from_linear(frames)


def render_pair(seed, size=256, shot_noise=0.0, read_noise=0.0, uniform=False):
    """Renders a blurry and a sharp image of dead leaves; arguments as for `render_frames`.

    Args:
        uniform: blurs the sharp image by one kernel, as methods before Nah et al. 2017 made their
            pairs, in place of averaging frames.

    Returns:
        (blurry, sharp, M): two uint8 [size, size, 3], and the number of frames averaged, or that
        an exposure as long as the kernel's path would have.
    """
    if uniform:
        return _render_uniform_pair(seed, size, shot_noise, read_noise)
    frames = render_frames(seed, size, shot_noise, read_noise)
    blurry, sharp = blur.synthesize(frames)
    return blurry, sharp, len(frames)


def _render_uniform_pair(seed, size, shot_noise, read_noise):
    rng = np.random.default_rng(seed)
    times = scenes.frame_times(rng.choice(FRAME_COUNTS))
    scene = dead_leaves(rng, MOTION_STYLES["still"], times, size)
    light = scenes.render(scene, [0.0], size, size)
    blurred = blur.convolve_light(light[0], scenes.random_kernel(rng, times, KERNEL_SPEED, size))
    images = np.stack([blurred, light[0]]).astype(np.float32)
    if shot_noise or read_noise:
        images = scenes.add_sensor_noise(rng, images, shot_noise, read_noise)
    return *map(blur.from_linear, images), len(times)
