"""What a GPU would trip over: training steps of every network, compiled by XLA; and in 16 bits.

In a process of its own: after a run, which is deterministic, Keras would leave out XLA.
"""

import os

import keras
import numpy as np
import other_backend
import pytest
import test_trainers
from small_networks import SMALL, all_but_few_long

from tfdeblur import models, precision
from tfdeblur.training import optimizers, trainers

FOLDER = os.path.dirname(__file__)  # where a process finds this module
STRIDES = 64  # a multiple of every network's
# Not that of these networks' papers: it shows whether all levels are compared.
LOSS, PYRAMID = "srn", "nearest"
FULL_SIZE = ("dmphn", "mprnet", "nafnet", "restormer", "mt_rnn", "deblurgan", "deblurgan_v2")
PYRAMIDS = {"maxim": "maxim", **dict.fromkeys(FULL_SIZE, "repeated")}


def make_trainer(name, **options):
    keras.utils.set_random_seed(0)
    net = models.build(name, **SMALL[name])
    for layer in net.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # XLA draws other numbers
    trainer = trainers.MultiScaleTrainer(net, LOSS, PYRAMIDS.get(name, PYRAMID))
    trainer.compile(optimizers.SkippingAdam(1e-3), **options)
    return trainer


def pair():
    sharp = np.random.default_rng(0).random((2, STRIDES, STRIDES, 3), "float32")
    return (sharp + np.roll(sharp, 1, axis=2)) / 2, sharp


def assert_xla_takes_the_same_step(name):
    trained = []
    for options in ({"run_eagerly": True}, {"jit_compile": True}):
        trainer = make_trainer(name, **options)
        assert trainer.jit_compile == options.get("jit_compile", False)
        logs = trainer.train_on_batch(*pair(), return_dict=True)
        trained.append((test_trainers.gradients(trainer.optimizer), logs))
    (gradients, logs), (compiled, compiled_logs) = trained
    for key in logs:
        np.testing.assert_allclose(compiled_logs[key], logs[key], rtol=1e-4, err_msg=key)
    largest = max(np.abs(gradient).max() for gradient in gradients)
    for value, expected in zip(compiled, gradients, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-3 * largest)


def assert_xla_takes_the_same_step_after_the_critics():
    states = []
    for jit in (False, True):
        options = {"adversarial_loss": "relativistic", "updates": 2, "epsilon": 1.0}
        trainer = test_trainers.make_critic_first_trainer(jit=jit, **options)
        assert trainer.jit_compile == jit
        trainer.train_on_batch(*test_trainers.small_pairs(2))
        states.append(test_trainers.state(trainer))
    for value, expected in zip(*reversed(states), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def assert_a_float16_step_is_taken(name):
    with precision.policy("float16"):
        trainer = make_trainer(name, jit_compile=False)
    before = trainer.network.get_weights()
    logs = trainer.train_on_batch(*pair(), return_dict=True)
    # What the first scale is too large for, is skipped, and the scale halved.
    for _ in range(8):
        if int(trainer.optimizer.iterations):
            break
        logs = trainer.train_on_batch(*pair(), return_dict=True)
    assert float(trainer.optimizer.loss_scale) > 1
    assert np.isfinite([float(value) for value in logs.values()]).all()
    after = trainer.network.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


FEW = ["mimo_unet", "nafnet"]
OTHERS = [name for name in SMALL if name not in FEW]


# In processes of a few: each takes seconds to start.
@pytest.mark.slow
@pytest.mark.parametrize(
    "names", all_but_few_long([FEW, *(OTHERS[i::3] for i in range(3))], [FEW]), ids=" ".join
)
def test_xla_takes_the_step_of_every_network(names):
    code = (
        "import sys, test_xla as t\n"
        "for name in sys.argv[1:]:\n"
        "    print(name, file=sys.stderr)\n"
        "    t.assert_xla_takes_the_same_step(name)\n"
    )
    other_backend.run_on("tensorflow", code, *names, cwd=FOLDER)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mimo_unet", "nafnet"])
def test_a_float16_step_is_taken(name):
    assert_a_float16_step_is_taken(name)


@pytest.mark.slow
def test_xla_takes_the_step_of_a_training_with_critics():
    code = "import test_xla as t; t.assert_xla_takes_the_same_step_after_the_critics()"
    other_backend.run_on("tensorflow", code, cwd=FOLDER)
