"""The package as users install it: a wheel, without the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfdeblur.io import images

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that a wheel of this checkout has been installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "runs", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)  # setuptools leaves its build folder there
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--target", folder / "site", source]
    subprocess.run([*install, *options], check=True)
    return folder / "site"


def run(installed, arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(installed), "TFDS_DATA_DIR": str(cwd / "data")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_import_is_light_and_comes_from_the_wheel(installed, tmp_path):
    code = (
        "import sys, tfdeblur; print(tfdeblur.__file__); "
        "heavy = {'tensorflow_datasets', 'apache_beam', 'torch'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    result = run(installed, ["-c", code], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(installed / "tfdeblur" / "__init__.py")


def test_every_builder_builds_and_describes_itself(installed, tmp_path):
    code = (
        "import tensorflow_datasets as tfds, tfdeblur.datasets as d\n"
        "for name in d.__all__:\n"
        "    name = name.removesuffix('_dataset_builder')\n"
        "    builder = tfds.builder_cls(name)\n"
        "    assert builder.__module__.startswith('tfdeblur.datasets.'), builder.__module__\n"
        "    metadata = builder.get_metadata()\n"
        "    assert metadata.description and metadata.citation and metadata.tags, name\n"
        "    print(name)\n"
    )
    result = run(installed, ["-c", code], tmp_path)
    assert result.returncode == 0, result.stderr
    found = {path.parent.name for path in ROOT.glob("datasets/*/*_dataset_builder.py")}
    assert set(result.stdout.split()) == found


@pytest.mark.slow
def test_the_tests_of_the_builders_pass_without_the_checkout(installed, tmp_path):
    for test in ROOT.glob("datasets/*/*_dataset_builder_test.py"):
        shutil.copy(test, tmp_path)
        if (test.parent / "dummy_data").exists():
            shutil.copytree(test.parent / "dummy_data", tmp_path / test.parent.name / "dummy_data")
            shutil.move(tmp_path / test.name, tmp_path / test.parent.name)
    select = ["-k", "test_download_and_prepare_as_dataset"]
    options = ["-q", "-p", "no:cacheprovider", "-o", "python_files=*_test.py"]
    result = run(installed, ["-m", "pytest", *options, *select, "."], tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_the_commands_train_measure_and_restore_without_the_checkout(installed, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 80, 3), np.uint8)
    for folder in ("blurry", "sharp"):
        for number, image in enumerate(pixels):
            images.write(tmp_path / folder / f"{number}.png", image)
    model = "--model=runs/quickstart/model.keras"
    pairs = ["--blurry_dir=blurry", "--sharp_dir=sharp"]
    steps = ["--steps=2", "--batch_size=1", "--crop=64", "--validation=test"]
    for words, made in [
        (["train", *pairs, *steps], "runs/quickstart/saved_model/saved_model.pb"),
        (
            ["evaluate", *pairs, model, "--report=report"],
            "report/scores.csv",
        ),
        (["blurry/0.png", model, "--output=restored"], "restored/0.png"),
    ]:
        result = run(installed, ["-m", "tfdeblur", *words], tmp_path)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / made).is_file(), result.stdout
