"""RealBlur: pairs of real photographs, taken at once through a beam splitter, at night."""

import dataclasses
import pathlib
import re
from typing import ClassVar

import tensorflow_datasets as tfds

from tfdeblur.errors import InputError
from tfdeblur.preparation import archives, builders

FOLDERS = {
    "J": "RealBlur-J_ECC_IMCORR_centroid_itensity_ref",
    "R": "RealBlur-R_BM3D_ECC_IMCORR_centroid_itensity_ref",
}


@dataclasses.dataclass(kw_only=True)
class RealBlurConfig(tfds.core.BuilderConfig):
    """The photographs as the cameras' JPEG files or as developed from their raw files.

    Attributes:
        source: "J", JPEG, or "R", raw.
        pairs: how many there are, by split.
    """

    source: str
    pairs: dict[str, int] = dataclasses.field(default_factory=lambda: {"train": 3758, "test": 980})


class Builder(builders.ParallelBuilder):
    """Reads RealBlur as its authors published it, or a copy of its test split."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        RealBlurConfig(name="j", description="RealBlur-J: the cameras' JPEG files.", source="J"),
        RealBlurConfig(name="r", description="RealBlur-R: developed from raw files.", source="R"),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put RealBlur.tar.gz (from https://github.com/rimchang/RealBlur) there, or the folders "
        f"and lists in it: {FOLDERS['J']} with RealBlur_J_train_list.txt and "
        f"RealBlur_J_test_list.txt, {FOLDERS['R']} with RealBlur_R_train_list.txt and "
        "RealBlur_R_test_list.txt; or a copy of the test split as RealBlur_J/test/input and "
        "RealBlur_J/test/target, likewise RealBlur_R."
    )
    pkg_dir_path = pathlib.Path(__file__).parent  # see dead_leaves

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "blurry": builders.png(),
                    "sharp": builders.png(),
                    "name": tfds.features.Text(doc="scene_number, such as scene230_7."),
                }
            ),
            supervised_keys=("blurry", "sharp"),
            homepage="http://cg.postech.ac.kr/research/RealBlur/",
            license="CC BY 4.0",
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        splits = _published_pairs(dl_manager, config.source) or builders.find_pairs(
            dl_manager, f"(?i:RealBlur[_-]?{config.source})", f"RealBlur_{config.source}"
        )
        if not splits:
            raise builders.not_found(self, dl_manager)
        for split, pairs in splits.items():
            builders.check_count(pairs, config.pairs[split], f"RealBlur-{config.source}/{split}")
        return {split: self._generate_examples(splits[split]) for split in splits}

    def _generate_examples(self, pairs):
        return self.examples(_read, pairs.items())


def _published_pairs(dl_manager, source):
    """The pairs by split, as the lists say; empty where there is no published folder."""
    folder = FOLDERS[source]
    image = re.compile(rf"{folder}/(\w+/(?:gt/gt|blur/blur)_\d+\.png)")
    images = builders.find_manually(dl_manager, image, "RealBlur")
    if not images:
        return {}
    lists = builders.find_manually(
        dl_manager, re.compile(rf"RealBlur_{source}_(train|test)_list\.txt"), "RealBlur"
    )
    if len(lists) < 2:
        place = next(iter(images.values())).source.path
        raise InputError(
            f"{place} holds {folder}, but not both of RealBlur_{source}_train_list.txt and "
            f"RealBlur_{source}_test_list.txt: put them beside that folder."
        )
    return {split: _listed_pairs(images, file, folder) for (split,), file in lists.items()}


def _listed_pairs(images, file, folder):
    """The pairs that a list names, each line as "gt blur"."""
    lines = [line.split() for line in file.read().decode().splitlines() if line.strip()]
    names = [[(name.removeprefix(f"{folder}/"),) for name in line] for line in lines]
    if any(len(line) != 2 for line in names):
        raise InputError(f"{file} has lines other than 'gt blur': get it again.")
    builders.select(images, [name for line in names for name in line], f"the images of {file}")
    return {_name(blurry): (images[blurry], images[sharp]) for sharp, blurry in names}


def _name(key):
    """scene230/blur/blur_7.png -> scene230_7"""
    scene, _, file = key[0].split("/")
    return f"{scene}_{file.removeprefix('blur_').removesuffix('.png')}"


def _read(job):
    name, (blurry, sharp) = job
    return name, {**archives.read_pair(blurry, sharp), "name": name}
