import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tfdeblur.datasets.moving_stills import moving_stills_dataset_builder as moving_stills
from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.preparation.moving_stills import RESPONSES, Options, render_pair

TINY = moving_stills.MovingStillsConfig(
    name="tiny", description="For tests.", pairs_per_photo=2, options=Options(size=24)
)


class MovingStillsTest(tfds.testing.DatasetBuilderTestCase):
    # The dummy data are three tiny photographs, written by `write_dummy_data`.
    DATASET_CLASS = moving_stills.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (TINY,)
    SPLITS = {"train": 4, "test": 2}  # noqa: RUF012
    EXAMPLE_DIR = pathlib.Path(__file__).parent / "dummy_data"


def write_dummy_data():
    write(pathlib.Path(__file__).parent / "dummy_data" / "moving_stills", "abc", 36, 32)


def write(folder, names, width=64, height=48):
    """Writes a photograph of blobs of colour for each name."""
    for seed, name in enumerate(names):
        coarse = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
        photo = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        images.write(folder / f"{name}.png", np.asarray(photo))
    return folder


def build(data_dir, photos, download_config=None, **options):
    """Builds in data_dir; returns the examples by split."""
    options = {"pairs_per_photo": 3, "options": Options(size=32)} | options
    config = moving_stills.MovingStillsConfig(name="mine", photos=photos, **options)
    builder = tfds.builder("moving_stills", config=config, data_dir=data_dir)
    builder.download_and_prepare(download_config=download_config)
    return {
        split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits
    }


def test_examples_are_what_is_rendered_from_their_photographs(tmp_path):
    folder = write(tmp_path / "photos", "abc")
    splits = build(tmp_path, folder)
    names = {split: {x["photo"].decode() for x in xs} for split, xs in splits.items()}
    assert {split: len(xs) for split, xs in splits.items()} == {"train": 6, "test": 3}
    assert names["train"] | names["test"] == {"a.png", "b.png", "c.png"}
    assert not names["train"] & names["test"]
    # Of three photographs, two are for training: the cut-outs of one come from the other.
    first, second = sorted(names["train"])
    others = {first: second, second: first} | {name: name for name in names["test"]}
    for example in splits["train"] + splits["test"]:
        name = example["photo"].decode()
        pair = [images.read(folder / file) for file in (name, others[name])]
        blurry, sharp, frames = render_pair(*pair, int(example["seed"]), Options(size=32))
        np.testing.assert_array_equal(example["blurry"], blurry)
        np.testing.assert_array_equal(example["sharp"], sharp)
        assert example["frames"] == frames


def test_all_pairs_of_a_photograph_differ(tmp_path):
    (examples, _) = build(tmp_path, write(tmp_path / "photos", "ab"), pairs_per_photo=5).values()
    assert len({x["blurry"].tobytes() for x in examples}) == 5
    assert len({int(x["seed"]) for x in examples}) == 5


def test_photographs_in_the_manual_directory_need_no_folder(tmp_path):
    folder = write(tmp_path / "manual" / "moving_stills", "ab")
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "manual")
    found = build(tmp_path / "found", None, config)
    named = build(tmp_path / "named", folder)
    assert [x["blurry"].tobytes() for x in found["train"]] == [
        x["blurry"].tobytes() for x in named["train"]
    ]
    for config in moving_stills.Builder.BUILDER_CONFIGS:
        assert config.photos is None
        if config.name == "photographs":
            assert set(config.options.responses) == set(RESPONSES)
            assert config.options.highlights > 1 and config.options.jpeg
        else:
            size = {"size": 192} if config.name == "photographs_short" else {}
            assert config.options == Options(uniform=config.name == "uniform", **size)


@pytest.mark.slow
def test_beam_with_several_processes_makes_the_same_examples(tmp_path):
    beam = pytest.importorskip("apache_beam")
    options = beam.options.pipeline_options.PipelineOptions(
        ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    )
    folder = write(tmp_path / "photos", "abc")
    plain = build(tmp_path / "plain", folder)
    parallel = build(tmp_path / "beam", folder, tfds.download.DownloadConfig(beam_options=options))
    assert plain.keys() == parallel.keys()
    for split, examples in plain.items():
        assert len(examples) == len(parallel[split]) > 0
        for a, b in zip(examples, parallel[split], strict=True):
            assert a.keys() == b.keys()
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])


def test_without_a_test_share_all_photographs_are_for_training(tmp_path):
    splits = build(tmp_path, write(tmp_path / "photos", "a"), test_share=0)
    assert {split: len(xs) for split, xs in splits.items()} == {"train": 3}


def test_options_may_be_given_on_the_command_line():
    config = moving_stills.MovingStillsConfig(name="mine", options={"size": 32, "speed": 200})
    assert config.options == Options(size=32, speed=200)


def test_a_broken_photograph_is_named_and_nothing_is_built(tmp_path):
    folder = write(tmp_path / "photos", "abc")
    content = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(content[:-200])
    with pytest.raises(InputError, match=r"b\.png cannot be read"):
        build(tmp_path, folder)
    assert not list(tmp_path.glob("moving_stills/mine/1.0.0"))


def test_a_photograph_that_is_too_small_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.png has 64x48 pixels, too few"):
        build(tmp_path, write(tmp_path / "photos", "ab"), options=Options(size=64))


def test_a_manual_directory_that_is_missing_is_refused(tmp_path):
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "none")
    with pytest.raises(
        InputError,
        match=r"^moving_stills: Manual directory .*none does not .* Put photo",
    ):
        build(tmp_path, None, config)


@pytest.mark.parametrize(
    ("option", "value"), [("pairs_per_photo", 0), ("test_share", 1.0), ("test_share", -0.1)]
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option} is"):
        moving_stills.MovingStillsConfig(name="mine", **{option: value})


def test_readme_and_citations_are_found():
    metadata = moving_stills.Builder.get_metadata()
    assert "photographs" in metadata.description
    assert "Nah" in metadata.citation


if __name__ == "__main__":
    tfds.testing.test_main()
