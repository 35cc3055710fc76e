"""Still photographs set in motion: a camera films a photograph as if it were the scene itself.

A crop of the photograph is the backdrop of a `scenes.Scene`: a plane, often a slanted one
like the ground or a wall. Parts of it that stand out from the rest lie nearer, and cut-outs of
another photograph fly in front of it. At the middle of the exposure everything that belongs to the
photograph is in its place, which gives the sharp image; the mean over the exposure, taken in linear
light, is the blurry one.
"""

import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from tfdeblur import blur
from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.preparation import scenes
from tfdeblur.preparation.scenes import OVERSAMPLING, Layer, PinholeCamera, Scene, Trajectory

FRAME_COUNTS = (7, 9, 11, 13)  # the exposure, in frames of 240 per second: Nah et al. 2017
RESPONSES = (*blur.RESPONSES, "log")
LOG_RANGE = 3.5  # k in the response log(1 + (e^k - 1) x) / k
LONGEST_STEP = 1.0  # frame pixels between successive moments of the exposure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How pairs are made. The defaults give the blur that REDS has at 320x180 pixels.

    Attributes:
        size: height and width of the images, in pixels.
        downscale: by how much a photograph is reduced, (lowest, highest): so its pixels are truly
            sharp. Small photographs are reduced less, down to not at all.
        speed: of the image, the median, in pixels per second; 0 keeps the camera at rest.
        speed_spread: standard deviation of its logarithm.
        parts: most parts of the photograph that lie nearer than the rest.
        cutouts: most pieces of another photograph that are laid over it.
        responses: of the camera, one of which is drawn for each pair: "gamma" and "linear", see
            `tfdeblur.blur`; or "log", with the stronger contrast of consumer cameras.
        contrast: by how much the contrast of a photograph is raised at most. What becomes too dark
            or too bright is clipped, as cameras do.
        highlights: what is overexposed in the photograph had up to so many times the light that
            saturates the sensor. 1 is none: footage that is averaged has been clipped before.
        shot_noise, read_noise: in the blurry image, see `scenes.add_sensor_noise`.
        jpeg: in half of the pairs, the blurry image was once a JPEG file of a quality in this
            range, (lowest, highest) of 1 to 95; None: never.
        uniform: blurs by one kernel for the whole image, as methods before Nah et al. 2017 made
            their pairs, in place of a moving scene.

    Raises:
        InputError: a value is out of range.
    """

    size: int = 256
    downscale: tuple[float, float] = (1.25, 4.0)
    speed: float = 80.0
    speed_spread: float = 0.5
    parts: int = 2
    cutouts: int = 3
    responses: tuple[str, ...] = ("gamma", "log")
    contrast: float = 1.5
    highlights: float = 1.0
    shot_noise: float = 1e-5
    read_noise: float = 0.0
    jpeg: tuple[int, int] | None = None
    uniform: bool = False

    def __post_init__(self):
        if not self.responses or not set(self.responses) <= set(RESPONSES):
            raise InputError(f"responses is {self.responses}: give some of {', '.join(RESPONSES)}.")
        if not 1 <= self.downscale[0] <= self.downscale[1]:
            raise InputError(f"downscale is {self.downscale}: give (lowest, highest), 1 or more.")
        for name, lowest in (("size", 1), ("contrast", 1), ("highlights", 1)):
            if getattr(self, name) < lowest:
                raise InputError(f"{name} is {getattr(self, name)}: give {lowest} or more.")
        if self.jpeg and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 95:
            raise InputError(f"jpeg is {self.jpeg}: give (lowest, highest) of 1 to 95, or None.")
        for name in ("speed", "speed_spread", "parts", "cutouts", "shot_noise", "read_noise"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}: give 0 or more.")


@dataclasses.dataclass(frozen=True)
class PhotoFile:
    """A photograph. Its name is its path below the folder searched, "/" between the parts."""

    name: str
    path: pathlib.Path


def find_photos(folder, size):
    """Lists the photographs of a folder and those below it, by name.

    Args:
        folder: path; see `images.find_images`.
        size: pixels that a photograph has to have in height and width.

    Returns:
        list of PhotoFile.

    Raises:
        InputError: there is none, one is too small or cannot be read as far as its size, or two
            differ in their suffixes alone.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: put photographs there, or name their folder.")
    photos = {}
    for path in images.find_images([folder]):
        width, height = images.size(path)
        if min(width, height) < size:
            raise InputError(
                f"{path} has {width}x{height} pixels, too few for images of {size}x{size}: "
                "remove it, or lower the size in the options."
            )
        photo = PhotoFile(path.relative_to(folder).as_posix(), path)
        same = photos.setdefault(path.with_suffix(""), photo)
        if same is not photo:
            raise InputError(
                f"{same.path} and {path} differ only in their suffixes, as if they were the same "
                "photograph: remove one."
            )
    if not photos:
        raise InputError(f"{folder} holds no photograph ({', '.join(images.SUFFIXES)}).")
    return sorted(photos.values(), key=lambda photo: photo.name)


def render_pair(photo, other, seed, options=Options()):
    """Sets a photograph in motion; a pure function of the arguments.

    Args:
        photo: uint8 [H, W, 3], at least `options.size` high and wide.
        other: likewise, the photograph that the cut-outs come from.
        seed: int >= 0, which decides on everything.
        options: `Options`.

    Returns:
        (blurry, sharp, M): two uint8 [size, size, 3], and the exposure in frames of 240 per second.

    Raises:
        ValueError: a photograph is too small.
    """
    rng = np.random.default_rng(seed)
    response, count = rng.choice(options.responses), int(rng.choice(FRAME_COUNTS))
    times = scenes.frame_times(count)
    if options.uniform:
        still = dataclasses.replace(options, speed=0.0)
        _, sharp = expose(random_scene(rng, photo, other, response, times, still), 1, options.size)
        kernel = scenes.random_kernel(rng, times, options.speed, options.size)
        blurry = blur.convolve_light(sharp, kernel).astype(np.float32)
    else:
        scene = random_scene(rng, photo, other, response, times, options)
        blurry, sharp = expose(scene, count, options.size)
    blurry = scenes.add_sensor_noise(rng, blurry, options.shot_noise, options.read_noise)
    return _stored(rng, encode(blurry, response), options.jpeg), encode(sharp, response), count


def expose(scene, count, size):
    """Films a `Scene` from `count` / 480 seconds before time 0 to as long after it.

    Returns:
        (mean, middle): float32 [size, size, 3], linear light over this time and at time 0.
    """
    step = scenes.longest_step(scene, scenes.frame_times(count), size, size)
    moments = 2 * int(np.ceil(step / LONGEST_STEP) // 2) + 1  # odd, so that one is the middle one
    times = scenes.frame_times(count * moments, scenes.FRAME_RATE * moments)
    total = np.zeros((size, size, 3))
    for time, light in zip(times, scenes.film(scene, times, size, size, exposure=0), strict=True):
        total += light
        if time == 0:
            middle = light
    return (total / len(times)).astype(np.float32), middle


def _stored(rng, codes, qualities):
    """Sends every second image through a JPEG file of a quality between those given, if any."""
    if not qualities or rng.random() < 0.5:
        return codes
    file = io.BytesIO()
    quality = int(rng.integers(qualities[0], qualities[1] + 1))
    Image.fromarray(codes).save(file, "JPEG", quality=quality)
    with images.opened(file.getvalue(), name="a JPEG file") as image:
        return np.asarray(image)


def decode(codes, response):
    """Like `tfdeblur.blur.to_linear`, for all `RESPONSES`."""
    if response != "log":
        return blur.to_linear(codes, response)
    table = np.expm1(LOG_RANGE * np.arange(256) / 255) / np.expm1(LOG_RANGE)
    return table.astype(np.float32)[codes]


def encode(light, response):
    """Like `tfdeblur.blur.from_linear`, for all `RESPONSES`."""
    if response != "log":
        return blur.from_linear(light, response)
    codes = np.log1p(np.clip(light, 0, 1) * np.expm1(LOG_RANGE)) / LOG_RANGE
    return np.rint(255 * codes).astype(np.uint8)


# ------------------------------------------------------------------------ scenes


def random_scene(rng, photo, other, response, times, options):
    """Draws a `Scene` that covers the frame at all of the times (seconds).

    Other arguments are as for `render_pair`; `response` is one of `RESPONSES`.
    """
    size = options.size
    speed = options.speed
    while True:
        camera = random_camera(rng, size, speed, options.speed_spread)
        ground = _random_slant(rng, size, camera.focal)
        # How much nearer than the ground, of the parts and of the cut-outs.
        parts, cutouts = (
            rng.uniform(1.2, 2.5, rng.integers(most + 1))
            for most in (options.parts, options.cutouts)
        )
        reach = max(
            scenes.margin(camera, times, size, size, nearer * ground) for nearer in (1.0, *parts)
        )
        if reach <= max(size, 2):  # at rest, it may be 2 by rounding
            break
        speed /= 2  # it looks over the horizon of a slanted plane, or jumps away
    light = _crop(rng, photo, size, reach, response, options)
    layers = [(1.0, Layer(_opaque(light), nearness=ground))]
    for nearer in parts:
        image = _opaque(light) * _part(rng, light)[..., None]
        layers.append((nearer, Layer(image, nearness=nearer * ground)))
    for nearer in cutouts:
        layers.append((nearer, _cutout(rng, other, nearer * ground, response, options)))
    layers.sort(key=lambda pair: pair[0])
    return Scene(tuple(layer for _, layer in layers), camera)


def random_camera(rng, size, speed, spread=0.5):
    """Draws a `PinholeCamera`, half walking, half turning.

    Args:
        rng: numpy.random.Generator.
        size: of the frame, in pixels.
        speed: of the image in the frame's middle, pixels per second: the median of those drawn.
        spread: standard deviation of its logarithm.
    """
    focal = size * np.exp(rng.uniform(np.log(0.7), np.log(2.0)))
    speed = speed * np.exp(rng.normal(0, spread))
    walk, turn = scenes.random_directions(rng, 2) * speed * np.sqrt(rng.dirichlet([1, 1]))
    forward, roll = rng.normal(0, speed, 2) / size  # at the frame's border, half as fast
    velocity = [walk.real / focal, walk.imag / focal, forward, turn.imag / focal, turn.real / focal]
    shares = np.array([0.5, 0.5, 0, 1, 1, 0.5]) / focal
    return PinholeCamera(
        scenes.hand_held(rng, np.array([*velocity, roll]), speed / 200, shares), focal
    )


def _random_slant(rng, size, focal):
    """Draws the inverse depth of the backdrop, a plane: see `PinholeCamera`."""
    if rng.random() < 0.3:
        return np.array([0, 0, 1.0])
    # The lower part of a view is mostly nearer; what stands at its side is as often left as right.
    direction = np.array([rng.normal(0, 0.6), abs(rng.normal())])
    gradient = direction / np.linalg.norm(direction) * rng.uniform(0, 0.8)
    return np.array([*gradient * focal / (size / 2), 1.0])


# ------------------------------------------------------------------------ layers


def _crop(rng, photo, size, reach, response, options):
    """A random square of a photograph, reduced to `size` plus `reach` on each side.

    It lies in the photograph where there is room, and is continued by reflection where not.

    Returns:
        float32 [p, p, 3] with p = OVERSAMPLING * (size + 2 * reach), linear light.
    """
    shape = np.array(photo.shape[:2])
    most = shape.min() / size
    if most < 1:
        height, width = shape
        raise ValueError(f"a photograph of {width}x{height} pixels is too small for {size}x{size}.")
    lowest, highest = np.minimum(options.downscale, most)
    scale = np.exp(rng.uniform(np.log(lowest), np.log(highest)))
    room = shape - scale * size
    inset = np.minimum(scale * reach, room / 2)
    start = rng.uniform(inset, room - inset) - scale * reach
    end = start + scale * (size + 2 * reach)
    first = np.floor(start).astype(int)
    rows, columns = (
        _reflected(np.arange(a, b), n)
        for a, b, n in zip(first, np.ceil(end).astype(int), shape, strict=True)
    )
    box = (*(start - first)[::-1], *(end - first)[::-1])
    pixels = OVERSAMPLING * (size + 2 * reach)
    codes = Image.fromarray(photo[np.ix_(rows, columns)]).resize(
        (pixels, pixels), Image.Resampling.BICUBIC, box=box
    )
    return _develop(rng, np.asarray(codes), response, options)


def _develop(rng, codes, response, options):
    """Raises the contrast of a photograph and decodes it: uint8 -> float32, linear light."""
    middle = codes.mean()
    stretched = middle + rng.uniform(1, options.contrast) * (codes - middle)
    codes = np.rint(np.clip(stretched, 0, 255)).astype(np.uint8)
    light = decode(codes, response)
    if options.highlights > 1:  # as much light as saturates a colour, or more
        saturated = np.clip((codes.max(axis=-1, keepdims=True) - 245.0) / 10, 0, 1)
        light *= 1 + (rng.uniform(1, options.highlights) - 1) * saturated.astype(np.float32)
    return light


def _reflected(indices, count):
    """Indices of count elements, continued past both ends by reflection."""
    indices = indices % (2 * count)
    return np.minimum(indices, 2 * count - 1 - indices)


def _opaque(light):
    return np.concatenate([light, np.ones_like(light[..., :1])], axis=-1)


def _part(rng, light):
    """Draws a part of a picture, more likely low in it and bounded by its edges.

    Returns:
        float32 [h, w], the opacity.
    """
    pixels = len(light)
    # A quarter of the resolution: small islands would be no object.
    small = np.asarray(Image.fromarray(light.mean(axis=-1)).resize((pixels // 4, pixels // 4)))
    tone = _standardised(ndimage.gaussian_filter(np.cbrt(small), 2))
    blobs = _standardised(_blobs(rng, len(small)))
    height = np.linspace(-1, 1, len(small))[:, None]
    score = blobs + rng.normal(0, 1) * tone + rng.uniform(0, 1) * height
    score = Image.fromarray(score.astype(np.float32)).resize((pixels, pixels))
    inside = np.asarray(score) > np.quantile(score, rng.uniform(0.5, 0.85))
    return scenes.prefilter(inside[..., None].astype(np.float32))[..., 0]


def _blobs(rng, pixels):
    """A smooth random field [pixels, pixels]."""
    coarse = rng.normal(0, 1, (6, 6)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((pixels, pixels), Image.Resampling.BICUBIC))


def _standardised(values):
    return (values - values.mean()) / max(values.std(), 1e-6)


def _cutout(rng, photo, nearness, response, options):
    """Cuts a piece with a random outline out of a photograph: a `Layer` somewhere in the frame."""
    size = options.size
    (radius,) = scenes.power_law_radii(rng, 1, 0.06 * size, 0.3 * size)
    (outline,) = scenes.random_outlines(rng, 1)
    outline *= min(radius, (size / 2 - 2) / np.abs(outline).max())
    extent = 2 * int(np.abs(outline).max() + 2)
    light = _crop(rng, photo, extent, 0, response, options)
    mask = Image.new("F", (len(light), len(light)))
    outline = OVERSAMPLING * (outline + (1 + 1j) * extent / 2)
    ImageDraw.Draw(mask).polygon(scenes.flat(outline), fill=1)
    opacity = scenes.prefilter(np.asarray(mask)[..., None])
    moves = rng.random() < 0.6
    return Layer(
        _opaque(light) * opacity,
        centre=complex(*rng.uniform(-size / 2, size / 2, 2)),
        nearness=nearness,
        trajectory=scenes.drifting(rng, 1.5 * options.speed) if moves else Trajectory(),
    )
