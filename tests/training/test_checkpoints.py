import resource

import keras
import numpy as np
import pytest

from tfdeblur import models, precision
from tfdeblur.errors import InputError
from tfdeblur.files import replacing
from tfdeblur.training import optimizers, strategies, trainers
from tfdeblur.training.checkpoints import Checkpoints, save_network


def make_trainer(seed=0):
    """Its network has dropout, whose seeds are part of the state."""
    keras.utils.set_random_seed(seed)
    net = models.build("mimo_unet_plus", filters=4, resblocks=1)
    trainer = trainers.MultiScaleTrainer(net, "l1", "bilinear")
    adam = optimizers.SkippingAdam(1e-3, use_ema=True, ema_momentum=0.5)
    trainer.compile(adam, run_eagerly=True)  # compiling would take longer than three steps
    return trainer


def train_step(trainer):
    sharp = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
    trainer.train_on_batch((sharp + np.roll(sharp, 1, axis=2)) / 2, sharp)


def state(trainer):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in trainer.saved_variables]


@pytest.mark.slow
def test_a_restored_training_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole = make_trainer()
    train_step(whole)
    saved = Checkpoints(tmp_path / "checkpoints", whole)
    saved.on_train_batch_end(0)
    saved.on_epoch_end(0)
    train_step(whole)

    resumed = make_trainer(seed=1)
    assert Checkpoints(tmp_path / "checkpoints", resumed).restore() == 1
    train_step(resumed)
    for value, expected in zip(state(resumed), state(whole), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_variables_are_found_by_their_names(trainer, tmp_path):
    """However many networks and optimizers were made before, and in whatever order they lie."""
    save_steps(tmp_path, trainer, (3,))
    path = tmp_path / "step_000000003.npz"
    with np.load(path) as file:
        stored = {name: file[name] for name in reversed(file.files)}
    assert {"encoder1_in/kernel", "optimizer0/iteration", "threads"} <= stored.keys()
    np.savez(path, **stored)
    other = make_trainer(seed=1)
    assert Checkpoints(tmp_path, other).restore() == 3
    for value, expected in zip(state(other), state(trainer), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.fixture(scope="module")
def trainer():
    return make_trainer()


def save_steps(folder, trainer, steps, **options):
    saved = Checkpoints(folder, trainer, **options)
    for step in steps:
        saved.step = step
        saved.save()
    return saved


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_are_kept(trainer, tmp_path):
    saved = save_steps(tmp_path, trainer, (1, 9, 10, 11), keep=3)
    assert names(tmp_path) == [f"step_{step:09}.npz" for step in (9, 10, 11)]
    assert saved.newest() == (11, tmp_path / "step_000000011.npz")


def test_without_a_checkpoint_the_step_is_0(trainer, tmp_path):
    saved = Checkpoints(tmp_path / "none", trainer)
    assert saved.newest() == (0, None) and saved.restore() == 0


def test_workers_that_are_not_the_chief_write_nothing(trainer, tmp_path):
    save_steps(tmp_path, trainer, (1,), write=False)
    assert not names(tmp_path)


def test_a_full_disk_leaves_what_was_there(trainer, tmp_path):
    """A limit on the size of files stands for it."""
    saved = save_steps(tmp_path, trainer, (1,), keep=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        saved.step = 2
        with pytest.raises(OSError, match="File too large"):
            saved.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["step_000000001.npz"]
    assert saved.restore() == 1


@pytest.mark.parametrize("length", [0, 1000, -10])
def test_a_broken_checkpoint_falls_back_to_the_one_before(length, trainer, tmp_path, capsys):
    saved = save_steps(tmp_path, trainer, (1, 2))
    newest = saved.newest()[1]
    newest.write_bytes(newest.read_bytes()[:length])
    assert saved.restore() == 1 and saved.newest()[0] == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "step_000000002.npz is broken" in line and "the checkpoint before it" in line
    (tmp_path / "step_000000001.npz").unlink()
    with pytest.raises(InputError, match=r"step_000000002\.npz is broken .*`overwrite=True`"):
        Checkpoints(tmp_path, trainer).restore()


def test_a_broken_checkpoint_does_not_count_among_those_kept(trainer, tmp_path):
    save_steps(tmp_path, trainer, (1, 5))
    (tmp_path / "step_000000005.npz").write_bytes(b"")
    saved = Checkpoints(tmp_path, trainer, keep=1)
    assert saved.restore() == 1
    saved.step = 2
    saved.save()
    assert names(tmp_path) == ["step_000000002.npz", "step_000000005.npz"]


def test_other_names_are_left_alone(trainer, tmp_path):
    for name in ("step_abc.npz", "step_1.npz", "step_.npz"):
        (tmp_path / name).write_text("mine")
    save_steps(tmp_path, trainer, (1, 2, 3), keep=1)
    assert names(tmp_path) == ["step_.npz", "step_000000003.npz", "step_1.npz", "step_abc.npz"]


FIRST = "encoder1_in/kernel"  # of what a checkpoint holds


def change(kind, state):
    first = state[FIRST]
    if kind == "another type":
        state[FIRST] = first.astype("float64")
    if kind == "whole numbers":
        state[FIRST] = first.astype("int32")
    if kind == "another shape":
        state[FIRST] = first[..., None]
    if kind == "objects":
        state[FIRST] = np.array([{}], object)
    if kind == "one too few":
        del state[FIRST]
    if kind == "one too many":
        state["more"] = first


KINDS = ("another type", "whole numbers", "another shape", "objects", "one too few", "one too many")


@pytest.mark.parametrize("kind", [*KINDS, "compressed", "no zip", "pickle", "a folder"])
def test_bad_checkpoints_are_refused_in_one_line(kind, trainer, tmp_path):
    save_steps(tmp_path, trainer, (1,))
    path = tmp_path / "step_000000001.npz"
    with np.load(path) as file:
        stored = dict(file)
    change(kind, stored)
    (np.savez_compressed if kind == "compressed" else np.savez)(path, **stored)
    if kind == "no zip":
        np.save(tmp_path / "x.npy", stored[FIRST])
        (tmp_path / "x.npy").rename(path)
    if kind == "pickle":
        path.write_bytes(b"cos\nsystem\n(S'echo run'\ntR.")
    if kind == "a folder":
        path.unlink()
        path.mkdir()
    before = state(trainer)
    with pytest.raises(InputError, match=r"^[^\n]*is broken[^\n]*$"):
        Checkpoints(tmp_path, trainer).restore()
    for value, expected in zip(state(trainer), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_checkpoint_keeps_the_number_of_threads(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(strategies, "threads", lambda: 7)
    saved = save_steps(tmp_path, trainer, (1,))
    saved.restore()
    assert saved.threads == 7
    path = tmp_path / "step_000000001.npz"
    with np.load(path) as file:
        stored = {name: file[name] for name in file if name != "threads"}
    np.savez(path, **stored)  # as earlier versions wrote them
    assert saved.restore() == 1 and saved.threads is None


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.csv"
    with replacing(path) as temporary:
        temporary.write_text("old")
    assert path.read_text() == "old"
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and names(tmp_path) == ["metrics.csv"]


@pytest.mark.slow
def test_the_saved_network_has_the_averages_in_float32(tmp_path):
    with precision.policy("bfloat16"):
        trainer = make_trainer()
    for _ in range(2):
        train_step(trainer)
    with trainer.averaged_weights():
        averages = trainer.network.get_weights()
    save_network(trainer, tmp_path / "best.keras")
    saved = keras.saving.load_model(tmp_path / "best.keras")
    assert saved.compute_dtype == "float32"
    for value, expected in zip(saved.get_weights(), averages, strict=True):
        np.testing.assert_array_equal(value, expected)
