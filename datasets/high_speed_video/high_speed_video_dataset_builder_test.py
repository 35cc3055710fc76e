import pathlib

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from tfdeblur import blur
from tfdeblur.datasets.high_speed_video import high_speed_video_dataset_builder as high_speed_video
from tfdeblur.errors import InputError

TINY = high_speed_video.HighSpeedVideoConfig(
    name="tiny", description="For tests.", fps=240, frames_averaged=(7,)
)


class HighSpeedVideoTest(tfds.testing.DatasetBuilderTestCase):
    # The dummy data are a folder of 14 frames and a video of 21, written by `write_dummy_data`.
    DATASET_CLASS = high_speed_video.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (TINY,)
    SPLITS = {"train": 3, "test": 2}  # noqa: RUF012
    EXAMPLE_DIR = pathlib.Path(__file__).parent / "dummy_data"


def write_dummy_data():
    folder = pathlib.Path(__file__).parent / "dummy_data" / "high_speed_video"
    write_frames(folder / "frames", panned(14, height=24, width=32))
    write_video(folder / "video.mp4", panned(21, height=24, width=32))


def panned(count, height=48, width=64, speed=2, seed=0):
    """Frames of a camera that pans over blobs of colour: uint8 [count, height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4, (width + speed * count) // 4 + 1, 3), np.uint8)
    scene = PIL.Image.fromarray(coarse).resize((4 * coarse.shape[1], height))
    scene = np.asarray(scene)
    return np.stack([scene[:, i * speed : i * speed + width] for i in range(count)])


def write_frames(folder, frames):
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(frames):
        PIL.Image.fromarray(frame).save(folder / f"{i}.png")


def write_video(path, frames, fps=240, **options):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    height, width = frames[0].shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=fps, macro_block_size=1, quality=9, **options
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def build(data_dir, footage_dir, download_config=None, **options):
    """Builds in data_dir; returns the examples by split."""
    config = high_speed_video.HighSpeedVideoConfig(name="mine", footage=footage_dir, **options)
    builder = tfds.builder("high_speed_video", config=config, data_dir=data_dir)
    builder.download_and_prepare(download_config=download_config)
    return {
        split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits
    }


@pytest.fixture
def two_clips(tmp_path):
    for seed, name in enumerate(["a", "b"]):
        write_frames(tmp_path / "footage" / name, panned(30, seed=seed))
    return tmp_path / "footage"


@pytest.mark.parametrize("response", ["gamma", "linear"])
def test_examples_are_what_synthesis_makes_of_the_frames(tmp_path, two_clips, response):
    splits = build(tmp_path, two_clips, fps=240, response=response, frames_averaged=(5, 7))
    assert {split: len({x["clip"] for x in xs}) for split, xs in splits.items()} == {
        "train": 1,
        "test": 1,
    }
    for example in splits["train"] + splits["test"]:
        frames = panned(30, seed="ab".index(example["clip"].decode()))
        middle, half = example["frame"], example["frames"] // 2
        blurry, sharp = blur.synthesize(frames[middle - half : middle + half + 1], response)
        np.testing.assert_array_equal(example["blurry"], blurry)
        np.testing.assert_array_equal(example["sharp"], sharp)
        assert example["fps"] == 240


def test_videos_in_the_manual_directory_need_no_config(tmp_path):
    clips = {f"{i}.mp4": panned(26, seed=i, height=96, width=128) for i in range(2)}
    for name, frames in clips.items():
        write_video(tmp_path / "manual" / "high_speed_video" / name, frames)
    splits = tfds.load(
        "high_speed_video",
        data_dir=tmp_path,
        download_and_prepare_kwargs={
            "download_config": tfds.download.DownloadConfig(manual_dir=tmp_path / "manual")
        },
    )
    assert set(splits) == {"train", "test"}
    for example in [*tfds.as_numpy(splits["train"]), *tfds.as_numpy(splits["test"])]:
        middle, half = example["frame"], example["frames"] // 2
        frames = clips[example["clip"].decode()][middle - half : middle + half + 1]
        blurry, sharp = blur.synthesize(frames)
        assert np.abs(example["sharp"].astype(int) - sharp).mean() < 8
        assert np.abs(example["blurry"].astype(int) - blurry).mean() < 5
        assert example["fps"] == 240


@pytest.mark.slow
def test_beam_with_several_processes_makes_the_same_examples(tmp_path, two_clips):
    beam = pytest.importorskip("apache_beam")
    options = beam.options.pipeline_options.PipelineOptions(
        ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    )
    on_beam = tfds.download.DownloadConfig(beam_options=options)
    plain = build(tmp_path / "plain", two_clips, fps=240)
    parallel = build(tmp_path / "beam", two_clips, on_beam, fps=240)
    assert plain.keys() == parallel.keys()
    for split, examples in plain.items():
        assert len(examples) == len(parallel[split]) > 0
        for a, b in zip(examples, parallel[split], strict=True):
            assert a.keys() == b.keys()
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])


def test_without_a_test_share_all_clips_are_for_training(tmp_path, two_clips):
    splits = build(tmp_path, two_clips, fps=240, test_share=0)
    assert set(splits) == {"train"}
    assert {x["clip"] for x in splits["train"]} == {b"a", b"b"}


def test_static_footage_leaves_no_example_and_the_error_says_why(tmp_path):
    for name in ("a", "b"):
        write_frames(tmp_path / "footage" / name, np.repeat(panned(1), 20, axis=0))
    with pytest.raises(InputError, match="less moves than min_motion=2"):
        build(tmp_path, tmp_path / "footage", fps=240)
    assert build(tmp_path, tmp_path / "footage", fps=240, min_motion=0)["test"]


def test_a_broken_clip_is_named_and_nothing_is_built(tmp_path, two_clips):
    (two_clips / "b" / "17.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"b/17\.png cannot be read"):
        build(tmp_path, two_clips, fps=240)
    assert not list(tmp_path.glob("high_speed_video/mine/1.0.0"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("frames_averaged", ()),
        ("frames_averaged", (7, 8)),
        ("frames_averaged", (1,)),
        ("response", "log"),
        ("test_share", 1.0),
        ("stride", 0),
        ("height", -1),
        ("fps", 0),
    ],
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option} is"):
        high_speed_video.HighSpeedVideoConfig(name="mine", **{option: value})


def test_the_default_config_reads_the_manual_directory_as_gopro_was_made():
    (config,) = high_speed_video.Builder.BUILDER_CONFIGS
    assert config.footage is None and config.fps is None
    assert config.frames_averaged == (7, 9, 11, 13) and config.response == "gamma"


def test_a_manual_directory_without_footage_is_refused(tmp_path):
    (tmp_path / "manual" / "other").mkdir(parents=True)
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "manual")
    with pytest.raises(InputError, match="high_speed_video does not exist"):
        build(tmp_path, None, config)
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "none")
    with pytest.raises(InputError, match=r"^high_speed_video: Manual directory .*none does not"):
        build(tmp_path, None, config)


def test_readme_and_citations_are_found():
    metadata = high_speed_video.Builder.get_metadata()
    assert "footage" in metadata.description
    assert "Nah" in metadata.citation


if __name__ == "__main__":
    tfds.testing.test_main()
