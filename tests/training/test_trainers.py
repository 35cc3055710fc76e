import os
import sys

import keras
import numpy as np
import other_backend
import pytest
import tensorflow as tf
import workers
from keras import layers, ops

from tfdeblur import losses, models, precision, pyramid
from tfdeblur.models import initialization
from tfdeblur.training import optimizers, trainers


def make_trainer(loss="mimo_unet", rate=3e-3, **options):
    net = models.build("mimo_unet", filters=8, resblocks=1)
    initialization.near_identity(net)
    trainer = trainers.MultiScaleTrainer(net, loss, "bilinear")
    optimizer = optimizers.SkippingAdam(rate, epsilon=1e-8, **options)
    trainer.compile(optimizer=optimizer, jit_compile=False)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["float32", "bfloat16", pytest.param("float16", marks=pytest.mark.long)]
)
def test_one_batch_is_overfitted(name, batch):
    keras.utils.set_random_seed(0)
    with precision.policy(name):
        # Not L1, which long leaves flat images alone: most of their pixels have no error to mend.
        trainer = make_trainer(loss="mse", rate=2e-3)
    trainer.fit(*batch, epochs=40, batch_size=2, verbose=0)
    after = trainer.evaluate(*batch, return_dict=True, verbose=0)
    assert after["psnr"] > after["psnr_blurry"] + 3


@pytest.mark.slow
def test_steps_that_are_not_finite_change_nothing_and_are_counted(batch):
    trainer = make_trainer(weight_decay=0.1)
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


@pytest.mark.slow
@pytest.mark.parametrize("decay", [None, 0.5], ids=["Adam", "AdamW"])
def test_finite_steps_equal_those_of_keras(decay, batch):
    results = []
    keras_own = keras.optimizers.AdamW(1e-3, decay) if decay else keras.optimizers.Adam(1e-3)
    for optimizer in (optimizers.SkippingAdam(1e-3, weight_decay=decay), keras_own):
        keras.utils.set_random_seed(1)
        trainer = make_trainer(loss="mse")
        trainer.compile(optimizer=optimizer, run_eagerly=True)
        for _ in range(3):
            trainer.train_on_batch(*batch)
        results.append(trainer.network.get_weights())
    assert_equal(*results, atol=1e-6)


def make_small_trainer(
    adversarial,
    *,
    seed=0,
    weight=0.1,
    form="minimax",
    jit=False,
    discriminator_weight=1.0,
    **options,
):
    """DeepDeblur with two scales, and a discriminator of 16x16 images where one is asked for."""
    keras.utils.set_random_seed(seed)
    net = models.build("deepdeblur", scales=2, filters=8, resblocks=1)

    def adam():
        return optimizers.SkippingAdam(1e-3, epsilon=1e-8, **options)

    if not adversarial:
        trainer = trainers.MultiScaleTrainer(net, "mse", "gaussian")
        trainer.compile(adam(), jit_compile=jit)
        return trainer
    discriminator = keras.Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(8, 5, strides=4, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1, dtype="float32"),
        ]
    )
    trainer = trainers.AdversarialTrainer(
        net, discriminator, "mse", "gaussian", form, weight, discriminator_weight
    )
    trainer.compile(adam(), adam(), jit_compile=jit)
    return trainer


@pytest.fixture
def small():
    return small_pairs(4)


def small_pairs(count):
    sharp = np.random.default_rng(0).random((count, 16, 16, 3), "float32")
    return (sharp + np.roll(sharp, 1, axis=2)) / 2, sharp


def state(trainer):
    return [np.array(ops.convert_to_numpy(v)) for v in trainer.saved_variables]


def gradients(optimizer):
    """Those of the first step, from Adam's first moments."""
    return [np.array(v) / 0.1 for v in optimizer.variables if v.path.endswith("_momentum")]


def assert_equal(values, expected, **tolerance):
    for value, other in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, other, **{"rtol": 0, "atol": 0, **tolerance})


both_trainers = pytest.mark.parametrize(
    "adversarial", [False, True], ids=["content", "adversarial"]
)


@pytest.mark.slow
def test_adversarial_training_overfits_and_its_discriminator_learns():
    keras.utils.set_random_seed(0)
    net = models.build("deepdeblur", scales=1, filters=8, resblocks=1)
    discriminator = models.build("discriminator", filters=8)
    trainer = trainers.AdversarialTrainer(net, discriminator, "mse", "gaussian")
    trainer.compile(optimizers.SkippingAdam(2e-3), optimizers.SkippingAdam(1e-3), jit_compile=False)
    noise = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
    sharp = np.repeat(np.repeat(noise, 4, axis=1), 4, axis=2)
    blurry = np.mean([np.roll(sharp, k, axis=2) for k in range(4)], axis=0)
    history = trainer.fit(blurry, sharp, epochs=20, verbose=0).history
    assert history["psnr"][-1] > history["psnr_blurry"][-1] + 1
    sure = np.subtract(history["discriminator_real"], history["discriminator_fake"])
    assert abs(sure[0]) < 0.02 and sure.max() > 0.2


@pytest.mark.parametrize("form", ["minimax", "non_saturating"])
def test_one_step_has_the_gradients_of_each_loss_computed_alone(form, small):
    blurry, sharp = small
    trainer = make_small_trainer(True, form=form, discriminator_weight=0.5)
    net, discriminator = trainer.network, trainer.discriminator
    with tf.GradientTape() as tape:
        outputs = net(blurry)
        content = losses.multi_scale_mse(outputs, pyramid.gaussian_pyramid(sharp, 2))
        fake = discriminator(outputs[0])
        adversarial = losses.ADVERSARIAL_LOSSES[form][0](fake, fake)
        loss = content + 0.1 * adversarial
    expected = tape.gradient(loss, net.trainable_variables)
    restored = np.array(net(blurry)[0])
    with tf.GradientTape() as tape:
        loss = 0.5 * losses.discriminator_loss(discriminator(sharp), discriminator(restored))
    d_expected = tape.gradient(loss, discriminator.trainable_variables)

    logs = trainer.train_on_batch(blurry, sharp, return_dict=True)
    assert_equal(gradients(trainer.optimizer), expected, atol=1e-7, rtol=1e-4)
    assert_equal(gradients(trainer.discriminator_optimizer), d_expected, atol=1e-7, rtol=1e-4)

    for name, grads in (("", expected), ("discriminator_", d_expected)):
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in grads))
        assert logs[f"{name}gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert logs["loss"] == pytest.approx(float(content), rel=1e-4)
    levels = [logs["loss_level_1"], logs["loss_level_2"]]
    assert np.mean(levels) == pytest.approx(float(content), rel=1e-4)
    assert logs["adversarial"] == pytest.approx(float(adversarial), rel=1e-4)


def make_critic_first_trainer(seed=0, jit=False, epsilon=1e-8, accumulate=None, **options):
    """As the released code of DeblurGAN trains, with two judges."""
    keras.utils.set_random_seed(seed)
    net = models.build("deepdeblur", scales=1, filters=4, resblocks=1)
    judge = models.build("patch_discriminator", filters=2, depths=(1, 2))
    trainer = trainers.CriticFirstTrainer(net, judge, "none", "repeated", weight=1.0, **options)
    own = {"epsilon": epsilon, "gradient_accumulation_steps": accumulate}
    adams = [optimizers.SkippingAdam(1e-3, 0.5, 0.999, **own) for _ in range(2)]
    trainer.compile(*adams, jit_compile=jit)
    return trainer


@pytest.mark.slow
def test_the_generator_answers_to_a_discriminator_that_was_updated_first(small):
    blurry, sharp = small
    trainer = make_critic_first_trainer(adversarial_loss="relativistic", updates=3)
    net, judge = trainer.network, trainer.discriminator
    restored = net(blurry)[0]
    logs = trainer.train_on_batch(blurry, sharp, return_dict=True)
    assert [int(o.iterations) for o in trainer.optimizers] == [1, 3]
    pairs = list(zip(judge(sharp), judge(restored), strict=True))
    expected = np.mean([losses.relativistic_loss(real, fake) for real, fake in pairs])
    assert logs["adversarial"] == pytest.approx(expected, rel=1e-4)
    before = [np.mean(ops.sigmoid(real) - ops.sigmoid(fake)) for real, fake in pairs]
    for _ in range(30):
        logs = trainer.train_on_batch(blurry, sharp, return_dict=True)
    learned = logs["discriminator_real"] - logs["discriminator_fake"]
    assert learned > np.mean(before)


def test_the_gradient_penalty_of_a_linear_critic(small):
    trainer = make_critic_first_trainer(adversarial_loss="wasserstein", gradient_penalty=10.0)
    critic = keras.Sequential([layers.Input((None, None, 3)), layers.Conv2D(1, 1)])
    # Of length 7, per unit of [-1, 1] 3.5.
    critic.set_weights([np.array([[[[2.0], [3.0], [6.0]]]]), np.zeros(1)])
    trainer.discriminator = critic
    assert float(trainer._excess_of_gradients(*map(tf.constant, small))) == pytest.approx(2.5**2)


@pytest.mark.slow
def test_a_training_with_a_critic_goes_on_where_it_was(small):
    options = {"adversarial_loss": "wasserstein", "gradient_penalty": 10.0, "updates": 2}
    whole = make_critic_first_trainer(**options)
    whole.train_on_batch(*small)
    saved = state(whole)
    resumed = make_critic_first_trainer(seed=1, **options)
    for variable, value in zip(resumed.saved_variables, saved, strict=True):
        variable.assign(value)
    for trainer in (whole, resumed):
        trainer.train_on_batch(*small)
    assert_equal(state(resumed), state(whole))


@pytest.mark.slow
def test_a_critic_that_accumulates_changes_with_the_generator(small):
    trainer = make_critic_first_trainer(
        adversarial_loss="wasserstein", gradient_penalty=10.0, accumulate=2
    )
    models_and_weights = [(m, m.get_weights()) for m in (trainer.discriminator, trainer.network)]
    trainer.train_on_batch(*small)
    for model, before in models_and_weights:
        assert_equal(model.get_weights(), before)
    trainer.train_on_batch(*small)
    for model, before in models_and_weights:
        assert any((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))


@pytest.mark.slow
def test_no_generator_loss_reaches_the_discriminator(small):
    steps = []
    for weight in (0, 1000):
        trainer = make_small_trainer(True, weight=weight)
        trainer.train_on_batch(*small)
        steps.append(gradients(trainer.discriminator_optimizer))
    assert_equal(*steps)


def test_weight_0_is_training_on_content_alone(small):
    weights = []
    for adversarial in (False, True):
        trainer = make_small_trainer(adversarial, weight=0)
        for _ in range(5):
            trainer.train_on_batch(*small)
        weights.append(trainer.network.get_weights())
    assert_equal(*weights)


def assert_xla_takes_the_same_adversarial_step():
    states = []
    for jit in (False, True):
        trainer = make_small_trainer(True, jit=jit)
        assert trainer.jit_compile == jit
        trainer.train_on_batch(*small_pairs(4))
        states.append(state(trainer))
    assert_equal(*states, atol=1e-5)


@pytest.mark.slow
def test_xla_takes_the_same_adversarial_step():
    # In a process of its own: after a run, which is deterministic, Keras would leave out XLA.
    name = assert_xla_takes_the_same_adversarial_step.__name__
    other_backend.run_on(
        "tensorflow", f"import test_trainers as t; t.{name}()", cwd=os.path.dirname(__file__)
    )


def test_validation_logs_nothing_of_the_discriminator(small):
    logs = make_small_trainer(True).evaluate(*small, return_dict=True, verbose=0)
    assert set(logs) == {"loss", "psnr", "psnr_blurry"}


def test_both_networks_pass_over_a_step_that_is_not_finite(small):
    trainer = make_small_trainer(True)
    trainer.train_on_batch(*small)
    before = [*trainer.network.get_weights(), *trainer.discriminator.get_weights()]
    trainer.train_on_batch(np.full_like(small[0], np.nan), small[1])
    assert [int(o.skipped_in_row) for o in trainer.optimizers] == [1, 1]
    assert_equal([*trainer.network.get_weights(), *trainer.discriminator.get_weights()], before)


@pytest.mark.slow
@both_trainers
def test_saved_variables_are_all_that_a_training_goes_on_from(adversarial, small):
    options = {
        "use_ema": True,
        "gradient_accumulation_steps": 2,
        "global_clipnorm": 0.05,
        "weight_decay": 0.1,
    }
    whole = make_small_trainer(adversarial, **options)
    for _ in range(3):  # ends between two halves of an accumulated step
        whole.train_on_batch(*small)
    saved = state(whole)
    resumed = make_small_trainer(adversarial, seed=1, **options)
    for variable, value in zip(resumed.saved_variables, saved, strict=True):
        variable.assign(value)
    for trainer in (whole, resumed):
        for _ in range(3):
            trainer.train_on_batch(*small)
    assert_equal(state(resumed), state(whole))


@pytest.mark.slow
@both_trainers
def test_float16_scales_the_loss_of_every_network(adversarial, small, monkeypatch):
    monkeypatch.setattr(optimizers, "GOOD_BEFORE_DOUBLING", 2)
    with precision.policy("float16"):
        trainer = make_small_trainer(adversarial)

    def scales():
        return [float(o.loss_scale) for o in trainer.optimizers]

    networks = len(trainer.optimizers)
    assert scales() == [2.0**15] * networks
    trainer.train_on_batch(*small)
    full = make_small_trainer(adversarial)
    full.train_on_batch(*small)
    for half, single in zip(trainer.optimizers, full.optimizers, strict=True):
        for value, expected in zip(gradients(half), gradients(single), strict=True):
            np.testing.assert_allclose(value, expected, atol=0.05 * np.abs(expected).max())
    trainer.train_on_batch(np.full_like(small[0], np.nan), small[1])
    assert scales() == [2.0**14] * networks
    for _ in range(2):
        trainer.train_on_batch(*small)
    assert scales() == [2.0**15] * networks
    assert [int(o.skipped) for o in trainer.optimizers] == [1] * networks


@pytest.mark.parametrize(("scale", "vanishes"), [(1.0, True), (None, False)])
def test_float16_gradients_vanish_unless_the_loss_is_scaled(scale, vanishes, small):
    """With an error of 1e-5 everywhere, the loss's gradients are below float16's least, 6e-8."""
    with precision.policy("float16"):
        net = models.build("deepdeblur", scales=1, filters=8, resblocks=1)
        trainer = trainers.MultiScaleTrainer(net, "mse", "gaussian")
        trainer.compile(optimizers.SkippingAdam(1e-3, loss_scale=scale), jit_compile=False)
    last = net.get_layer("scale1").get_layer("conv_out")
    last.set_weights([np.zeros_like(w) for w in last.get_weights()])  # so every output is 0.5
    trainer.train_on_batch(small[0], np.full_like(small[1], 0.5 + 1e-5))
    assert all(not g.any() for g in gradients(trainer.optimizer)) == vanishes


def test_bfloat16_needs_no_loss_scale(small):
    with precision.policy("bfloat16"):
        trainer = make_small_trainer(True)
    trainer.train_on_batch(*small)
    assert [float(o.loss_scale) for o in trainer.optimizers] == [1, 1]


@pytest.mark.slow
@both_trainers
def test_two_accumulated_batches_equal_one_of_double_size(adversarial, small):
    blurry, sharp = small
    whole = make_small_trainer(adversarial)
    parts = make_small_trainer(adversarial, gradient_accumulation_steps=2)
    for _ in range(2):
        whole.train_on_batch(blurry, sharp)
        before = parts.network.get_weights()
        parts.train_on_batch(blurry[:2], sharp[:2])
        assert_equal(parts.network.get_weights(), before)
        parts.train_on_batch(blurry[2:], sharp[2:])
    assert_equal(parts.network.get_weights(), whole.network.get_weights(), atol=1e-6)


def test_gradients_are_clipped_to_a_global_norm(small):
    trainer = make_small_trainer(True, global_clipnorm=0.01)
    logs = trainer.train_on_batch(*small, return_dict=True)
    assert min(logs["gradient_norm"], logs["discriminator_gradient_norm"]) > 0.01
    for optimizer in trainer.optimizers:
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients(optimizer)))
        assert norm == pytest.approx(0.01, rel=1e-4)


@pytest.mark.slow
@both_trainers
def test_moving_averages_are_measured_and_training_goes_on_from_the_weights(adversarial, small):
    blurry, sharp = small
    trainer = make_small_trainer(adversarial, use_ema=True, ema_momentum=0.5)
    net = trainer.network
    first = net.get_weights()
    with trainer.averaged_weights():
        assert_equal(net.get_weights(), first)  # there are no averages yet
    trainer.train_on_batch(blurry, sharp)
    averages = net.get_weights()
    for _ in range(2):
        trainer.fit(blurry, sharp, verbose=0)
        averages = [(a + w) / 2 for a, w in zip(averages, net.get_weights(), strict=True)]
    weights = net.get_weights()
    with trainer.averaged_weights():
        assert_equal(net.get_weights(), averages, atol=1e-6)
    assert_equal(net.get_weights(), weights)

    measured = trainer.evaluate(blurry, sharp, return_dict=True, verbose=0)
    net.set_weights(averages)
    values = trainers.psnr(sharp, net(blurry)[0])
    assert measured["psnr"] == pytest.approx(float(ops.mean(values)), abs=1e-3)


def train_under(strategy):
    """What both trainers end with, all options on; one batch is not finite, in one half of it."""
    blurry, sharp = small_pairs(12)
    blurry[7] = np.nan
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = tf.data.Dataset.from_tensor_slices((blurry, sharp)).batch(4).with_options(options)
    ends = []
    for adversarial in (False, True):
        with strategy.scope():
            trainer = make_small_trainer(
                adversarial,
                gradient_accumulation_steps=2,
                global_clipnorm=0.05,
                weight_decay=0.1,
                use_ema=True,
                ema_momentum=0.5,
            )
        trainer.fit(data, epochs=2, shuffle=False, verbose=0, validation_data=data)
        assert all(ops.convert_to_numpy(o.skipped) == 2 for o in trainer.optimizers)
        for variable in trainer.saved_variables:
            first, *others = strategy.experimental_local_results(variable.value)
            assert_equal(others, [first] * len(others))
        ends += state(trainer)
        with trainer.averaged_weights():
            ends += trainer.network.get_weights()
    return ends


@pytest.fixture(scope="module")
def end_on_one_device():
    return train_under(tf.distribute.get_strategy())


def main(kind, path):
    """A process of its own: TensorFlow's devices are fixed when it starts."""
    if kind == "devices":
        workers.make_two_devices()
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    np.savez(path, *train_under(strategy))


def assert_end(result, path, expected):
    status, output = result
    assert status == 0, output
    with np.load(path) as values:
        assert_equal(values.values(), expected, atol=1e-6)


@pytest.mark.slow
def test_two_devices_train_as_one(end_on_one_device, tmp_path):
    path = tmp_path / "end.npz"
    (result,) = workers.end([workers.start(__file__, "devices", path)])
    assert_end(result, path, end_on_one_device)


@pytest.mark.long  # that runs do, test_strategies.py shows; here is a discriminator, too
def test_two_machines_train_as_one(end_on_one_device, tmp_path):
    paths = [tmp_path / f"worker{i}.npz" for i in range(2)]
    machines = workers.start_cluster(__file__, *(("machines", path) for path in paths))
    for result, path in zip(workers.end(machines), paths, strict=True):
        assert_end(result, path, end_on_one_device)


@pytest.mark.slow
def test_trains_on_jax():
    """The same trainer, through compile and fit, on Keras's other backend."""
    pytest.importorskip("jax")
    code = (
        "import keras, numpy as np, tfdeblur.errors\n"
        "from tfdeblur import models\n"
        "from tfdeblur.training import optimizers, trainers\n"
        "keras.utils.set_random_seed(0)\n"
        "assert keras.backend.backend() == 'jax'\n"
        "net = models.build('mimo_unet', filters=8, resblocks=1)\n"
        "trainer = trainers.MultiScaleTrainer(net, 'mimo_unet', 'bilinear')\n"
        "trainer.compile(optimizer=optimizers.SkippingAdam(3e-3, use_ema=True, ema_momentum=0.5, "
        "weight_decay=1e-3))\n"
        "sharp = np.random.default_rng(0).random((2, 16, 16, 3), 'float32')\n"
        "blurry = (sharp + np.roll(sharp, 1, 2)) / 2\n"
        "loss = trainer.fit(blurry, sharp, epochs=40, verbose=0).history['loss']\n"
        "assert loss[-1] < 0.9 * loss[0], loss\n"
        "trainer.fit(blurry * np.nan, sharp, epochs=2, verbose=0)\n"
        "assert int(trainer.optimizer.skipped_in_row) == 2\n"
        "weights = net.get_weights()\n"
        "assert all(np.isfinite(w).all() for w in weights)\n"
        "for _ in range(2):\n"
        "    trainer.evaluate(blurry, sharp, verbose=0)\n"
        "with trainer.averaged_weights():\n"
        "    assert any((a != w).any() for a, w in zip(net.get_weights(), weights))\n"
        "assert all((a == w).all() for a, w in zip(net.get_weights(), weights))\n"
        "try:\n"
        "    trainers.AdversarialTrainer(net, net, 'mse', 'gaussian')\n"
        "except tfdeblur.errors.InputError as error:\n"
        "    assert 'KERAS_BACKEND=tensorflow' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    other_backend.run_on("jax", code)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepdeblur", "mimo_unet"])
def test_gradient_checkpointing_trains_to_the_same_weights(name, batch):
    weights = []
    for gradient_checkpointing in (False, True):
        keras.utils.set_random_seed(0)
        net = models.build(name, filters=8, resblocks=1)
        trainer = trainers.MultiScaleTrainer(net, "mse", "bilinear", gradient_checkpointing)
        trainer.compile(optimizer=optimizers.SkippingAdam(1e-3, epsilon=1e-3), jit_compile=False)
        for _ in range(3):
            trainer.train_on_batch(*batch)
        weights.append(net.get_weights())
    assert_equal(*weights, atol=1e-5)


if __name__ == "__main__":
    main(*sys.argv[1:])
