"""Training steps: a network, its loss and its optimizer brought together for Keras's `fit`."""

import keras
from keras import ops

from tfdeblur.losses import LOSSES
from tfdeblur.pyramid import PYRAMIDS


class MultiScaleTrainer(keras.Model):
    """Trains a network on the loss over all its levels; used through `compile` and `fit`.

    Data are batches (blurry, sharp), float32 `[B, H, W, 3]` in [0, 1]. Beside the loss it logs
    `psnr` of level 1 and `psnr_blurry` of its input, in dB, the mean over images.

    Args:
        network: a network of `tfdeblur.models`; it is what should be saved, not the trainer.
        loss: a key of `losses.LOSSES`.
        label_pyramid: a key of `pyramid.PYRAMIDS`, which makes the labels of all levels.
    """

    def __init__(self, network, loss, label_pyramid):
        super().__init__()
        self.network = network
        self.multi_scale_loss = LOSSES[loss]
        self.label_pyramid = PYRAMIDS[label_pyramid]
        self.psnr = keras.metrics.Mean("psnr")
        self.psnr_blurry = keras.metrics.Mean("psnr_blurry")

    def build(self, input_shape):
        self.built = True  # the network is

    def call(self, blurry, training=None):
        return self.network(blurry, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.multi_scale_loss(y_pred, self.label_pyramid(y, len(y_pred)))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.psnr.update_state(psnr(y, y_pred[0]))
        self.psnr_blurry.update_state(psnr(y, x))
        return self.get_metrics_result()


def psnr(reference, images):
    """Peak signal-to-noise ratio of each image in a batch, in dB: `[B]`.

    Both are `[B, H, W, 3]` in [0, 1], the images clipped to it; equal images count as 100 dB.
    """
    error = ops.cast(reference, "float32") - ops.clip(ops.cast(images, "float32"), 0, 1)
    mse = ops.mean(ops.square(error), axis=(1, 2, 3))
    return -10 * ops.log10(ops.maximum(mse, 1e-10))


@keras.saving.register_keras_serializable("tfdeblur")
class SkippingAdam(keras.optimizers.Adam):
    """Adam that passes over steps whose gradients are not finite, and counts them.

    Such a step changes neither weights nor moments nor the iteration. `skipped` counts all of
    them, `skipped_in_row` those since the last good step.
    """

    def build(self, variables):
        super().build(variables)
        self.skipped, self.skipped_in_row = (
            self.add_variable((), initializer="zeros", dtype="int32", name=name)
            for name in ("skipped", "skipped_in_row")
        )

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            self.build(trainable_variables)
        finite = ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in grads]))
        skipped = self.skipped + ops.cast(~finite, "int32")
        skipped_in_row = ops.where(finite, 0, self.skipped_in_row + 1)
        changed = [*self.variables, *(trainable_variables or self._trainable_variables)]
        before = [ops.copy(v.value) for v in changed]
        super().apply(grads, trainable_variables)
        # Not `ops.cond`: its branches may not assign variables on JAX.
        for variable, value in zip(changed, before, strict=True):
            variable.assign(ops.where(finite, variable.value, value))
        self.skipped.assign(skipped)
        self.skipped_in_row.assign(skipped_in_row)
