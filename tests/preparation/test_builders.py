import itertools
import pathlib
import re
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdeblur.errors import InputError
from tfdeblur.preparation import builders

PATTERN = re.compile(r"(\d+)\.txt")


class NumberedTexts(builders.ParallelBuilder, skip_registration=True):
    """A builder with a manual source and with jobs that are expanded."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put texts there."
    pkg_dir_path = pathlib.Path(__file__).parent

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"text": tfds.features.Text()})
        )

    def _split_generators(self, dl_manager):
        found = builders.find_manually(dl_manager, PATTERN, "Texts")
        return {"train": self._generate_examples(found.items())}

    def _generate_examples(self, files):
        return self.examples(label, files, expand=twice)


def twice(job):
    (number,), file = job
    yield f"{number}-1", file
    yield f"{number}-2", file


def label(job):
    key, file = job
    return key, {"text": key + file.read().decode()}


def build(data_dir, manual_dir, **options):
    builder = NumberedTexts(data_dir=data_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, **options)
    builder.download_and_prepare(download_config=config)
    return [x["text"].decode() for x in tfds.as_numpy(builder.as_dataset(split="train"))]


def write_texts(folder, count=20):
    folder.mkdir(parents=True)
    for i in range(count):
        (folder / f"{i}.txt").write_text(f":{i}")
    return folder


def test_beam_with_several_workers_makes_the_same_examples_in_the_same_order(tmp_path):
    beam = pytest.importorskip("apache_beam")
    manual = write_texts(tmp_path / "manual")
    options = beam.options.pipeline_options.PipelineOptions(
        ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    )
    plain = build(tmp_path / "plain", manual)
    assert plain == build(tmp_path / "beam", manual, beam_options=options)
    assert sorted(plain) == sorted(f"{i}-{k}:{i}" for i in range(20) for k in (1, 2))


def test_the_named_archive_comes_before_loose_files(tmp_path):
    manual = write_texts(tmp_path / "manual", count=3)
    (tmp_path / "0.txt").write_text(":archived")
    with tarfile.open(manual / "Texts.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "0.txt", "Texts/0.txt")
    for data in ("archive", "extracted folder"):
        assert sorted(build(tmp_path / data, manual)) == ["0-1:archived", "0-2:archived"]


def test_a_truncated_tar_archive_is_refused_and_leaves_nothing(tmp_path):
    manual = write_texts(tmp_path / "manual")
    with tarfile.open(manual / "Texts.tgz", "w:gz") as archive:
        archive.add(manual, "Texts", filter=lambda x: None if x.name.endswith("z") else x)
    content = (manual / "Texts.tgz").read_bytes()
    (manual / "Texts.tgz").write_bytes(content[:-100])
    with pytest.raises(InputError, match=r"Texts\.tgz cannot be extracted"):
        build(tmp_path / "data", manual)
    assert not list(manual.glob("Texts*/"))


def test_a_tar_archive_that_names_files_outside_itself_is_refused(tmp_path):
    manual = write_texts(tmp_path / "manual", count=1)
    with tarfile.open(manual / "Texts.tar", "w") as archive:
        archive.add(manual / "0.txt", "../../outside.txt")
    with pytest.raises(InputError, match=r"Texts\.tar cannot be extracted"):
        build(tmp_path / "data", manual)
    assert not list(tmp_path.rglob("outside.txt"))


def test_results_come_in_order_and_few_ahead_of_time():
    started = []
    squares = builders.map_on_all_cores(lambda x: started.append(x) or x * x, range(1000))
    assert list(itertools.islice(squares, 3)) == [0, 1, 4]
    assert len(started) < 1000
    assert list(squares) == [x * x for x in range(3, 1000)]


def test_an_error_in_one_job_reaches_the_caller():
    def reciprocal(x):
        return 1 / x

    with pytest.raises(ZeroDivisionError):
        list(builders.map_on_all_cores(reciprocal, np.arange(5).tolist()))
