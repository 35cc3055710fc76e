import dataclasses
import functools
import http.server
import pathlib
import threading

import pytest
import tensorflow_datasets as tfds

from tfdeblur.datasets.reds import reds_dataset_builder as reds
from tfdeblur.errors import InputError

DUMMY_DATA = pathlib.Path(__file__).parent / "dummy_data"
BLUR, COMP, JPEG = (
    dataclasses.replace(
        config, name=f"tiny_{config.name}", sequences={"train": 2, "validation": 1}, frames=2
    )
    for config in reds.Builder.BUILDER_CONFIGS
)


class RedsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = reds.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (BLUR, COMP, JPEG)
    SPLITS = {"train": 4, "validation": 2}  # noqa: RUF012
    EXAMPLE_DIR = DUMMY_DATA


def of(files, *parts):
    return {name: files[name] for name in files if name.split("/")[1] in parts}


def test_the_published_counts_are_expected():
    for config in reds.Builder.BUILDER_CONFIGS:
        assert config.name == config.blur
        assert (config.sequences, config.frames) == ({"train": 240, "validation": 30}, 100)


LAYOUTS = {
    "extracted archives": lambda path: path,
    "the folders alone": lambda path: path.partition("/")[2],
    "in a folder REDS": lambda path: "REDS/" + path,
    "frames flattened": lambda path: path.replace("/0000", "_0000"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(build, dummy_files, layout):
    parts = ("train_blur", "train_sharp", "val_blur", "val_sharp")
    files = {LAYOUTS[layout](name): content for name, content in of(dummy_files, *parts).items()}
    splits = build("reds", BLUR, files)

    assert {split: len(splits[split]) for split in splits} == {"train": 4, "validation": 2}
    for split, folder in (("train", "train"), ("validation", "val")):
        for example in splits[split]:
            place = f"{example['sequence'].decode()}/{example['frame']:08d}.png"
            assert example["blurry"] == dummy_files[f"{folder}/{folder}_blur/{place}"]
            assert example["sharp"] == dummy_files[f"{folder}/{folder}_sharp/{place}"]


def test_the_bytes_of_jpeg_files_are_kept(build, dummy_files):
    for example in build("reds", JPEG, dummy_files)["train"]:
        place = f"{example['sequence'].decode()}/{example['frame']:08d}"
        assert example["blurry"] == dummy_files[f"train/train_blur_jpeg/{place}.jpg"]
        assert example["sharp"] == dummy_files[f"train/train_sharp/{place}.png"]


def test_only_the_split_that_is_there_is_built(build, dummy_files):
    splits = build("reds", BLUR, of(dummy_files, "val_blur", "val_sharp"))
    assert {split: len(splits[split]) for split in splits} == {"validation": 2}


@pytest.fixture
def server(monkeypatch):
    """Serves the dummy data where the published archives would be; yields the paths asked for."""
    requested = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *_):
            requested.append(self.path)

    handler = functools.partial(Handler, directory=DUMMY_DATA)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(reds, "URL", f"http://127.0.0.1:{server.server_port}/")
        yield requested
        server.shutdown()


def test_everything_is_downloaded_where_nothing_is_there(build, server):
    splits = build("reds", COMP, {})
    assert {split: len(splits[split]) for split in splits} == {"train": 4, "validation": 2}
    assert sorted(server) == [
        f"/{name}.zip" for name in ("train_blur_comp", "train_sharp", "val_blur_comp", "val_sharp")
    ]


def test_the_missing_part_of_a_split_is_downloaded(build, server, dummy_files):
    splits = build("reds", BLUR, of(dummy_files, "val_sharp"))
    assert {split: len(splits[split]) for split in splits} == {"validation": 2}
    assert server == ["/val_blur.zip"]


def test_a_failed_download_says_what_to_do(build, server, monkeypatch, dummy_files):
    monkeypatch.setattr(reds, "URL", f"{reds.URL}nowhere/")
    with pytest.raises(InputError, match=r"nowhere/val_blur\.zip could not be.*put val_blur\.zip"):
        build("reds", BLUR, of(dummy_files, "val_sharp"))


def test_a_missing_frame_is_named(build, dummy_files):
    del dummy_files["train/train_sharp/001/00000001.png"]
    with pytest.raises(InputError, match=r"train_sharp: 001/00000001 missing"):
        build("reds", BLUR, dummy_files)


def test_missing_sequences_are_counted(build, dummy_files):
    files = {name: dummy_files[name] for name in dummy_files if "train_blur/" not in name}
    files["train/train_blur/001/00000001.png"] = b""
    with pytest.raises(InputError, match=r"train_blur: 000/00000000, .* missing \(4 are expected"):
        build("reds", BLUR, files)


@pytest.mark.parametrize(
    ("part", "damage", "message"),
    [
        ("train_blur/000/00000001.png", lambda x: x[:-20], "no whole image"),
        ("train_sharp/000/00000001.png", lambda x: b"text", "no whole image"),
        ("train_blur_jpeg/000/00000001.jpg", lambda x: x[:-100], "no whole image"),
    ],
)
def test_a_damaged_file_is_named(build, dummy_files, part, damage, message):
    dummy_files[f"train/{part}"] = damage(dummy_files[f"train/{part}"])
    with pytest.raises(InputError, match=f"{part}.*{message}"):
        build("reds", JPEG if part.endswith("jpg") else BLUR, dummy_files)


def test_a_pair_of_two_sizes_is_refused(build, dummy_files, larger):
    name = "val/val_sharp/000/00000000.png"
    dummy_files[name] = larger(dummy_files[name])
    with pytest.raises(InputError, match=r"val_blur/000/00000000\.png has 12x8 pixels, .* 13x8"):
        build("reds", BLUR, dummy_files)


if __name__ == "__main__":
    tfds.testing.test_main()
