"""HIDE: 240 fps video of people who walk and run, averaged to pairs of blurry and sharp images."""

import collections
import dataclasses
import pathlib
import re
from typing import ClassVar

import tensorflow_datasets as tfds

from tfdeblur.preparation import archives, builders

PUBLISHED = re.compile(
    r"HIDE(?:_dataset)?/(?:(train|test)(?:/test-close-ups|/test-long-shot)?|GT)/([^/]+)\.png"
)


@dataclasses.dataclass(kw_only=True)
class HideConfig(tfds.core.BuilderConfig):
    """The dataset.

    Attributes:
        pairs: how many there are, by split.
    """

    pairs: dict[str, int] = dataclasses.field(default_factory=lambda: {"train": 6397, "test": 2025})


class Builder(builders.ParallelBuilder):
    """Reads HIDE as its authors published it, or a copy of its test split."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [HideConfig(name="default", description="All pairs.")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put HIDE_dataset.zip (from https://github.com/joanshen0508/HA_deblur) or the extracted "
        "folder HIDE_dataset there, or a copy of the test split as HIDE/test/input and "
        "HIDE/test/target."
    )
    pkg_dir_path = pathlib.Path(__file__).parent  # see dead_leaves

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "blurry": builders.png(),
                    "sharp": builders.png(),
                    "name": tfds.features.Text(doc="The name of the files, without suffix."),
                }
            ),
            supervised_keys=("blurry", "sharp"),
            homepage="https://github.com/joanshen0508/HA_deblur",
        )

    def _split_generators(self, dl_manager):
        names = "HIDE_dataset", "HIDE"
        published = builders.find_manually(dl_manager, PUBLISHED, *names)
        splits = _published_pairs(published) or builders.find_pairs(dl_manager, "HIDE", *names)
        if not splits:
            raise builders.not_found(self, dl_manager)
        for split, pairs in splits.items():
            builders.check_count(pairs, self.builder_config.pairs[split], f"HIDE/{split}")
        return {split: self._generate_examples(splits[split]) for split in splits}

    def _generate_examples(self, pairs):
        return self.examples(_read, pairs.items())


def _published_pairs(found):
    """The pairs by split; the folder GT holds the sharp images of both splits."""
    splits = collections.defaultdict(dict)
    for (split, name), file in found.items():
        splits[split][name] = file
    sharp = splits.pop(None, {})
    return {
        split: {
            name: (blurry[name], file)
            for name, file in builders.select(sharp, blurry, f"HIDE's GT for {split}").items()
        }
        for split, blurry in splits.items()
    }


def _read(job):
    name, (blurry, sharp) = job
    return name, {**archives.read_pair(blurry, sharp), "name": name}
