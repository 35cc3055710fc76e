"""Image formation: a blurry photograph averages the light that fell in while the shutter was open.

Nah, Kim and Lee, "Deep Multi-Scale Convolutional Neural Network for Dynamic Scene Deblurring"
(CVPR 2017), section 2.
"""

import numpy as np

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
    """
    _check_frames(frames)
    total = np.zeros(frames[0].shape, np.float64)
    for frame in frames:
        total += to_linear(frame, response, gamma)
    sharp = np.array(frames[len(frames) // 2])
    return from_linear(total / len(frames), response, gamma), sharp


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
