"""Losses of multi-scale networks, in float32.

Each takes the network's outputs and the labels of the same sizes, two lists of `[B, H, W, C]`,
finest first, and returns a scalar.
"""

from keras import ops


def multi_scale_mse(outputs, labels):
    """The content loss of Nah et al. 2017, equation 4: (1/2K) sum_k mean((L_k - S_k)^2)."""
    per_level = [ops.mean(ops.square(d)) for d in _differences(outputs, labels)]
    return sum(per_level) / (2 * len(per_level))


def multi_scale_l1(outputs, labels):
    """The content loss of Cho et al. 2021, equation 3: sum_k mean(|L_k - S_k|)."""
    return sum(ops.mean(ops.abs(d)) for d in _differences(outputs, labels))


def multi_scale_frequency(outputs, labels):
    """The multi-scale frequency reconstruction (MSFR) loss of Cho et al. 2021, equation 4.

    sum_k of the mean absolute difference between the full two-dimensional Fourier transforms,
    real and imaginary parts counted as channels.
    """
    return sum(_frequency_l1(d) for d in _differences(outputs, labels))


def mimo_unet_loss(outputs, labels):
    """The loss of MIMO-UNet (Cho et al. 2021, equation 5): content + 0.1 x MSFR."""
    return multi_scale_l1(outputs, labels) + 0.1 * multi_scale_frequency(outputs, labels)


LOSSES = {
    "mse": multi_scale_mse,
    "l1": multi_scale_l1,
    "mimo_unet": mimo_unet_loss,
}


def _differences(outputs, labels):
    if len(outputs) != len(labels):
        raise ValueError(f"{len(outputs)} outputs do not match {len(labels)} labels.")
    for output, label in zip(outputs, labels, strict=True):
        yield ops.cast(output, "float32") - ops.cast(label, "float32")


def _frequency_l1(difference):
    # The transform is linear, so one of the difference is the difference of two.
    # `fft2` transforms the last two axes.
    planes = ops.transpose(difference, (0, 3, 1, 2))
    real, imaginary = ops.fft2((planes, ops.zeros_like(planes)))
    return (ops.mean(ops.abs(real)) + ops.mean(ops.abs(imaginary))) / 2
