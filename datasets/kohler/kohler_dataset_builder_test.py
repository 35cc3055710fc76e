import dataclasses
import io
import pathlib

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds
from PIL import Image

from tfdeblur.datasets.kohler import kohler_dataset_builder as kohler
from tfdeblur.errors import InputError

DEFAULT = kohler.Builder.BUILDER_CONFIGS[0]
TINY = dataclasses.replace(DEFAULT, name="tiny", images=1, trajectories=3, frames=3)
FRAMES = {1: range(1, 4), 2: range(1, 5), 3: [*range(1, 30), 31]}  # in the dummy data


class KohlerTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = kohler.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (TINY,)
    SPLITS = {"test": 3}  # noqa: RUF012
    EXAMPLE_DIR = pathlib.Path(__file__).parent / "dummy_data"


def frame(trajectory, number):
    return f"Image1/Kernel{trajectory}/GroundTruth1_{trajectory}_{number}.png"


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def mat_file(array, name="GroundTruth"):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {name: array}, do_compression=True)
    return buffer.getvalue()


@pytest.fixture
def mat_files(dummy_files):
    """The dummy data with MATLAB files, in which frame 30 of (1, 3) is black."""
    files = {name: dummy_files[name] for name in dummy_files if name.startswith("Blurry")}
    for trajectory, numbers in FRAMES.items():
        frames = [pixels(dummy_files[frame(trajectory, n)]) for n in numbers]
        if trajectory == 3:
            frames.insert(29, np.zeros_like(frames[0]))
        array = np.stack(frames, axis=-1)
        files[f"groundTruthMatFiles/GroundTruth1_{trajectory}.mat"] = mat_file(array)
    return files


def test_the_published_counts_are_expected():
    assert (DEFAULT.images, DEFAULT.trajectories, DEFAULT.frames) == (4, 12, 198)


LAYOUTS = {
    "extracted archives": lambda path: path,
    "a folder for each archive": lambda path: f"GroundTruth_pngs_Image1/{path}",
    "a folder for each trajectory": lambda path: "{0}/{0}_{1}".format(*split(path)),
    "folders and numbers alone": lambda path: "{}/{}".format(*split(path)),
    "all files in a folder": lambda path: pathlib.Path(path).name,
}


def split(path):
    """Image1/Kernel3/GroundTruth1_3_7.png -> GroundTruth1_3, 7.png"""
    return pathlib.Path(path).name.rsplit("_", 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_png_files_are_kept(build, dummy_files, layout):
    files = {
        LAYOUTS[layout](name) if "Kernel" in name else f"BlurryImages/{name}": content
        for name, content in dummy_files.items()
    }
    (examples,) = build("kohler", TINY, files).values()

    assert {(int(x["image"]), int(x["trajectory"])) for x in examples} == {(1, 1), (1, 2), (1, 3)}
    for x in examples:
        trajectory = int(x["trajectory"])
        assert x["blurry"] == dummy_files[f"Blurry1_{trajectory}.png"]
        expected = [dummy_files[frame(trajectory, n)] for n in FRAMES[trajectory]]
        assert list(x["frames"]) == expected


def test_frames_that_the_evaluation_leaves_out_are_left_out(build, dummy_files):
    content = dummy_files[frame(3, 31)]
    dummy_files |= {frame(3, n): content for n in (30, *range(32, 200))}
    (examples,) = build("kohler", TINY, dummy_files).values()
    frames = {int(x["trajectory"]): len(x["frames"]) for x in examples}
    assert frames == {1: 3, 2: 4, 3: 197}  # 1 to 29 and 31 to 198


def test_matlab_files_give_the_same_pixels(build, dummy_files, mat_files):
    (examples,) = build("kohler", TINY, mat_files).values()
    for x in examples:
        trajectory = int(x["trajectory"])
        for content, n in zip(x["frames"], FRAMES[trajectory], strict=True):
            np.testing.assert_array_equal(
                pixels(content), pixels(dummy_files[frame(trajectory, n)])
            )


def test_frames_are_decoded_as_one_tensor(tmp_path):
    builder = tfds.builder("kohler", config=TINY, data_dir=tmp_path)
    config = tfds.download.DownloadConfig(manual_dir=KohlerTest.EXAMPLE_DIR)
    builder.download_and_prepare(download_config=config)
    shapes = {
        int(x["trajectory"]): x["frames"].shape
        for x in tfds.as_numpy(builder.as_dataset(split="test"))
    }
    assert shapes == {1: (3, 8, 12, 3), 2: (4, 8, 12, 3), 3: (30, 8, 12, 3)}
    assert builder.info.supervised_keys is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MATLAB 7.3 MAT-file, Platform: ".ljust(124) + b"\x00\x02IM", "format 7.3, .*with -v7"),
        (b"no such file", "holds no array GroundTruth"),
        (mat_file(np.zeros((8, 12, 3, 4), np.uint8), "other"), "holds no array GroundTruth"),
        (mat_file(np.zeros((8, 12, 3, 4))), "uint8"),
        (mat_file(np.zeros((8, 12, 4), np.uint8)), r"holds uint8 \[8, 12, 4\]: uint8 \[height"),
        (mat_file(np.zeros((8, 12, 3, 2), np.uint8)), "GroundTruth1_2: 3 missing"),
        (mat_file(np.zeros((8, 13, 3, 4), np.uint8)), "12x8 pixels, .* ground truth 13x8"),
    ],
)
def test_a_bad_matlab_file_is_refused(build, mat_files, content, message):
    mat_files["groundTruthMatFiles/GroundTruth1_2.mat"] = content
    with pytest.raises(InputError, match=message):
        build("kohler", TINY, mat_files)


def test_a_truncated_matlab_file_is_refused(build, mat_files):
    name = "groundTruthMatFiles/GroundTruth1_2.mat"
    mat_files[name] = mat_files[name][: len(mat_files[name]) // 2]
    with pytest.raises(InputError, match=r"GroundTruth1_2\.mat holds no array"):
        build("kohler", TINY, mat_files)


def test_nothing_there(build):
    with pytest.raises(InputError, match=r"kohler: Manual directory .*Put BlurryImages\.zip and"):
        build("kohler", TINY, {})
    with pytest.raises(InputError, match=r"Nothing of it is in .*manual\. Put BlurryImages\.zip"):
        build("kohler", TINY, {"GOPRO/1.png": b""})


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("Blurry1_2.png", r"blurry images \(image/trajectory\): 1/2 missing"),
        ("Image1/Kernel2/", r"ground truth \(image/trajectory\): 1/2 missing"),
        ("Image1/", r"ground truth \(image/trajectory\): 1/1, 1/2, 1/3 missing"),
        (frame(2, 2), r"GroundTruth1_2: 2 missing"),
        (frame(1, 3), r"GroundTruth1_1: 3 missing"),
    ],
)
def test_missing_files_are_named(build, dummy_files, lost, message):
    files = {name: dummy_files[name] for name in dummy_files if not name.startswith(lost)}
    assert len(files) < len(dummy_files)
    with pytest.raises(InputError, match=message):
        build("kohler", TINY, files)


def test_frames_numbered_from_0_are_refused(build, dummy_files):
    dummy_files[frame(1, 0)] = dummy_files[frame(1, 1)]
    with pytest.raises(InputError, match="number the frames from 1, not from 0"):
        build("kohler", TINY, dummy_files)


@pytest.mark.parametrize("name", ["Blurry1_2.png", frame(2, 3)])
def test_a_damaged_file_is_named(build, dummy_files, name):
    dummy_files[name] = dummy_files[name][:-10]
    with pytest.raises(InputError, match=f"{name} is no whole image"):
        build("kohler", TINY, dummy_files)


def test_a_frame_of_another_size_is_refused(build, dummy_files, larger):
    dummy_files[frame(2, 3)] = larger(dummy_files[frame(2, 3)])
    with pytest.raises(InputError, match=r"Blurry1_2\.png has 12x8 pixels, .* ground truth 13x8"):
        build("kohler", TINY, dummy_files)


if __name__ == "__main__":
    tfds.testing.test_main()
