"""Losses, in float32.

Those of restoring networks, `LOSSES`, take

- outputs: what the network returns, a list of K images `[B, H_k, W_k, C]`, meant to be in [0, 1];
- labels: the sharp images that these should be, a list of the same shapes in the same order,

return a scalar, and raise a ValueError where the lists differ in length. The adversarial ones take

- real: a discriminator's logits of sharp images, `[B, 1]` or of patches `[B, h, w, 1]`, positive
  for what it holds to be sharp;
- fake: those of restored images;

and return a scalar. `ADVERSARIAL_LOSSES` has pairs, for the generator and for the discriminator.
"""

from keras import ops

__all__ = [
    "ADVERSARIAL_LOSSES",
    "LOSSES",
    "charbonnier",
    "critic_loss",
    "discriminator_loss",
    "edge",
    "maxim_loss",
    "mimo_unet_loss",
    "minimax_loss",
    "mprnet_loss",
    "mtwnet_loss",
    "multi_scale_frequency",
    "multi_scale_l1",
    "multi_scale_mse",
    "non_saturating_loss",
    "perceptual_loss",
    "psnr_loss",
    "relativistic_discriminator_loss",
    "relativistic_loss",
    "srn_loss",
    "wasserstein_loss",
]


def __dir__():
    return __all__


CHARBONNIER_EPSILON = 1e-3
EDGE_TAPS = (0.05, 0.25, 0.4, 0.25, 0.05)


def multi_scale_mse(outputs, labels):
    """The content loss of Nah et al. 2017, equation 4: (1/2K) sum_k mean((L_k - S_k)^2).

    Args:
        outputs, labels: lists of K images `[B, H, W, 3]` in [0, 1], finest first.

    Returns:
        A scalar.

    >>> image = ops.ones((1, 2, 2, 3))
    >>> float(multi_scale_mse([image], [0 * image]))
    0.5
    """
    per_level = [ops.mean(ops.square(d)) for d in _differences(outputs, labels)]
    return sum(per_level) / (2 * len(per_level))


def multi_scale_l1(outputs, labels):
    """The content loss of Cho et al. 2021, equation 7: sum_k mean(|L_k - S_k|).

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.

    Returns:
        A scalar.
    """
    return sum(ops.mean(ops.abs(d)) for d in _differences(outputs, labels))


def multi_scale_frequency(outputs, labels):
    """The multi-scale frequency reconstruction (MSFR) loss of Cho et al. 2021, equation 8.

    sum_k of the mean absolute difference between the full two-dimensional Fourier transforms,
    real and imaginary parts counted as channels.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.

    Returns:
        A scalar.
    """
    return sum(_frequency_l1(d) for d in _differences(outputs, labels))


def mimo_unet_loss(outputs, labels, weight=0.1):
    """The loss of MIMO-UNet (Cho et al. 2021, equation 9): content + `weight` x MSFR.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.
        weight: of the second term, lambda.

    Returns:
        A scalar.
    """
    return multi_scale_l1(outputs, labels) + weight * multi_scale_frequency(outputs, labels)


def mtwnet_loss(outputs, labels, weight=5):
    """The loss of MTWNet (Cheng et al. 2021): sum_i alpha_i / T_i ||F_i - I_i||^2.

    alpha is `weight` for the finest scale and 1 for the others; T_i is the number of elements.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], finest first.
        weight: alpha of the finest scale.

    Returns:
        A scalar.
    """
    finest, *others = [ops.mean(ops.square(d)) for d in _differences(outputs, labels)]
    return weight * finest + sum(others)


def srn_loss(outputs, labels):
    """The loss of SRN (Tao et al. 2018) and of PSS-NSC: sum_k mean((L_k - S_k)^2).

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.

    Returns:
        A scalar.
    """
    return sum(ops.mean(ops.square(d)) for d in _differences(outputs, labels))


def charbonnier(outputs, labels):
    """A smooth L1: sum_k mean(sqrt((L_k - S_k)^2 + epsilon^2)), epsilon 1e-3.

    Source: Charbonnier et al. 1994, as in Zamir et al. 2021 (MPRNet), equation 2, whose released
    code takes the mean over all elements. Equal images have the loss epsilon.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.

    Returns:
        A scalar.
    """
    return sum(_charbonnier(d) for d in _differences(outputs, labels))


def edge(outputs, labels):
    """The Charbonnier loss between the Laplacians of the images.

    A Laplacian is an image minus its low frequencies: blurred, every second pixel kept four times
    as bright and the others 0, blurred again; the kernel has the taps `EDGE_TAPS` in each
    direction, the border is repeated.

    Source: Zamir et al. 2021 (MPRNet), equation 3, and the authors' released code.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.

    Returns:
        A scalar.
    """
    # The Laplacian is linear, so that of the difference is the difference of two.
    return sum(_charbonnier(_laplacian(d)) for d in _differences(outputs, labels))


def mprnet_loss(outputs, labels, weight=0.05):
    """The loss of MPRNet (Zamir et al. 2021, equation 1): Charbonnier + `weight` x edge.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.
        weight: of the second term, lambda.

    Returns:
        A scalar.
    """
    return charbonnier(outputs, labels) + weight * edge(outputs, labels)


def psnr_loss(outputs, labels):
    """The negative PSNR in dB, of each image by itself: sum_k mean_B(10 log10(mse + 1e-8)).

    Source: the released code of NAFNet (Chen et al. 2022). Equal images have the loss -80.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.

    Returns:
        A scalar, in dB.
    """
    per_image = [ops.mean(ops.square(d), axis=(1, 2, 3)) for d in _differences(outputs, labels)]
    return sum(10 * ops.mean(ops.log10(mse + 1e-8)) for mse in per_image)


def maxim_loss(outputs, labels, weight=0.1):
    """The loss of MAXIM (Tu et al. 2022, section 3.4): Charbonnier + `weight` x frequency L1.

    Summed over all stages and sizes. The paper takes the frequency loss from MIMO-UNet, so it is
    `multi_scale_frequency`.

    Args:
        outputs, labels: lists of K images `[B, H_k, W_k, C]` in [0, 1], in one order.
        weight: of the second term, lambda.

    Returns:
        A scalar.
    """
    return charbonnier(outputs, labels) + weight * multi_scale_frequency(outputs, labels)


def no_loss(outputs, labels):
    """0: for networks that a perceptual and an adversarial loss alone train."""
    return 0 * multi_scale_l1(outputs, labels)


def perceptual_loss(features, image, label):
    """The mean squared error between features of two images `[B, H, W, 3]` in [0, 1].

    Source: Johnson et al. 2016, as in Kupyn et al. 2018 (DeblurGAN), section 3.1, whose released
    code takes the mean over all elements, of features before their ReLU (the paper says: after).

    Args:
        features: a model from images to feature maps, such as `models.vgg19.vgg19_conv3_3`.
        image, label: `[B, H, W, 3]`, the restored image and the sharp one.

    Returns:
        A scalar.
    """
    difference = features(image) - features(label)
    return ops.mean(ops.square(ops.cast(difference, "float32")))


LOSSES = {
    "mse": multi_scale_mse,
    "l1": multi_scale_l1,
    "mimo_unet": mimo_unet_loss,
    "mtwnet": mtwnet_loss,
    "srn": srn_loss,
    "mprnet": mprnet_loss,
    "psnr": psnr_loss,
    "maxim": maxim_loss,
    "none": no_loss,
}


WEIGHTED = ("mimo_unet", "mtwnet", "mprnet", "maxim")  # those that take a `weight` of one term


def discriminator_loss(real, fake):
    """What the discriminator D minimises: -mean(log D(S)) - mean(log(1 - D(G(B)))).

    The negative of L_adv in Nah et al. 2017, section 3.2, of sharp images S and restored ones G(B).

    Args:
        real, fake: logits `[B, 1]` or `[B, h, w, 1]` of sharp and of restored images.

    Returns:
        A scalar.
    """
    return -ops.mean(_log_probability(real)) - ops.mean(_log_probability(-fake))


def minimax_loss(real, fake):
    """What the generator minimises as the paper has it: mean(log(1 - D(G(B)))).

    The part of L_adv (Nah et al. 2017, section 3.2) that depends on the generator. Its gradient
    fades where the discriminator is sure that the image is restored: d/dlogit = -D(G(B)).

    Args:
        real: logits of sharp images, which this loss does not use.
        fake: logits `[B, 1]` or `[B, h, w, 1]` of restored images.

    Returns:
        A scalar.
    """
    del real
    return ops.mean(_log_probability(-fake))


def non_saturating_loss(real, fake):
    """What the generator minimises in the authors' released code: -mean(log D(G(B))).

    It pushes in the same direction as `minimax_loss`, but hardest where the discriminator is sure
    that the image is restored (Goodfellow et al. 2014, section 3): d/dlogit = D(G(B)) - 1.

    Args:
        real: logits of sharp images, which this loss does not use.
        fake: logits `[B, 1]` or `[B, h, w, 1]` of restored images.

    Returns:
        A scalar.
    """
    del real
    return -ops.mean(_log_probability(fake))


def relativistic_discriminator_loss(real, fake):
    """How far sharp images are from looking by 1 sharper than restored ones do on average.

    mean((D(S) - mean D(G(B)) - 1)^2) + mean((D(G(B)) - mean D(S) + 1)^2), means over the batch:
    the relativistic least squares of Kupyn et al. 2019 (DeblurGAN-v2). Their released code halves
    it, and takes the means over its last 50 outputs, as constants.

    Args:
        real, fake: logits `[B, 1]` or `[B, h, w, 1]` of sharp and of restored images.

    Returns:
        A scalar.
    """
    real, fake = ops.cast(real, "float32"), ops.cast(fake, "float32")
    sharper = real - ops.mean(fake) - 1
    blurrier = fake - ops.mean(real) + 1
    return ops.mean(ops.square(sharper)) + ops.mean(ops.square(blurrier))


def relativistic_loss(real, fake):
    """What the generator minimises against `relativistic_discriminator_loss`: roles exchanged.

    Args:
        real, fake: logits `[B, 1]` or `[B, h, w, 1]` of sharp and of restored images.

    Returns:
        A scalar.
    """
    return relativistic_discriminator_loss(fake, real)


def critic_loss(real, fake):
    """What the critic D of a Wasserstein GAN minimises: mean D(G(B)) - mean D(S).

    Source: Kupyn et al. 2018 (DeblurGAN), section 3.1; without its gradient penalty, which needs
    the critic itself.

    Args:
        real, fake: logits `[B, 1]` or `[B, h, w, 1]` of sharp and of restored images.

    Returns:
        A scalar.
    """
    return -ops.mean(ops.cast(real, "float32")) - wasserstein_loss(real, fake)


def wasserstein_loss(real, fake):
    """What the generator minimises against `critic_loss`: -mean D(G(B)).

    Args:
        real: logits of sharp images, which this loss does not use.
        fake: logits `[B, 1]` or `[B, h, w, 1]` of restored images.

    Returns:
        A scalar.
    """
    del real
    return -ops.mean(ops.cast(fake, "float32"))


ADVERSARIAL_LOSSES = {
    "minimax": (minimax_loss, discriminator_loss),
    "non_saturating": (non_saturating_loss, discriminator_loss),
    "relativistic": (relativistic_loss, relativistic_discriminator_loss),
    "wasserstein": (wasserstein_loss, critic_loss),
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


def _charbonnier(difference):
    return ops.mean(ops.sqrt(ops.square(difference) + CHARBONNIER_EPSILON**2))


def _laplacian(images):
    height, width = ops.shape(images)[1:3]
    even_rows = ops.arange(height)[:, None, None] % 2 == 0
    even_columns = ops.arange(width)[:, None] % 2 == 0
    kept = 4 * ops.cast(even_rows & even_columns, "float32")
    return images - _blurred(kept * _blurred(images))


def _blurred(images):
    """By `EDGE_TAPS` along both axes, the border repeated."""
    first, last = images[:, :1], images[:, -1:]
    padded = ops.concatenate([first, first, images, last, last], axis=1)
    images = sum(tap * padded[:, i : (i - 4) or None] for i, tap in enumerate(EDGE_TAPS))
    first, last = images[:, :, :1], images[:, :, -1:]
    padded = ops.concatenate([first, first, images, last, last], axis=2)
    return sum(tap * padded[:, :, i : (i - 4) or None] for i, tap in enumerate(EDGE_TAPS))
