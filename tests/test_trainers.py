import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfdeblur import initialization, losses, models, precision, pyramid, trainers


def make_trainer(loss="mimo_unet", rate=3e-3):
    net = models.build("mimo_unet", filters=8, resblocks=1)
    initialization.near_identity(net)
    trainer = trainers.MultiScaleTrainer(net, loss, "bilinear")
    trainer.compile(optimizer=trainers.SkippingAdam(rate, epsilon=1e-8), jit_compile=False)
    return trainer


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    sharp = np.repeat(np.repeat(rng.random((2, 4, 4, 3), "float32"), 8, axis=1), 8, axis=2)
    return (np.roll(sharp, 1, axis=2) + sharp + np.roll(sharp, -1, axis=2)) / 3, sharp


def test_loss_is_the_multi_scale_loss_of_the_network(batch):
    trainer = make_trainer()
    blurry, sharp = batch
    logs = trainer.evaluate(blurry, sharp, return_dict=True, verbose=0)
    outputs = trainer.network(blurry)
    expected = losses.mimo_unet_loss(outputs, pyramid.bilinear_pyramid(sharp, 3))
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-4)


def test_psnr_by_hand(batch):
    sharp = np.zeros((2, 4, 4, 3), "float32")
    values = trainers.psnr(sharp, np.stack([sharp[0] + 0.1, sharp[1] - 7]))
    np.testing.assert_allclose(values, [20, 100], rtol=1e-5)  # -7 is clipped to 0, its reference
    logs = make_trainer().evaluate(sharp + 0.1, sharp, return_dict=True, verbose=0)
    assert logs["psnr_blurry"] == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_one_batch_is_overfitted(name, batch):
    keras.utils.set_random_seed(0)
    with precision.policy(name):
        # Not L1, which long leaves flat images alone: most of their pixels have no error to mend.
        trainer = make_trainer(loss="mse", rate=1e-3)
    trainer.fit(*batch, epochs=80, batch_size=2, verbose=0)
    after = trainer.evaluate(*batch, return_dict=True, verbose=0)
    assert after["psnr"] > after["psnr_blurry"] + 3


def test_steps_that_are_not_finite_change_nothing_and_are_counted(batch):
    trainer = make_trainer()
    trainer.train_on_batch(*batch)
    optimizer = trainer.optimizer

    def state():
        counts = (optimizer.skipped, optimizer.skipped_in_row)
        others = [v for v in optimizer.variables if all(v is not c for c in counts)]
        return [np.array(v) for v in (*trainer.network.trainable_variables, *others)]

    before = state()
    broken = np.full_like(batch[0], np.nan)
    for i in (1, 2):
        trainer.train_on_batch(broken, batch[1])
        assert (int(optimizer.skipped), int(optimizer.skipped_in_row)) == (i, i)
    for now, then in zip(state(), before, strict=True):
        np.testing.assert_array_equal(now, then)

    trainer.train_on_batch(*batch)
    assert (int(optimizer.skipped), int(optimizer.skipped_in_row)) == (2, 0)
    assert any(np.any(a != b) for a, b in zip(state(), before, strict=True))


def test_finite_steps_equal_those_of_keras_adam(batch):
    results = []
    for optimizer in (trainers.SkippingAdam(1e-3), keras.optimizers.Adam(1e-3)):
        keras.utils.set_random_seed(1)
        trainer = make_trainer(loss="mse")
        trainer.compile(optimizer=optimizer, jit_compile=False)
        for _ in range(3):
            trainer.train_on_batch(*batch)
        results.append(trainer.network.get_weights())
    for ours, keras_own in zip(*results, strict=True):
        np.testing.assert_allclose(ours, keras_own, atol=1e-6)


def test_trains_on_jax():
    """The same trainer, through compile and fit, on Keras's other backend."""
    pytest.importorskip("jax")
    code = (
        "import keras, numpy as np\n"
        "from tfdeblur import models, trainers\n"
        "keras.utils.set_random_seed(0)\n"
        "assert keras.backend.backend() == 'jax'\n"
        "net = models.build('mimo_unet', filters=8, resblocks=1)\n"
        "trainer = trainers.MultiScaleTrainer(net, 'mimo_unet', 'bilinear')\n"
        "trainer.compile(optimizer=trainers.SkippingAdam(3e-3))\n"
        "sharp = np.random.default_rng(0).random((2, 16, 16, 3), 'float32')\n"
        "blurry = (sharp + np.roll(sharp, 1, 2)) / 2\n"
        "loss = trainer.fit(blurry, sharp, epochs=40, verbose=0).history['loss']\n"
        "assert loss[-1] < 0.9 * loss[0], loss\n"
        "trainer.fit(blurry * np.nan, sharp, epochs=2, verbose=0)\n"
        "assert int(trainer.optimizer.skipped_in_row) == 2\n"
        "assert all(np.isfinite(w).all() for w in net.get_weights())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
