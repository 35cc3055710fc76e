"""Image formation: a blurry photograph averages the light that fell in while the shutter was open.

Nah, Kim and Lee, "Deep Multi-Scale Convolutional Neural Network for Dynamic Scene Deblurring"
(CVPR 2017), section 2.
"""

import numpy as np

__all__ = [
    "RESPONSES",
    "convolve",
    "from_linear",
    "synthesize",
    "to_linear",
]


def __dir__():
    return __all__


RESPONSES = ("gamma", "linear")


def to_linear(codes, response="gamma", gamma=2.2):
    """The inverse camera response g^-1: 8-bit codes to linear light.

    Args:
        codes: uint8 array of any shape.
        response: "gamma" for g(x) = x^(1/gamma), "linear" for the identity.
        gamma: exponent of the "gamma" response, positive; Nah 2017 uses 2.2.

    Returns:
        float32 array in [0, 1] of the same shape.
    """
    table = np.arange(256) / 255
    return (table ** _exponent(response, gamma)).astype(np.float32)[codes]


def from_linear(light, response="gamma", gamma=2.2):
    """The camera response g, clipped and rounded: linear light to 8-bit codes.

    Args:
        light: float array of any shape; what is outside [0, 1] is clipped.
        response, gamma: as for `to_linear`.

    Returns:
        uint8 array of the same shape.
    """
    codes = np.clip(light, 0, 1) ** (1 / _exponent(response, gamma))
    return np.rint(255 * codes).astype(np.uint8)


decode, encode = to_linear, from_linear  # until 0.2: what they were called in 0.1


def synthesize(frames, response="gamma", gamma=2.2):
    """Averages high-speed frames into a blurry image: equation (2) of Nah 2017.

    B = g(1/M sum_i g^-1(S_i)), where S_i are the frames and g is the camera response.

    Args:
        frames: uint8 [M, H, W, 3], or a list of M frames [H, W, 3]; M is odd and at least 3.
        response: "gamma" for g(x) = x^(1/gamma) on [0, 1], "linear" for the identity.
        gamma: exponent of the "gamma" response, positive.

    Returns:
        (blurry, sharp), both uint8 [H, W, 3]; sharp is the middle frame, unchanged.

    Raises:
        ValueError: the frames are too few, even in number, or not equal-sized uint8 RGB images;
            or the response is unknown.

    >>> frames = np.zeros((3, 1, 1, 3), "uint8")
    >>> frames[0] = 255
    >>> blurry, sharp = synthesize(frames)  # a third of the light
    >>> int(blurry[0, 0, 0]), int(sharp[0, 0, 0])
    (155, 0)
    """
    _check_frames(frames)
    total = np.zeros(frames[0].shape, np.float64)
    for frame in frames:
        total += to_linear(frame, response, gamma)
    sharp = np.array(frames[len(frames) // 2])
    return from_linear(total / len(frames), response, gamma), sharp


def convolve(image, kernel, response="gamma", gamma=2.2):
    """Blurs an image by one kernel, the same everywhere, in linear light.

    B(y, x) = g(sum_ij k(i, j) g^-1(S)(y - i, x - j)), with i and j counted from the kernel's
    middle: a convolution, which flips the kernel, and no correlation. Beyond its borders the image
    goes on as its mirror image. Methods before Nah et al. 2017 made their pairs so (figure 2
    there); many took the codes for light, which is response="linear".

    Args:
        image: uint8 [H, W, 3].
        kernel: [h, w], both odd, not negative, with the sum 1; no larger than the image.
        response, gamma: as for `synthesize`.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: the image or the kernel is not of these kinds; or the response is unknown.

    >>> image = np.zeros((3, 3, 3), "uint8")
    >>> image[1, 1] = 255
    >>> kernel = [[0, 0, 0], [0, 0, 1], [0, 0, 0]]  # moves everything to the right
    >>> convolve(image, kernel)[1, :, 0].tolist()
    [0, 0, 255]
    """
    image, kernel = np.asarray(image), np.asarray(kernel, np.float64)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image is {image.dtype} {list(image.shape)}: give uint8 [H, W, 3].")
    _check_kernel(kernel, image.shape)
    return from_linear(convolve_light(to_linear(image, response, gamma), kernel), response, gamma)


def convolve_light(light, kernel):
    """`convolve` of linear light: float [H, W, 3], and a kernel as there, to the same."""
    from scipy.signal import oaconvolve

    rows, columns = (side // 2 for side in kernel.shape)
    light = np.pad(light, ((rows, rows), (columns, columns), (0, 0)), "symmetric")
    return oaconvolve(light, kernel[..., None], "valid", axes=(0, 1))


def _check_kernel(kernel, shape):
    if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape):
        raise ValueError(f"kernel is of shape {list(kernel.shape)}: give [h, w], both odd.")
    if any(k > side for k, side in zip(kernel.shape, shape, strict=False)):
        raise ValueError(f"kernel {list(kernel.shape)} is larger than the image {list(shape[:2])}.")
    if not np.isfinite(kernel).all() or kernel.min() < 0 or abs(kernel.sum() - 1) > 1e-3:
        raise ValueError("kernel: its values must not be negative, and have the sum 1.")


def _exponent(response, gamma):
    if response not in RESPONSES:
        raise ValueError(f"unknown response {response!r}: choose one of {', '.join(RESPONSES)}.")
    if not gamma > 0:
        raise ValueError(f"gamma is {gamma}: give a positive number, such as 2.2.")
    return gamma if response == "gamma" else 1.0


def _check_frames(frames):
    if getattr(frames, "ndim", 4) != 4:
        raise ValueError(
            f"frames has the shape {frames.shape}: give [M, H, W, 3], or a list of M frames."
        )
    count = len(frames)
    if count < 3:
        raise ValueError(f"{count} frames make no blur: give an odd number of frames, 3 or more.")
    if count % 2 == 0:
        raise ValueError(
            f"{count} frames have no middle one to be the sharp image: "
            "give an odd number, for instance by leaving out the last frame."
        )
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8:
            raise ValueError(
                f"frame {index} is {frame.dtype}: give uint8 frames, as decoded from the files."
            )
        if frame.ndim != 3 or frame.shape[-1] != 3:
            raise ValueError(
                f"frame {index} has the shape {frame.shape}: give RGB frames [H, W, 3]."
            )
        if frame.shape != frames[0].shape:
            raise ValueError(
                f"frame {index} has the shape {frame.shape}, frame 0 {frames[0].shape}: "
                "crop or resize them to one size first."
            )
