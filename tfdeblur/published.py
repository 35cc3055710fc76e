"""Published scores, to stand beside measured ones.

A score says something only together with its dataset, the variant of the blur, and the protocol; so
each is compared with measured ones of the same three, or not at all.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """What a paper, or its authors, report of a network.

    Attributes:
        dataset: on whose test split: of TFDS, with the variant of the blur where one is stated.
        psnr: dB.
        ssim: None where none is reported.
        protocol: a key of `evaluation.protocols.PROTOCOLS`, which measured both, or is taken to
            have done so; None where it is not stated and cannot be told.
        source: where it stands.
        network: as papers call it; "" for that of the recipe or the weights that it belongs to.
        seconds: for an image of 1280x720, as its authors report; None where none are reported.
        parameters: in millions; likewise.
        remeasured: seconds that others, or the authors later, measured for the same.
        protocol_stated: False where the source does not state the protocol.
    """

    dataset: str
    psnr: float
    ssim: float | None
    protocol: str | None
    source: str
    network: str = ""
    seconds: float | None = None
    parameters: float | None = None
    remeasured: float | None = None
    protocol_stated: bool = True

    def __str__(self):
        ssim = "" if self.ssim is None else f", SSIM {self.ssim:g}"
        protocol = f"the protocol {self.protocol}" if self.protocol else "a protocol not stated"
        if self.protocol and not self.protocol_stated:
            protocol += ", which is not stated but taken to be this"
        return f"{self.psnr:.2f} dB{ssim} on {self.dataset} by {protocol} ({self.source})"


def _quoted(source, dataset, *rows):
    """Published without a protocol; rows: (network, psnr, ssim, seconds, parameters, again)."""
    return [
        Published(dataset, psnr, ssim, None, source, network, *costs)
        for network, psnr, ssim, *costs in rows
    ]


_TWO_WAY = "Cheng et al. 2021, the multi-scale two-way network"

# As quoted by others, who state no protocol. What belongs to a recipe stands there.
QUOTED = [
    *_quoted(
        "Cho et al. 2021, table 1 (seconds: as reported, and as measured there)",
        "gopro",
        ("DeepDeblur", 29.23, 0.916, 4.33, 11.7),
        ("SRN", 30.26, 0.934, 1.87, 6.8, 0.342),
        ("PSS-NSC", 30.92, 0.942, 1.6, 2.84, 0.985),
        ("DMPHN, stack of 4", 31.20, 0.945, 0.424, 21.7, 1.061),
        ("SAPHN with offsets", 31.85, 0.948, 0.34),
        ("SAPHN without offsets", 32.02, 0.953, 0.77),
        ("MT-RNN", 31.15, 0.945, 0.07, 2.6, 0.063),
        ("RADN", 31.76, 0.953, 0.038),
        ("SVDN", 29.81, 0.937, 0.01),
        ("MPRNet", 32.66, 0.959, 0.18, 20.1, 0.162),
    ),
    *_quoted(
        "Cho et al. 2021, table 2",
        "realblur/j",
        ("DeblurGAN-v2", 29.69, 0.870),
        ("SRN", 31.38, 0.909),
        ("MPRNet", 31.76, 0.922),
    ),
    *_quoted(
        _TWO_WAY,
        "gopro",
        ("DeepDeblur", 29.08, 0.914),
        ("SRN", 30.10, 0.924),
        ("DeblurGAN", 28.70, 0.958),
        ("DeblurGAN-v2", 28.17, 0.925),
    ),
    *_quoted(
        _TWO_WAY,
        "kohler",
        ("Xu et al.", 29.96, 0.876),
        ("Pan et al.", 30.20, 0.888),
        ("DeepDeblur", 26.48, 0.807),
        ("SRN", 26.75, 0.837),
        ("DeblurGAN", 26.10, 0.816),
        ("DeblurGAN-v2", 26.36, 0.820),
        ("two-way network", 26.80, 0.840),
    ),
    *_quoted("Kupyn et al. 2019, table 1", "gopro", ("Sun et al.", 24.64, 0.842, 1200)),
    *_quoted("Kupyn et al. 2019, table 2", "kohler", ("Sun et al.", 25.22, 0.773)),
    *_quoted("Chen et al. 2022, table 4", "gopro", ("NAFNet", 33.69, 0.967)),
    *_quoted("Mao et al. 2024", "gopro", ("AdaRevD", 34.60, None)),
]


def find(published, dataset, protocol):
    """The one of a list that was measured on this dataset by this protocol; None if there is none.

    Where several trainings of one network were published, the best.
    """
    same = [one for one in published if (one.dataset, one.protocol) == (dataset, protocol)]
    return max(same, key=lambda one: one.psnr, default=None)


def on_dataset(dataset):
    """`QUOTED` scores on a dataset, whatever the variant of its blur; none where it is None."""
    return [one for one in QUOTED if f"{dataset}/".startswith(f"{one.dataset}/")]
