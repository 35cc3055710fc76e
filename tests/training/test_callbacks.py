import types

import numpy as np
import pytest
import tensorflow as tf

from tfdeblur.errors import InputError
from tfdeblur.models import build
from tfdeblur.training import callbacks
from tfdeblur.training.callbacks import LogMetrics, Progress, SaveBest, duration, read_metrics
from tfdeblur.training.checkpoints import Checkpoints
from tfdeblur.training.optimizers import SkippingAdam
from tfdeblur.training.trainers import MultiScaleTrainer


@pytest.fixture
def trainer():
    trainer = MultiScaleTrainer(
        build("deepdeblur", scales=1, filters=4, resblocks=1), "mse", "gaussian"
    )
    trainer.compile(SkippingAdam(1e-3), run_eagerly=True)
    return trainer


@pytest.fixture
def saved(trainer, tmp_path):
    return Checkpoints(tmp_path / "checkpoints", trainer)


def logs(psnr):
    return {
        "loss": 0.25,
        "psnr": 21.5,
        "psnr_blurry": 20.5,
        "val_psnr": psnr,
        "val_psnr_blurry": 20.0,
    }


def end_epoch(callback, trainer, saved, step, psnr=22.0):
    callback.set_model(trainer)
    saved.step = step
    callback.on_epoch_end(0, logs(psnr))


def make_log(tmp_path, saved):
    images = np.random.default_rng(0).random((2, 4, 16, 16, 3), "float32")
    return LogMetrics(tmp_path, saved, *images)


def test_the_log_keeps_rows_up_to_the_checkpoint_alone(trainer, saved, tmp_path):
    log = make_log(tmp_path, saved)
    for step in (2, 4, 6):
        end_epoch(log, trainer, saved, step)
    saved.step = 4  # resumed from there
    end_epoch(make_log(tmp_path, saved), trainer, saved, 6, psnr=23.0)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [(row["step"], row["val_psnr"]) for row in rows] == [
        ("2", "22.0"),
        ("4", "22.0"),
        ("6", "23.0"),
    ]
    assert float(rows[0]["learning_rate"]) == pytest.approx(1e-3)


def test_tensorboard_shows_the_same_crops_after_each_epoch(trainer, saved, tmp_path):
    log = make_log(tmp_path, saved)
    for step in (2, 4):
        end_epoch(log, trainer, saved, step)
    (file,) = (tmp_path / "tensorboard").iterdir()
    events = [e for e in tf.compat.v1.train.summary_iterator(str(file)) if e.summary.value]
    tags = {(event.step, value.tag) for event in events for value in event.summary.value}
    assert {(step, tag) for step in (2, 4) for tag in ("loss", "val_psnr")} <= tags
    pictures = [
        value.tensor.string_val
        for event in events
        for value in event.summary.value
        if value.tag.startswith("blurry, restored, sharp")
    ]
    assert len(pictures) == 2
    width, height, *images = pictures[0]
    assert (width, height, len(images)) == (b"48", b"16", callbacks.SHOWN)
    assert list(pictures[1]) == list(pictures[0])  # of the same weights


def test_the_best_network_is_kept_over_a_resume(trainer, saved, tmp_path):
    path = tmp_path / "best.keras"
    log = make_log(tmp_path, saved)
    best = SaveBest(path, log)
    written = []
    for step, psnr in ((2, 21.0), (4, 23.0), (6, 22.0)):
        for callback in (log, best):
            end_epoch(callback, trainer, saved, step, psnr)
        written.append(path.read_bytes())
    assert written[0] != written[1] and written[1] == written[2]

    resumed = SaveBest(path, make_log(tmp_path, saved))
    end_epoch(resumed, trainer, saved, 8, psnr=22.9)
    assert path.read_bytes() == written[2]
    end_epoch(resumed, trainer, saved, 10, psnr=23.1)
    assert path.read_bytes() != written[2]


def test_one_line_per_epoch_says_how_it_goes(trainer, saved, monkeypatch, capsys):
    clock = iter([10.0, 30.0, 30.0])
    monkeypatch.setattr(callbacks, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    progress = Progress(saved, [(101, 16, 4)], started=7.0)
    for step in (1, 11):
        saved.step = step
        progress.on_train_batch_end(0, logs(22.0))
    progress.on_epoch_end(0, logs(22.0))
    assert capsys.readouterr().out.splitlines() == [
        "first step after 3.0 s",
        "step 11 of 101: PSNR 21.50 dB (blurry 20.50), loss 0.2500, 2.0 patches/s, 3 min left, "
        "held out 22.00 dB (+2.00)",
    ]


def test_on_a_terminal_there_is_a_bar(trainer, saved, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(
        callbacks.tqdm.tqdm, "update", lambda bar, n: setattr(bar, "n", bar.n + n) or True
    )
    progress = Progress(saved, [(5, 16, 4)], started=0.0)
    for saved.step in (3, 4, 5):
        progress.on_train_batch_end(0, logs(22.0))
    progress.on_epoch_end(0, logs(22.0))
    said = capsys.readouterr()
    bar = said.err.split("\r")
    assert "3/5" in bar[1] and "4/5" in said.err and "5/5" in bar[-1]
    assert "PSNR 21.50 dB (blurry 20.50), loss 0.2500]" in said.err
    assert [line.split()[0] for line in said.out.splitlines()] == ["first", "step"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (720, "12 min"), (12_240, "3.4 h"), (181_440, "2.1 days")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_twenty_skipped_steps_in_a_row_end_the_run(trainer, saved):
    steps = callbacks.StopAtLastStep(saved, last=100)
    steps.set_model(trainer)
    trainer.optimizer.skipped_in_row.assign(19)
    saved.step = 20
    steps.on_train_batch_end(0)
    trainer.optimizer.skipped_in_row.assign(20)
    with pytest.raises(InputError, match="20 steps in a row had gradients that are not finite"):
        steps.on_train_batch_end(0)
