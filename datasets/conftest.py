"""Fixtures for the tests of builders whose dummy data are archives."""

import io
import zipfile

import pytest
import tensorflow_datasets as tfds
from PIL import Image


@pytest.fixture
def dummy_files(request):
    """The contents of the archives in the dummy data beside the test: {path: bytes}."""
    files = {}
    for path in sorted(request.path.parent.glob("dummy_data/*.zip")):
        with zipfile.ZipFile(path) as archive:
            files |= {name: archive.read(name) for name in archive.namelist()}
    return files


@pytest.fixture
def build(tmp_path):
    """Builds a dataset from files put in the manual directory.

    Returns a function of the builder's name, the config and {path: bytes}. It returns the examples
    of each split, images as the bytes of their files.
    """

    def build(name, config, files):
        for path, content in files.items():
            (tmp_path / "manual" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "manual" / path).write_bytes(content)
        builder = tfds.builder(name, config=config, data_dir=tmp_path / "data")
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "manual")
        )
        images = {"blurry", "sharp", "frames"} & set(builder.info.features)
        decoders = {feature: tfds.decode.SkipDecoding() for feature in images}
        return {
            split: list(tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)))
            for split in builder.info.splits
        }

    return build


@pytest.fixture
def larger():
    """A function that gives the PNG file of an image one pixel wider, from its bytes."""

    def larger(content):
        with Image.open(io.BytesIO(content)) as image:
            buffer = io.BytesIO()
            image.resize((image.width + 1, image.height)).save(buffer, "PNG")
        return buffer.getvalue()

    return larger
