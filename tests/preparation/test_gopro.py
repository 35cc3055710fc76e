"""GOPRO from every layout that people have it in, faulty files, and all the way to scores.

The made-up archives of `gopro_stand_in` take the place of the real ones.
"""

import dataclasses
import functools
import http.server
import io
import logging
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
import time

import gopro_stand_in as stand_in
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from small_networks import all_but_few_long

from tfdeblur import blur, evaluation, recipes, restoration, weights
from tfdeblur.data.pairs import open_pairs
from tfdeblur.datasets.gopro import gopro_dataset_builder as gopro
from tfdeblur.errors import InputError
from tfdeblur.training import runs

PAIRS = dict(stand_in.pairs(stand_in.FEW))
RAW = dict(stand_in.raw_frames(stand_in.FEW))
UNDECODED = {key: tfds.decode.SkipDecoding() for key in ("blurry", "sharp")}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder for TFDS with archives of all sequences in its manual directory."""
    folder = tmp_path_factory.mktemp("all")
    stand_in.write_zip(manual(folder) / "GOPRO_Large.zip", stand_in.pairs(), "GOPRO_Large/")
    stand_in.write_zip(manual(folder) / "GOPRO_Large_all.zip", stand_in.raw_frames())
    return folder


def few(**options):
    """A config for the few sequences of `PAIRS` and `RAW`."""
    return gopro.GoproConfig(**{"name": "few", "sequences": stand_in.FEW, **options})


def prepare(folder, config, **options):
    """Builds in `folder` from the archives in `folder`/downloads/manual, where TFDS looks."""
    builder = tfds.builder("gopro", config=config, data_dir=folder)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(**options))
    return builder


def manual(folder):
    path = folder / "downloads" / "manual"
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_manually(folder, pairs=PAIRS, raw=RAW):
    stand_in.write_zip(manual(folder) / "GOPRO_Large.zip", pairs.items(), "GOPRO_Large/")
    stand_in.write_zip(manual(folder) / "GOPRO_Large_all.zip", raw.items())


def examples(builder, split, decoders=None):
    """The examples of a split by "sequence/frame"."""
    dataset = tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders))
    return {f"{x['sequence'].decode()}/{x['frame']:06d}": x for x in dataset}


def decode(content):
    return np.asarray(Image.open(io.BytesIO(content)))


LAYOUTS = {
    "archive": lambda folder: stand_in.write_zip(folder / "GOPRO_Large.zip", PAIRS.items()),
    "archive with a top-level folder": lambda folder: stand_in.write_zip(
        folder / "GOPRO_Large.zip", PAIRS.items(), "GOPRO_Large/"
    ),
    "folder": lambda folder: stand_in.write_folder(folder, PAIRS.items(), "GOPRO_Large/"),
    "folder in a folder": lambda folder: stand_in.write_folder(
        folder, PAIRS.items(), "GOPRO_Large/GOPRO_Large/"
    ),
    "manual directory": lambda folder: stand_in.write_folder(folder, PAIRS.items()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["blur_gamma", "blur"])
def test_files_are_kept_as_they_are_from_every_layout(tmp_path, layout, kind):
    LAYOUTS[layout](manual(tmp_path))
    builder = prepare(tmp_path, few(blur=kind))
    assert builder.info.supervised_keys == ("blurry", "sharp")
    for split, counts in stand_in.FEW.items():
        found = examples(builder, split, UNDECODED)
        assert len(found) == sum(counts.values())
        for key, example in found.items():
            sequence, frame = key.split("/")
            assert example["blurry"] == PAIRS[f"{split}/{sequence}/{kind}/{frame}.png"]
            assert example["sharp"] == PAIRS[f"{split}/{sequence}/sharp/{frame}.png"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves the folder that it returns in place of the official address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(gopro, "URL", f"http://127.0.0.1:{running.server_port}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield folder
        running.shutdown()


def test_what_is_not_there_is_downloaded_once(tmp_path, server):
    stand_in.write_zip(server / "GOPRO_Large.zip", PAIRS.items(), "GOPRO_Large/")
    stand_in.write_zip(server / "GOPRO_Large_all.zip", RAW.items())
    assert len(examples(prepare(tmp_path, few()), "train")) == 4
    (server / "GOPRO_Large.zip").unlink()
    assert len(examples(prepare(tmp_path, few(name="again", blur="blur")), "train")) == 4


def test_a_download_that_fails_says_where_to_put_the_archive(tmp_path, server):
    with pytest.raises(InputError, match=r"GOPRO_Large\.zip could not be downloaded.*manual"):
        prepare(tmp_path, few(blur="blur"))


def without(*parts):
    return {name: PAIRS[name] for name in PAIRS if not any(part in name for part in parts)}


SEVENTH = "train/GOPR0372_07_00"
FAULTS = {
    "no sequence": (without("test/"), "test/GOPR0384_11_05 is missing"),
    "few frames": (without("00_00", "000048"), f"{SEVENTH}/blur_gamma holds 1 of 2 frames"),
    "no blurry partner": (
        without("07_00/blur_gamma/000047"),
        rf"{SEVENTH}/blur_gamma/000047\.png is missing",
    ),
    "no sharp partner": (
        without("07_00/sharp/000048"),
        rf"{SEVENTH}/sharp/000048\.png is missing",
    ),
    "another partner": (
        {n.replace("gamma/000047", "gamma/000046"): PAIRS[n] for n in PAIRS},
        rf"{SEVENTH}/sharp/000046\.png is missing",
    ),
    "a foreign sequence": (
        PAIRS | {"test/GOPR0001_07_00/sharp/000001.png": b""},
        "test/GOPR0001_07_00 is not of GOPRO",
    ),
    "a truncated image": (
        PAIRS | {f"{SEVENTH}/sharp/000047.png": PAIRS[f"{SEVENTH}/sharp/000047.png"][:-30]},
        rf"{SEVENTH}/sharp/000047\.png is no whole image",
    ),
    "no image": (
        PAIRS | {f"{SEVENTH}/blur_gamma/000047.png": b"<html>not found</html>"},
        rf"{SEVENTH}/blur_gamma/000047\.png is no whole image",
    ),
    "other sizes": (
        PAIRS | {f"{SEVENTH}/sharp/000047.png": stand_in.png(np.zeros((15, 16, 3), np.uint8))},
        rf"{SEVENTH}/sharp/000047\.png 16x15",
    ),
    "a path outside": (PAIRS | {"../outside.png": b""}, "outside the archive"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_copy_is_refused_and_a_good_one_taken_afterwards(tmp_path, fault):
    files, message = FAULTS[fault]
    write_manually(tmp_path, files)
    with pytest.raises(InputError, match=message):
        prepare(tmp_path, few(blur="blur_gamma"))
    assert not list(tmp_path.rglob("*.tfrecord*"))
    (manual(tmp_path) / "GOPRO_Large.zip").unlink()
    stand_in.write_folder(manual(tmp_path), PAIRS.items(), "GOPRO_Large/")
    assert len(examples(prepare(tmp_path, few(blur="blur_gamma")), "train")) == 4


def test_only_the_first_faults_are_listed(tmp_path):
    write_manually(tmp_path)
    with pytest.raises(InputError) as caught:
        prepare(tmp_path, few(blur="blur", sequences=gopro.SEQUENCES))
    assert "test/GOPR0384_11_00 is missing" in str(caught.value)
    assert "and 31 faults more" in str(caught.value)


def test_a_truncated_archive_is_refused(tmp_path):
    write_manually(tmp_path)
    path = manual(tmp_path) / "GOPRO_Large.zip"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"GOPRO_Large\.zip is no complete zip archive"):
        prepare(tmp_path, few(blur="blur"))


def test_synthesized_images_equal_the_published_ones(tmp_path, caplog):
    write_manually(tmp_path)
    logging.getLogger("absl").addHandler(caplog.handler)
    for response, kind in (("gamma", "blur_gamma"), ("linear", "blur")):
        builder = prepare(tmp_path, few(name=f"few_{kind}", response=response))
        train, test = examples(builder, "train"), examples(builder, "test")
        # The first of this sequence reaches back to before its recording.
        assert (len(train), list(test)) == (4, ["GOPR0384_11_05/004002"])
        for split, found in (("train", train), ("test", test)):
            for key, example in found.items():
                sequence, frame = key.split("/")
                published = PAIRS[f"{split}/{sequence}/{kind}/{frame}.png"]
                np.testing.assert_array_equal(example["blurry"], decode(published))
                assert example["M"] == int(sequence[9:11])
    assert "GOPR0384_11_05: 1 of 2 pairs are left out" in caplog.text


def test_synthesized_images_keep_the_published_sharp_files(tmp_path):
    write_manually(tmp_path)
    for key, example in examples(prepare(tmp_path, few()), "train", UNDECODED).items():
        sequence, frame = key.split("/")
        assert example["sharp"] == PAIRS[f"train/{sequence}/sharp/{frame}.png"]


def test_other_numbers_of_frames_are_averaged_around_the_same_sharp_one(tmp_path):
    write_manually(tmp_path)
    prepare(tmp_path, few(name="", frames_averaged=3, response="linear"))
    builder = tfds.builder("gopro/synthesized_linear_m3", data_dir=tmp_path)
    found = examples(builder, "train")
    assert len(found) == 4
    for i in range(2):
        example = found[f"GOPR0374_11_00/{i + 1:06d}"]
        window = [stand_in.frame("GOPR0374_11_00", 11 * i + k) for k in (4, 5, 6)]
        np.testing.assert_array_equal(example["blurry"], blur.synthesize(window, "linear")[0])
        assert example["M"] == 3


def test_the_equal_frame_is_taken_not_a_similar_one(tmp_path):
    """In a scene that only brightens, by a grey level per frame, and that the rule fails for."""
    sequences = {"train": {"GOPR0001_03_00": 3}}
    flat = [stand_in.png(np.full((8, 8, 3), 100 + i, np.uint8)) for i in range(12)]
    raw = {f"train/GOPR0001_03_00/{i:06d}.png": flat[i] for i in range(12)}
    pairs = {f"train/GOPR0001_03_00/sharp/{k:06d}.png": flat[3 * k + 4] for k in range(3)}
    write_manually(tmp_path, pairs, raw)
    found = examples(prepare(tmp_path, few(sequences=sequences)), "train")
    assert {key[-1]: example["blurry"].max() for key, example in found.items()} == {
        **{"0": 104, "1": 107},
        "2": 110,
    }


def test_a_sharp_frame_that_was_not_recorded_is_refused(tmp_path):
    name = "train/GOPR0374_11_00/sharp/000002.png"
    write_manually(tmp_path, PAIRS | {name: stand_in.png(np.zeros((16, 16, 3), np.uint8))})
    with pytest.raises(InputError, match=rf"{name} is none of its sequence's 22 frames"):
        prepare(tmp_path, few())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({n: RAW[n] for n in list(RAW)[5:]}, "train/GOPR0372_07_00 holds 9 of 14 frames"),
        ({n: RAW[n] for n in RAW if "0384" not in n}, "GOPR0384_11_05 holds 0 of 22 frames"),
        (dict.fromkeys(RAW, b"damaged"), r"\d+\.png is no whole image"),
        (
            RAW | {f"{SEVENTH}/000323.png": stand_in.png(np.zeros((15, 16, 3), np.uint8))},
            r"000323\.png and those after it: frame 1 has the shape \(16, 16, 3\)",
        ),
    ],
)
def test_faulty_raw_frames_are_refused(tmp_path, raw, message):
    write_manually(tmp_path, raw=raw)
    with pytest.raises(InputError, match=message):
        prepare(tmp_path, few())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"blur": "blur"}, "blur"),
        ({}, "synthesized"),
        ({"response": "linear", "frames_averaged": 7}, "synthesized_linear_m7"),
        ({"gamma": 1.8}, "synthesized_gamma1.8"),
        ({"name": "mine", "frames_averaged": 9}, "mine"),
    ],
)
def test_configs_are_named_after_their_options(options, name):
    assert gopro.GoproConfig(**options).name == name


@pytest.mark.parametrize(
    "options",
    [
        {"blur": "gamma"},
        {"response": "log"},
        {"frames_averaged": 8},
        {"frames_averaged": 1},
        {"gamma": 0},
        {"blur": "blur", "frames_averaged": 7},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(InputError, match="|".join(options)):
        gopro.GoproConfig(**options)


@pytest.mark.slow
def test_beam_with_two_processes_makes_the_same_examples(tmp_path):
    pipeline_options = pytest.importorskip("apache_beam.options.pipeline_options")
    options = pipeline_options.PipelineOptions(
        ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    )
    write_manually(tmp_path, without("test/"))
    train = {"train": stand_in.FEW["train"]}
    plain = prepare(tmp_path, few(sequences=train))
    on_beam = prepare(tmp_path, few(name="on_beam", sequences=train), beam_options=options)
    expected, found = (examples(builder, "train", UNDECODED) for builder in (plain, on_beam))
    assert len(found) == 4
    assert list(found) == list(expected)  # in the same order
    assert found == expected


LOAD = """
import sys
import tensorflow_datasets as tfds
import tfdeblur.datasets
tfds.load("gopro/blur", data_dir=sys.argv[1])
"""


@pytest.mark.slow
def test_an_interrupted_build_is_started_anew(data_dir, tmp_path):
    link_archives(data_dir, tmp_path)
    process = subprocess.Popen([sys.executable, "-c", LOAD, tmp_path], stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("gopro/blur/incomplete*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "gopro" / "blur" / "1.0.0").exists()
    builder = prepare(tmp_path, "blur")
    assert builder.info.splits["train"].num_examples == 2103


@pytest.fixture
def full_disk():
    """No file can grow beyond a megabyte; a function that ends it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    end = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield end
    end()


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_leaves_nothing_behind(data_dir, tmp_path, full_disk):
    link_archives(data_dir, tmp_path)
    with pytest.raises(Exception, match="File too large"):
        prepare(tmp_path, "blur")
    assert not list(tmp_path.glob("gopro/blur/*"))
    full_disk()
    assert prepare(tmp_path, "blur").info.splits["test"].num_examples == 1111


@pytest.mark.slow
def test_tfds_build_works_in_the_folder_of_the_builder(data_dir, tmp_path):
    pytest.importorskip("mlcroissant", reason="the command tfds imports it")
    command = [
        pathlib.Path(sys.executable).with_name("tfds"),
        *("build", "--config=blur", f"--data_dir={tmp_path}"),
        f"--manual_dir={manual(data_dir)}",
    ]
    folder = gopro.Builder.pkg_dir_path
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    builder = tfds.builder("gopro/blur", data_dir=tmp_path)
    assert builder.info.splits["train"].num_examples == 2103


def link_archives(data_dir, other):
    for path in manual(data_dir).iterdir():
        os.link(path, manual(other) / path.name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", all_but_few_long(["blur_gamma", "blur", "synthesized"], few=["synthesized"])
)
def test_from_archives_to_scores(data_dir, tmp_path, config):
    recipe = dataclasses.replace(
        recipes.QUICKSTART,
        dataset=f"gopro/{config}",
        test_split="test[:16]",
        network="deepdeblur",  # the quickest to compile
        hyperparameters={"scales": 1, "filters": 4, "resblocks": 1},
        loss="mse",
        crop=16,
        batch_size=2,
        steps=3,
        validate_every=3,
    )
    train_pairs, validation_pairs, test_pairs = open_pairs(recipe, data_dir)
    assert (train_pairs.count, validation_pairs.count) == (2061, 42)
    whole, *_ = open_pairs(recipe, data_dir, validation="test")
    assert whole.count == 2103
    summary = runs.train(
        recipe,
        train_pairs,
        test_pairs,
        tmp_path / "run",
        validation_pairs=validation_pairs,
    )
    assert summary["images"] == 16

    network, _ = weights.open_network(tmp_path / "run" / "model.keras")
    scores = evaluation.evaluate(
        test_pairs.numpy_pairs(limit=4),
        functools.partial(restoration.restore_float, network),
        evaluation.PROTOCOLS["nah2017"],
    )
    assert np.isfinite(evaluation.summarise(scores)["psnr_restored"])


@pytest.mark.slow
def test_tfds_load_gives_pairs_of_the_default_config(data_dir):
    pairs, info = tfds.load(
        "gopro", split="test", data_dir=data_dir, as_supervised=True, with_info=True
    )
    assert (info.config_name, len(pairs)) == ("blur_gamma", 1111)
    blurry, sharp = next(iter(pairs))
    assert blurry.shape == sharp.shape == (16, 16, 3)


@pytest.mark.slow
def test_all_synthesized_images_equal_the_published_ones(data_dir):
    for split, count in {"train": 2103, "test": 1111}.items():
        published = examples(prepare(data_dir, "blur_gamma"), split)
        synthesized = examples(prepare(data_dir, "synthesized"), split)
        assert len(published) == count
        # The first pair of one sequence reaches back to before its recording.
        missing = {"train": set(), "test": {"GOPR0384_11_05/004001"}}[split]
        assert published.keys() - synthesized.keys() == missing
        for key, example in synthesized.items():
            np.testing.assert_array_equal(example["blurry"], published[key]["blurry"])
            np.testing.assert_array_equal(example["sharp"], published[key]["sharp"])
