"""Losses, in float32.

Those of multi-scale networks, `LOSSES`, take the network's outputs and the labels of the same
sizes, two lists of `[B, H, W, C]`, finest first, and return a scalar. The adversarial ones take a
discriminator's logits `[B, 1]`, positive for what it holds to be sharp, and return a scalar.
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


def mtwnet_loss(outputs, labels):
    """The loss of MTWNet (Cheng et al. 2021): sum_i alpha_i / T_i ||F_i - I_i||^2.

    alpha is 5 for the finest scale and 1 for the others; T_i is the number of elements.
    """
    finest, *others = [ops.mean(ops.square(d)) for d in _differences(outputs, labels)]
    return 5 * finest + sum(others)


def srn_loss(outputs, labels):
    """The loss of SRN (Tao et al. 2018) and of PSS-NSC: sum_k mean((L_k - S_k)^2)."""
    return sum(ops.mean(ops.square(d)) for d in _differences(outputs, labels))


LOSSES = {
    "mse": multi_scale_mse,
    "l1": multi_scale_l1,
    "mimo_unet": mimo_unet_loss,
    "mtwnet": mtwnet_loss,
    "srn": srn_loss,
}


def discriminator_loss(real, fake):
    """What the discriminator D minimises: -mean(log D(S)) - mean(log(1 - D(G(B)))).

    The negative of L_adv in Nah et al. 2017, section 3.2, whichever of `ADVERSARIAL_LOSSES` the
    generator minimises.

    Args:
        real, fake: the logits of sharp images S and of restored images G(B).
    """
    return -ops.mean(_log_probability(real)) - ops.mean(_log_probability(-fake))


def minimax_loss(fake):
    """What the generator minimises as the paper has it: mean(log(1 - D(G(B)))).

    The part of L_adv (Nah et al. 2017, section 3.2) that depends on the generator. Its gradient
    fades where the discriminator is sure that the image is restored: d/dlogit = -D(G(B)).
    """
    return ops.mean(_log_probability(-fake))


def non_saturating_loss(fake):
    """What the generator minimises in the authors' released code: -mean(log D(G(B))).

    It pushes in the same direction as `minimax_loss`, but hardest where the discriminator is sure
    that the image is restored (Goodfellow et al. 2014, section 3): d/dlogit = D(G(B)) - 1.
    """
    return -ops.mean(_log_probability(fake))


ADVERSARIAL_LOSSES = {
    "minimax": minimax_loss,
    "non_saturating": non_saturating_loss,
}


def _log_probability(logits):
    return ops.log_sigmoid(ops.cast(logits, "float32"))


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
