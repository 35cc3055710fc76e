"""Weights that the authors of papers publish: what they are, and fetching them.

They belong to their authors and are never part of tfdeblur. Those that a program can download are
fetched on first use and checked; the others the user downloads, and puts where the cache has them.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Mapping

import pooch

from tfdeblur import models, recipes
from tfdeblur.errors import InputError
from tfdeblur.published import Published
from tfdeblur.recipes import RECIPES
from tfdeblur.weights import downloads

NOT_STATED = "not stated"
ACADEMIC = "academic, non-commercial"


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """Trained weights of one network.

    Attributes:
        network: a name for `models.build`, which --model gives.
        name: what --weights calls them.
        hyperparameters: of the network.
        trained_on: dataset and blur variant.
        published: what the authors report of them, as far as it is quoted here.
        licence: of the repository that offers them.
        address: of the folder in which `files` lie; of what comes by hand, a page for a browser.
        layout: what lies there.
        files: `{file name: sha256}`, as the cache calls them. None in place of a sum where none is
            known: only names, shapes and numbers in the file are checked.
        by_hand: whether only a browser can download them, or nothing any more.
        megabytes: of the one file, about; None where it is not quoted here.
        digest: of the arrays in a Flax checkpoint, see `flax_networks.digest`, as far as they are
            known; None where they are not.
    """

    network: str
    name: str
    hyperparameters: Mapping
    trained_on: str
    published: tuple[Published, ...]
    licence: str
    address: str
    layout: str
    files: Mapping[str, str | None]
    by_hand: bool = False
    megabytes: int | None = None
    digest: str | None = None

    def __str__(self):
        files = f"{len(self.files)} file{'s' * (len(self.files) > 1)}"
        where = "by hand" if self.by_hand else f"{files}{self.size}, fetched on first use"
        put_at = [f"    put at       {path}" for path in paths(self) if self.by_hand]
        return "\n".join(
            [
                f"--model={self.network} --weights={self.name}",
                f"    trained on   {self.trained_on}",
                f"    published    {'; '.join(map(str, self.published)) or 'not quoted here'}",
                f"    licence      {self.licence}",
                f"    download     {where}: {self.layout}",
                f"                 {self.address}",
                *put_at,
            ]
        )

    @property
    def size(self):
        """In words, to follow others: " (about 89 MB)"; "" where it is not quoted here."""
        return f" (about {self.megabytes} MB)" if self.megabytes else ""


def find(network, name):
    """The weights of a network that are called `name`, None where there are none."""
    return next((x for x in CATALOGUE if (x.network, x.name) == (network, str(name))), None)


def published_of(network, self_ensemble):
    """What is published of a network as it was trained: list of `Published`, with the blur variant.

    The network tells where its weights come from (`Network.origin`). Where it does not, as after
    reading its authors' file, they are taken for the published weights of its architecture if there
    are no others: the scores of several would belong to another file as well.

    Args:
        network: of `tfdeblur.models`.
        self_ensemble: whether its results are means over four rotations.
    """
    trained_alike = [
        recipe
        for recipe in RECIPES.values()
        if (recipe.network, recipe.self_ensemble) == (network.name, self_ensemble)
        and models.hyperparameters(recipe.network, **recipe.hyperparameters)
        == models.hyperparameters(network.name, **network.hyperparameters)
    ]
    if "recipe" in network.origin:
        trained = RECIPES.get(network.origin["recipe"])
        return [
            one
            for recipe in trained_alike
            if trained
            and recipe.dataset == trained.dataset
            and recipe.adversarial == trained.adversarial
            for one in recipes.published_of(recipe)
        ]
    entry = _entry_of(network)
    if entry and not self_ensemble:
        return _of_weights(entry)
    return [
        one
        for recipe in trained_alike
        if entry and recipe.dataset == entry.trained_on
        for one in recipes.published_of(recipe)
    ]


def _entry_of(network):
    """The published weights that a network has, as far as that can be told; None otherwise."""
    own = models.hyperparameters(network.name, **network.hyperparameters)
    alike = [
        entry
        for entry in CATALOGUE
        if entry.network == network.name
        and models.hyperparameters(entry.network, **entry.hyperparameters) == own
    ]
    if network.origin:
        alike = [entry for entry in alike if entry.name == network.origin.get("weights")]
    return alike[0] if len(alike) == 1 else None


def _of_weights(entry):
    """The published scores of weights; those of a recipe as they stand there."""
    own = {
        dataclasses.replace(one, network=""): one
        for recipe in RECIPES.values()
        if recipe.network == entry.network
        for one in recipes.published_of(recipe)
    }
    found = [
        dataclasses.replace(one, dataset=recipes.variant(one.dataset, entry.trained_on))
        for one in entry.published
    ]
    return [own.get(one, one) for one in found]


def names(network):
    """The names of the published weights of a network."""
    return [entry.name for entry in CATALOGUE if entry.network == network]


def cache_folder():
    """Where fetched files are kept: $TFDEBLUR_CACHE, or the user's cache folder."""
    return pathlib.Path(os.environ.get("TFDEBLUR_CACHE") or pooch.os_cache("tfdeblur"))


def fetch(entry, check=lambda path: None):
    """Downloads the files of published weights, unless the cache has them.

    Every file whose checksum is known is checked each time; one whose content is not the published
    one is fetched again.

    Args:
        entry: PublishedWeights.
        check: function of the path of a file whose checksum is not known, just downloaded; raises
            an InputError if it holds other weights, and the file is not kept then.

    Returns:
        The paths of the files.

    Raises:
        InputError: a file cannot be had, or is another than the published one.
    """
    missing = [str(path) for path in paths(entry) if not path.exists()]
    if entry.by_hand and missing:
        raise InputError(
            f"`weights={entry.name}`: tfdeblur cannot fetch these weights of {entry.network}: "
            f"download from {entry.address} ({entry.layout}), and put it at {' and '.join(missing)}"
        )
    try:
        for path, known in zip(paths(entry), entry.files.values(), strict=True):
            _fetch(f"{entry.address}/{path.name}", path, known, check, entry.size)
    except InputError as error:
        raise InputError(f"{error}{_still_missing(entry)}") from error
    return paths(entry)


def _still_missing(entry):
    """What else is to be downloaded, in words: who does it by hand wants to know all at once."""
    missing = [path for path in paths(entry) if not path.exists()]
    if len(entry.files) == 1 or not missing:
        return ""
    names = ", ".join(path.name for path in missing)
    return (
        f" Of the {len(entry.files)} files of {entry.network} with {entry.name}, {len(missing)} "
        f"are missing in {missing[0].parent}: {names}; all lie at {entry.address}."
    )


def paths(entry):
    """Where the cache has the files of published weights, or will have them."""
    # The same files may serve several entries: the first of them gives the folder its name.
    first = next(
        (x for x in CATALOGUE if (x.address, x.files) == (entry.address, entry.files)), entry
    )
    return [cache_folder() / first.network / first.name / file for file in entry.files]


def cached():
    """The published weights that the cache has."""
    return [x for x in CATALOGUE if all(path.exists() for path in paths(x))]


def fetch_url(url):
    """Downloads a file that is in no catalogue, unless the cache has it.

    What it holds cannot be checked, but that it is no web page.

    Raises:
        InputError: it cannot be had, or the address is none.
    """
    try:
        path = cache_folder() / "urls" / pooch.utils.unique_file_name(url)
    except ValueError as error:
        raise InputError(f"{url} is no address ({error}): look it up again.") from error
    if not path.exists() or _is_web_page(path):  # which earlier versions kept
        downloads.download(url, path, functools.partial(_refuse_web_page, url))
    return path


def _refuse_web_page(url, path):
    if _is_web_page(path):
        raise InputError(f"{url} {downloads.WEB_PAGE}")


def _is_web_page(path):
    with path.open("rb") as file:
        return downloads.is_web_page(file.read(512))


def _fetch(url, path, known, check, size):
    if known:
        if not path.exists() or sha256(path) != known:
            check = functools.partial(_check_sum, url, known)
            downloads.download(url, path, check, f"{size} (sha256 {known})")
    elif not path.exists():
        downloads.download(url, path, functools.partial(_check_content, url, check), size)


def _check_sum(url, known, path):
    if sha256(path) != known:
        raise InputError(
            f"{url} is not, or no longer, the file that was published (its sha256 is not {known}):"
            " try again; a proxy that answers with a page of its own does this too."
        )


def sha256(path):
    """That of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_content(url, check, path):
    try:
        check(path)
    except InputError as error:
        reason = str(error).replace(str(path), "it").removeprefix("`weights=it`: ")
        raise InputError(
            f"{url} did not give the weights that were published, and nothing was kept: {reason}"
        ) from error


def _dmphn(name, folder, hyperparameters, published=()):
    return PublishedWeights(
        network="dmphn",
        name=name,
        hyperparameters=hyperparameters,
        trained_on="gopro/blur",
        published=published,
        licence=NOT_STATED,
        address=f"{_DMPHN_CHECKPOINTS}/{folder}",
        layout="a file for each encoder and decoder",
        files={
            file: known
            for known, path in (line.split() for line in _SHA256SUMS.splitlines())
            for parent, file in [path.split("/")]
            if parent == folder
        },
    )


def _deepdeblur(name, drive_id, trained_on, dataset, psnr, ssim):
    return PublishedWeights(
        network="deepdeblur",
        name=name,
        hyperparameters={"scales": 3, "upsampling": "sub_pixel"},
        trained_on=trained_on,
        published=(
            Published(dataset, psnr, ssim, "deepdeblur_pytorch", "README of DeepDeblur-PyTorch"),
        ),
        licence="MIT",
        address=f"https://drive.google.com/file/d/{drive_id}/view",
        layout="a zip archive with the weights in models/model-*.pt",
        files={"model.pt": None},
        by_hand=True,
    )


def _mimo_unet(network, name, drive_id, recipe):
    return PublishedWeights(
        network=network,
        name=name,
        hyperparameters={},
        trained_on=RECIPES[recipe].dataset,
        published=RECIPES[recipe].published,
        licence=NOT_STATED,
        address=f"https://drive.google.com/file/d/{drive_id}/view",
        layout="a .pkl file",
        files={"model.pkl": None},
        by_hand=True,
    )


def _tf1(
    network, name, hyperparameters, trained_on, published, licence, address, layout, prefix="model"
):
    return PublishedWeights(
        network=network,
        name=name,
        hyperparameters=hyperparameters,
        trained_on=trained_on,
        published=published,
        licence=licence,
        address=address,
        layout=layout,
        files={f"{prefix}.index": None, f"{prefix}.data-00000-of-00001": None},
        by_hand=True,
    )


def _srn(name, variant, published):
    return _tf1(
        "srn",
        name,
        {"variant": variant},
        "gopro/blur",
        published,
        "MIT",
        "https://github.com/jiangsutx/SRN-Deblur/tree/master/checkpoints",
        "download_model.sh names an archive, srndeblur_models.zip, that was gone in 2025; in it a "
        "TensorFlow 1 checkpoint for each variant, deblur.model-*.index and its .data file",
        prefix=variant,
    )


def _pss_nsc(name, folder, trained_on, published=()):
    return _tf1(
        "pss_nsc",
        name,
        {},
        trained_on,
        published,
        NOT_STATED,
        f"https://github.com/firenxygao/deblur/tree/master/checkpoints/{folder}",
        "a TensorFlow 1 checkpoint, deblur_model.index and deblur_model.data-00000-of-00001",
    )


def _deblurgan_v2(name, backbone, filters, file, drive_id, psnr, ssim):
    return PublishedWeights(
        network="deblurgan_v2",
        name=name,
        hyperparameters={"backbone": backbone, "filters": filters, "fpn_filters": 2 * filters},
        trained_on=f"gopro among others (the blur variant is {NOT_STATED})",
        published=(Published("gopro/blur", psnr, ssim, None, "Kupyn et al. 2019"),),
        licence="BSD",
        address=f"https://drive.google.com/file/d/{drive_id}/view",
        layout=f"{file}, a PyTorch file in spite of its suffix",
        files={"model.h5": None},
        by_hand=True,
    )


def _nafnet(name, filters, drive_id, trained_on, published):
    return PublishedWeights(
        network="nafnet",
        name=name,
        hyperparameters={"filters": filters},
        trained_on=trained_on,
        published=(Published(*published, "nafnet", "README of NAFNet"),),
        licence="MIT",
        address=f"https://drive.google.com/file/d/{drive_id}/view",
        layout="a .pth file",
        files={"model.pth": None},
        by_hand=True,
    )


def _global_and_local(network, published, by_windows, **place):
    """The same weights with statistics of windows, as here, and of the whole image, as published.

    Args:
        network: its name.
        published: (PSNR, SSIM) on GOPRO, on HIDE, and the source.
        by_windows: PSNR on both, as Chu et al. 2022 measured it.
        place: where the weights are.
    """
    *scores, source = published
    options = {
        "network": network,
        "trained_on": "gopro/blur",
        "licence": ACADEMIC,
        "layout": "a .pth file",
        **place,
    }
    names = ("gopro", "hide")
    local = (
        Published(name, psnr, None, "nafnet", "README of TLC (Chu et al. 2022)")
        for name, psnr in zip(names, by_windows, strict=True)
    )
    whole = (
        Published(name, *score, "mprnet", source) for name, score in zip(names, scores, strict=True)
    )
    return (
        PublishedWeights(name="gopro", hyperparameters={}, published=tuple(local), **options),
        PublishedWeights(
            name="gopro_global",
            hyperparameters={"window": None},
            published=tuple(whole),
            **options,
        ),
    )


def _maxim(name, folder, trained_on, published, digest=None):
    return PublishedWeights(
        network="maxim",
        name=name,
        hyperparameters={},
        trained_on=trained_on,
        published=tuple(
            Published(dataset, psnr, ssim, None, "Tu et al. 2022")
            for dataset, psnr, ssim in published
        ),
        licence="Apache-2.0",
        address=f"https://storage.googleapis.com/gresearch/maxim/ckpt/Deblurring/{folder}",
        layout="a Flax checkpoint, .npz",
        files={"checkpoint.npz": None},
        megabytes=89,
        digest=digest,
    )


_DMPHN_CHECKPOINTS = (
    "https://raw.githubusercontent.com/HongguangZhang/DMPHN-cvpr19-master/"
    "9fff261daca8beb0cbaaa0b64df4239b5a05dd17/checkpoints"
)
# SDNet3 also has files of a fourth network there, which a stack of three does not use.
_SHA256SUMS = pathlib.Path(__file__).with_name("dmphn.sha256").read_text()

CATALOGUE = (
    _dmphn("gopro", "DMPHN_1_2_4_8", {"patches": (1, 2, 4, 8)}, RECIPES["dmphn_1_2_4_8"].published),
    _dmphn("gopro_1_2_4", "DMPHN_1_2_4", {"patches": (1, 2, 4)}),
    _dmphn("gopro_stack2", "SDNet2", {"patches": (1, 2, 4), "stacks": 2}),
    _dmphn("gopro_stack3", "SDNet3", {"patches": (1, 2, 4), "stacks": 3}),
    _dmphn(
        "gopro_stack4",
        "SDNet4",
        {"patches": (1, 2, 4), "stacks": 4},
        RECIPES["dmphn_stack4"].published,
    ),
    _deepdeblur(
        "gopro", "1AfZhyUXEA8_UdZco9EdtpWjTBAb8BbWv", "gopro/blur_gamma", "gopro", 30.40, 0.9018
    ),
    _deepdeblur(
        "gopro_mixed_precision",
        "1ZcP3l2ZXj-C6yrDge5d3UxcaAKRN725w",
        "gopro/blur_gamma",
        "gopro",
        30.42,
        0.9021,
    ),
    _deepdeblur("reds", "1UwFNXnGBz2rCBxhvq2gKt9Uhj5FeEsa4", "reds/blur", "reds", 32.89, 0.9207),
    _deepdeblur(
        "reds_mixed_precision",
        "1do_HOjVFj2AYTX4BbwQ0enELRWtzhW6F",
        "reds/blur",
        "reds",
        32.95,
        0.9209,
    ),
    _deepdeblur(
        "gopro_reds_mixed_precision",
        "1BkEgUrFtOSymVnaADfptOvqfNOYiD3J1",
        "gopro/blur_gamma, then reds/blur",
        "reds",
        33.13,
        0.9237,
    ),
    _mimo_unet("mimo_unet", "gopro", "1EQJoQj3YMLFfzrbgzWMD3Xj96RqLdIlx", "mimo_unet"),
    _mimo_unet("mimo_unet_plus", "gopro", "166sufeHcdDTgXHNbCRzTC4T6DzuflB5m", "mimo_unet_plus"),
    _mimo_unet(
        "mimo_unet_plus", "realblur", "1N3n-ozw1twt96ohX4tjsSAIcHrlNwHZ7", "mimo_unet_plus_realblur"
    ),
    _srn("gopro", "lstm", (Published("gopro", 30.19, 0.9334, "srn", "README of SRN-Deblur"),)),
    _srn("gopro_gray", "gray", ()),
    _srn(
        "gopro_color",
        "color",
        RECIPES["srn_color"].published,
    ),
    _pss_nsc("gopro", "default", "gopro/blur", RECIPES["pss_nsc"].published),
    _pss_nsc("alldata", "alldata", "gopro/blur and pairs that the authors made"),
    PublishedWeights(
        network="deblurgan",
        name="gopro",
        hyperparameters={},
        trained_on=f"gopro at half size (the paper's Wild; the blur variant is {NOT_STATED})",
        # The authors restore with dropout on: their outputs are random.
        published=(Published("gopro", 27.2, 0.954, None, "Kupyn et al. 2018, Wild"),),
        licence="BSD",
        address="https://github.com/KupynOrest/DeblurGAN",
        layout="latest_net_G.pth; the link to it has been dead since 2020",
        files={"model.pth": None},
        by_hand=True,
    ),
    _deblurgan_v2(
        "gopro",
        "mobilenet",
        64,
        "fpn_mobilenet.h5",
        "1JhnT4BBeKBBSLqTo6UsJ13HeBXevarrU",
        28.17,
        0.925,
    ),
    _deblurgan_v2(
        "gopro_inception",
        "inception",
        128,
        "fpn_inception.h5",
        "1UXcsRVW-6KF23_TNzxw-xC0SzaMfXOaR",
        29.55,
        0.934,
    ),
    # All with means over windows of 384 pixels, which restoring uses too.
    _nafnet(
        "gopro", 32, "1Fr2QadtDCEXg6iwWX8OzeZLbHOx2t5Bj", "gopro/blur", ("gopro", 32.87, 0.9606)
    ),
    _nafnet(
        "gopro_width64",
        64,
        "1S0PVRbyTakYY9a82kujgZLbMihfNBLfC",
        "gopro/blur",
        ("gopro", 33.71, 0.9668),
    ),
    _nafnet(
        "reds_width64",
        64,
        "14D4V4raNYIOhETfcuuLI3bGLB-OYIv6X",
        "reds/blur_jpeg",
        ("reds", 29.09, 0.8671),
    ),
    *_global_and_local(
        "restormer",
        ((32.92, 0.961), (31.22, 0.942), "Zamir et al. 2022, table 2"),
        (33.57, 31.49),
        address="https://github.com/swz30/Restormer/releases/download/v1.0",
        files={"motion_deblurring.pth": None},
    ),
    *_global_and_local(
        "mprnet",
        ((32.66, 0.959), (30.96, 0.939), "Zamir et al. 2021, table 3"),
        (33.31, 31.19),
        address="https://drive.google.com/file/d/1QwQUVbk6YVOJViCsOKYNykCsdJSVGRtb/view",
        files={"model.pth": None},
        by_hand=True,
    ),
    # 31.15 dB, 0.945 on GOPRO and 29.15 dB, 0.918 on HIDE, by a protocol that is not stated.
    PublishedWeights(
        network="mt_rnn",
        name="gopro",
        hyperparameters={},
        trained_on="gopro, blurred to several degrees",
        published=(),
        licence=NOT_STATED,
        address="https://github.com/Dong1P/MTRNN",
        layout="the file model_best.pt",
        files={"model.pt": None},
        by_hand=True,
    ),
    _maxim(
        "gopro",
        "GoPro",
        "gopro/blur",
        [("gopro", 32.86, 0.961), ("hide", 32.83, 0.956)],
        digest="f79b1c20e310ccb3b7a0f0fdb25a8d2a9a5037360c7f732bc70ac0840b121062",
    ),
    _maxim("reds", "REDS", "reds/blur_jpeg", [("reds", 28.93, 0.865)]),
    _maxim("realblur_r", "RealBlur_R", "realblur/r", [("realblur/r", 39.45, 0.962)]),
    _maxim("realblur_j", "RealBlur_J", "realblur/j", [("realblur/j", 32.84, 0.935)]),
)
