"""Training steps: networks, losses and optimizers brought together for Keras's `fit`."""

import contextlib
import functools

import keras
import tensorflow as tf
from keras import ops

from tfdeblur.errors import InputError
from tfdeblur.losses import ADVERSARIAL_LOSSES, LOSSES, perceptual_loss
from tfdeblur.models.gradient_checkpointing import checkpointed
from tfdeblur.pyramid import PYRAMIDS
from tfdeblur.training.optimizers import prepare


class MultiScaleTrainer(keras.Model):
    """Trains a network on the loss over all its levels; used through `compile` and `fit`.

    Data are batches (blurry, sharp), float32 `[B, H, W, 3]` in [0, 1]. Beside the loss it logs
    `psnr` of level 1 and `psnr_blurry` of its input, in dB, the mean over images.

    Under a `tf.distribute` strategy, in whose scope network, trainer and optimizer must be made,
    each replica takes an equal share of the batch, and a step does what it does on one device, but
    for dropout, batch normalization and the relativistic loss, which are each replica's own.

    Args:
        network: a network of `tfdeblur.models`; it is what should be saved, not the trainer.
        loss: a key of `losses.LOSSES`.
        loss_weight: the `weight` of those that have one; None: the paper's.
        label_pyramid: a key of `pyramid.PYRAMIDS`, which makes the labels of all levels.
        gradient_checkpointing: trains in less memory, but more slowly; see
            `models.gradient_checkpointing`.
        features: a frozen model for `losses.perceptual_loss` of level 1, which is added to the
            loss; None for none.
        features_weight: of that loss.
    """

    def __init__(
        self,
        network,
        loss,
        label_pyramid,
        gradient_checkpointing=False,
        features=None,
        features_weight=1.0,
        loss_weight=None,
    ):
        super().__init__()
        self.network = network
        self.features = features
        self.features_weight = features_weight
        self.gradient_checkpointing = gradient_checkpointing
        computing = network.computing()
        self.trained = checkpointed(computing) if gradient_checkpointing else computing
        self.multi_scale_loss = LOSSES[loss]
        if loss_weight is not None:
            self.multi_scale_loss = functools.partial(LOSSES[loss], weight=loss_weight)
        self.label_pyramid = PYRAMIDS[label_pyramid]
        self.psnr = keras.metrics.Mean("psnr")
        self.psnr_blurry = keras.metrics.Mean("psnr_blurry")

    def compile(self, optimizer, **options):
        """As Keras's, with a `SkippingAdam`."""
        super().compile(optimizer, auto_scale_loss=False, **options)
        prepare(optimizer, self.network)

    @property
    def optimizers(self):
        return [self.optimizer]

    @property
    def saved_variables(self):
        """What a training has to save in order to go on, always in the same order."""
        return [*self.network.variables, *self.optimizer.variables]

    @contextlib.contextmanager
    def averaged_weights(self):
        """Inside, the network has the moving averages of its weights, if the optimizer keeps any.

        They are what `evaluate` measures and what should be saved for use; `fit` goes on from the
        weights themselves.
        """
        variables = self.network.trainable_variables
        weights = [ops.convert_to_numpy(v) for v in variables]
        self.optimizer.assign_averages()
        for variable in variables:
            # JAX would let both have one array, and `evaluate` uses up those of the network.
            variable.assign(ops.copy(variable.value))
        try:
            yield
        finally:
            for variable, value in zip(variables, weights, strict=True):
                variable.assign(value)

    def evaluate(self, *args, **kwargs):
        with self.averaged_weights():
            return super().evaluate(*args, **kwargs)

    def build(self, input_shape):
        self.built = True  # the network is

    def get_metrics_result(self):
        logs = super().get_metrics_result()
        if _on_several_machines():
            # Keras averages what a step returns over the machines, along a first axis.
            logs = {name: ops.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        pass  # All is built, and Keras's fails on a batch that is spread over several machines.

    def call(self, blurry, training=None):
        return keras.tree.flatten(self.trained(blurry, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return _share(self.content_loss(y_pred, self.label_pyramid(y, len(y_pred))))

    def content_loss(self, outputs, labels):
        """The loss over all levels, and the perceptual one if there is any."""
        loss = self.multi_scale_loss(outputs, labels)
        if self.features is None:
            return loss
        perceptual = perceptual_loss(self.features, outputs[0], labels[0])
        return loss + self.features_weight * perceptual

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.psnr.update_state(psnr(y, y_pred[0]))
        self.psnr_blurry.update_state(psnr(y, x))
        return self.get_metrics_result()


class AdversarialTrainer(MultiScaleTrainer):
    """Trains a network together with a discriminator of its level 1 (Nah et al. 2017, section 3.2).

    The network, as the generator, minimises content loss + `weight` x adversarial loss, the
    discriminator its own part of `losses.ADVERSARIAL_LOSSES`. Each step updates both, from one
    forward pass of the generator. It needs Keras's TensorFlow backend.

    Of Nah et al., the adversarial loss "minimax" is the paper's; "non_saturating" is that of the
    code behind its tables, which teaches the generator also while the discriminator is sure of
    itself. There, too, each answers to what the other was before the step.

    Beside what `MultiScaleTrainer` logs (`loss` is the content loss) it logs, of training alone:
    `loss_level_k`, the content loss of level k by itself; `adversarial`, the generator's
    adversarial loss, unweighted; `discriminator_real` and `discriminator_fake`, the mean
    probability, says the discriminator, that sharp images and restored ones are sharp;
    `gradient_norm` and `discriminator_gradient_norm`, see `SkippingAdam`.

    Args:
        network, loss, label_pyramid, **options: see `MultiScaleTrainer`.
        discriminator: a model from images `[B, H, W, 3]` in [0, 1] to logits, or to a list of them,
            whose losses are averaged. `models.Discriminator` judges 256x256 alone: so must the
            crops be.
        adversarial_loss: a key of `losses.ADVERSARIAL_LOSSES`.
        weight: of the adversarial loss, 1e-4 in the paper.
        discriminator_weight: of the discriminator's loss, which counts beside Adam's epsilon.

    Raises:
        InputError: Keras runs on another backend.
    """

    def __init__(
        self,
        network,
        discriminator,
        loss,
        label_pyramid,
        adversarial_loss="minimax",
        weight=1e-4,
        discriminator_weight=1.0,
        **options,
    ):
        if keras.backend.backend() != "tensorflow":
            raise InputError(
                f"adversarial training cannot run on {keras.backend.backend()}: "
                "set KERAS_BACKEND=tensorflow."
            )
        super().__init__(network, loss, label_pyramid, **options)
        self.discriminator = discriminator
        self.generator_loss, self.discriminator_loss = ADVERSARIAL_LOSSES[adversarial_loss]
        self.weight = weight
        self.discriminator_weight = discriminator_weight
        names = [f"loss_level_{k + 1}" for k in range(len(network.outputs))]
        names += ["adversarial", "discriminator_real", "discriminator_fake"]
        names += ["gradient_norm", "discriminator_gradient_norm"]
        self.training_metrics = {name: keras.metrics.Mean(name) for name in names}

    def compile(self, optimizer, discriminator_optimizer, **options):
        """As Keras's, with a `SkippingAdam` for each of the two networks."""
        super().compile(optimizer, **options)
        self.discriminator_optimizer = discriminator_optimizer
        prepare(discriminator_optimizer, self.discriminator)

    @property
    def optimizers(self):
        return [self.optimizer, self.discriminator_optimizer]

    @property
    def saved_variables(self):
        own = [*self.discriminator.variables, *self.discriminator_optimizer.variables]
        return super().saved_variables + own

    def train_step(self, data):
        blurry, sharp, _ = keras.utils.unpack_x_y_sample_weight(data)
        labels = self.label_pyramid(sharp, len(self.network.outputs))
        with tf.GradientTape(persistent=True) as tape:
            outputs = self(blurry, training=True)
            real = self.discriminator(sharp, training=True)
            fake = self.discriminator(outputs[0], training=True)
            content = self.content_loss(outputs, labels)
            adversarial = _mean_over_judges(self.generator_loss, real, fake)
            loss = self.optimizer.scale_loss(_share(content + self.weight * adversarial))
            d_loss = _mean_over_judges(self.discriminator_loss, real, fake)
            d_loss *= self.discriminator_weight
            d_loss = self.discriminator_optimizer.scale_loss(_share(d_loss))

        # Each loss is differentiated with respect to its own network's weights alone: to the
        # discriminator's the restored images are constants, to the generator's the discriminator.
        weights = self.network.trainable_variables
        d_weights = self.discriminator.trainable_variables
        gradients = tape.gradient(loss, weights)
        d_gradients = tape.gradient(d_loss, d_weights)
        self.optimizer.apply(gradients, weights)
        self.discriminator_optimizer.apply(d_gradients, d_weights)
        self._log_step(outputs, labels, content, adversarial, real, fake)
        return self.compute_metrics(blurry, sharp, outputs)

    def _log_step(self, outputs, labels, content, adversarial, real, fake):
        self._loss_tracker.update_state(content)
        for k, (output, label) in enumerate(zip(outputs, labels, strict=True), start=1):
            self._log(f"loss_level_{k}", self.multi_scale_loss([output], [label]))
        self._log("adversarial", adversarial)
        for name, logits in (("real", real), ("fake", fake)):
            means = [ops.mean(ops.sigmoid(judged)) for judged in keras.tree.flatten(logits)]
            self._log(f"discriminator_{name}", sum(means) / len(means))
        self._log("gradient_norm", self.optimizer.gradient_norm)
        self._log("discriminator_gradient_norm", self.discriminator_optimizer.gradient_norm)

    def test_step(self, data):
        logs = super().test_step(data)
        return {name: value for name, value in logs.items() if name not in self.training_metrics}

    def _log(self, name, value):
        self.training_metrics[name].update_state(value)


class CriticFirstTrainer(AdversarialTrainer):
    """Adversarial training in which each step updates the discriminator first, once or more often.

    The generator then answers to the new one. So the released code of DeblurGAN and DeblurGAN-v2
    trains (Kupyn et al. 2018, 2019).

    Args:
        *args, **options: see `AdversarialTrainer`.
        updates: of the discriminator in a step, all on the same images.
        gradient_penalty: weight of (|gradient of D| - 1)^2 between sharp and restored images, for
            images in [-1, 1], the length that over the channels of each pixel, as the released code
            has it; 0 for none.
    """

    def __init__(self, *args, updates=1, gradient_penalty=0.0, **options):
        super().__init__(*args, **options)
        self.updates = updates
        self.gradient_penalty = gradient_penalty

    def train_step(self, data):
        blurry, sharp, _ = keras.utils.unpack_x_y_sample_weight(data)
        labels = self.label_pyramid(sharp, len(self.network.outputs))
        with tf.GradientTape() as tape:
            outputs = self(blurry, training=True)
            with tape.stop_recording():
                for _ in range(self.updates):
                    self._update_discriminator(sharp, outputs[0])
            real = self.discriminator(sharp, training=True)
            fake = self.discriminator(outputs[0], training=True)
            content = self.content_loss(outputs, labels)
            adversarial = _mean_over_judges(self.generator_loss, real, fake)
            loss = self.optimizer.scale_loss(_share(content + self.weight * adversarial))
        weights = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self._log_step(outputs, labels, content, adversarial, real, fake)
        return self.compute_metrics(blurry, sharp, outputs)

    def _update_discriminator(self, sharp, restored):
        weights = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            real = self.discriminator(sharp, training=True)
            fake = self.discriminator(restored, training=True)
            loss = _mean_over_judges(self.discriminator_loss, real, fake)
            loss *= self.discriminator_weight
            if self.gradient_penalty:
                loss += self.gradient_penalty * self._excess_of_gradients(sharp, restored)
            loss = self.discriminator_optimizer.scale_loss(_share(loss))
        self.discriminator_optimizer.apply(tape.gradient(loss, weights), weights)

    def _excess_of_gradients(self, sharp, restored):
        # By the count of updates, so that a resumed run draws what one that was not stopped would.
        updates = tf.cast(self.discriminator_optimizer.batches.value, tf.int64)
        share = tf.random.stateless_uniform([], tf.stack([updates, 0]))
        between = share * sharp + (1 - share) * restored
        with tf.GradientTape() as tape:
            tape.watch(between)
            logits = self.discriminator(between, training=True)
            judged = sum(tf.reduce_sum(x) for x in keras.tree.flatten(logits))
        # Per unit of [-1, 1], the authors' range of images; ours is half as wide.
        gradients = tape.gradient(judged, between) / 2
        squares = tf.reduce_sum(tf.square(gradients), axis=-1)
        return tf.reduce_mean(tf.square(tf.sqrt(squares + 1e-12) - 1))


def _mean_over_judges(loss, real, fake):
    pairs = list(zip(keras.tree.flatten(real), keras.tree.flatten(fake), strict=True))
    return sum(loss(*pair) for pair in pairs) / len(pairs)


def psnr(reference, images):
    """Peak signal-to-noise ratio of each image in a batch, in dB: `[B]`.

    Both are `[B, H, W, 3]` in [0, 1], the images clipped to it; equal images count as 100 dB.
    """
    error = ops.cast(reference, "float32") - ops.clip(ops.cast(images, "float32"), 0, 1)
    mse = ops.mean(ops.square(error), axis=(1, 2, 3))
    return -10 * ops.log10(ops.maximum(mse, 1e-10))


def _share(loss):
    """This replica's share of the mean over the whole batch, from the mean over its own part."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _on_several_machines():
    strategy = tf.distribute.get_strategy()
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and not tf.distribute.in_cross_replica_context()
    )
