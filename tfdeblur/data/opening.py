"""Opening datasets of TFDS, for training, for evaluation, and only to count their examples."""

import contextlib
import sys

from tfdeblur import files
from tfdeblur.errors import InputError, did_you_mean

MEASURED_SPLITS = ("test", "validation")  # what a dataset's published scores may be of


def find_builder(name, data_dir=None):
    """The builder of a dataset, which need not be built.

    Args:
        name: such as "dead_leaves" or "gopro/blur_gamma", of ours or any that TFDS knows.
        data_dir: where TFDS keeps its datasets; None: its default.

    Raises:
        InputError: TFDS knows no dataset, or no config, of this name.
    """
    import tensorflow_datasets as tfds

    import tfdeblur.datasets  # registers our builders

    try:
        return tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        names = [x.removesuffix("_dataset_builder") for x in tfdeblur.datasets.__all__]
        dataset, _, config = name.partition("/")
        if config and dataset in names:
            names = [f"{dataset}/{x.name}" for x in tfds.builder_cls(dataset).BUILDER_CONFIGS]
        raise InputError(
            f"the dataset {name} (of the recipe, or `dataset`) is unknown to TFDS. tfdeblur brings "
            f"{', '.join(names)}; or give your own pairs, `blurry_dir` and `sharp_dir`."
            + did_you_mean(name, names)
        ) from error


def open_dataset(name, split, data_dir=None, manual_dir=None):
    """The builder of a dataset, built where it had not been, and how many examples a split has.

    Of several processes one builds, and the others wait for it.

    Args:
        name, data_dir: see `find_builder`.
        split: such as "train", "test" or "train[:10%]"; see `measured_split`.
        manual_dir: where files are that the user has downloaded; None: TFDS's default, below
            `data_dir`.

    Raises:
        InputError: unknown dataset or split, or files to build it are missing or broken.
    """
    import tensorflow_datasets as tfds

    builder = find_builder(name, data_dir)
    if is_built(builder):
        return builder, count_examples(builder, split)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    try:
        with files.locked(builder.data_path, waiting=True):
            builder = find_builder(name, data_dir)  # another process may just have built it
            with _progress_for_terminals():
                builder.download_and_prepare(download_config=config)
    # No network, no space (TFDS has its own kind of error for it), no permission.
    except (OSError, RuntimeError) as error:
        raise InputError(f"`dataset={name}` could not be built in `data_dir`: {error}") from error
    return builder, count_examples(builder, split)


@contextlib.contextmanager
def _progress_for_terminals():
    """Elsewhere TFDS would write a line for each example."""
    import tensorflow_datasets as tfds

    if sys.stderr is None or sys.stderr.isatty():
        yield
        return
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()


def is_built(builder):
    """Whether a dataset need not be built, nor anything downloaded for it."""
    return builder.data_path.exists() and builder.is_prepared()


def count_examples(builder, split):
    """How many examples a split of a built dataset has.

    Raises:
        InputError: there is no such split.
    """
    try:
        return builder.info.splits[measured_split(builder, split)].num_examples
    except (KeyError, ValueError) as error:
        raise InputError(f"`dataset={builder.name}` has no split {split!r}: {error}") from error


def measured_split(builder, split="test"):
    """A split of a built dataset; "test" is "validation" where there is no other, as in REDS."""
    splits = builder.info.splits
    secret = split == "test" and "test" not in splits and "validation" in splits
    return "validation" if secret else split


def pair_keys(builder):
    """The features that hold the blurry and the sharp image of each example.

    Raises:
        InputError: it has no such pairs; the message names the configs that do.
    """
    if not _has_pairs(builder):
        name = builder.name
        others = [
            f"{name}/{config.name}"
            for config in builder.BUILDER_CONFIGS
            if _has_pairs(type(builder)(config=config))
        ]
        choice = f"choose {' or '.join(others)}" if others else "choose another dataset"
        raise InputError(
            f"`dataset={_full_name(builder)}` has no pairs of a blurry and a sharp image: {choice}."
        )
    return builder.info.supervised_keys


def read_encoded(builder, split, keys):
    """Dataset of the examples of a split in their order, with the images `keys` still encoded.

    "tfds_id" of each names it.
    """
    import tensorflow_datasets as tfds

    return builder.as_dataset(
        split=split,
        decoders={key: tfds.decode.SkipDecoding() for key in keys},
        read_config=tfds.ReadConfig(
            interleave_cycle_length=1, add_tfds_id=True, try_autocache=False
        ),
    )


def _has_pairs(builder):
    import tensorflow_datasets as tfds

    keys = builder.info.supervised_keys
    return bool(keys) and all(
        isinstance(builder.info.features[key], tfds.features.Image) for key in keys
    )


def dataset_name(builder):
    """Without the version, and without the config where it is the only one: "gopro/blur"."""
    return builder.info.full_name.rpartition("/")[0].removesuffix("/default")


def _full_name(builder):
    config = builder.builder_config
    return f"{builder.name}/{config.name}" if config else builder.name
