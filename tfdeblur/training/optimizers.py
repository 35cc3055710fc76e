"""Adam, as training needs it: it passes over broken batches, and scales losses for float16."""

import keras
import tensorflow as tf
from keras import ops

FIRST_LOSS_SCALE = 2.0**15
GOOD_BEFORE_DOUBLING = 2000  # batches until the loss scale grows


def prepare(optimizer, network):
    """Builds the network's optimizer; in float16, it scales the loss."""
    if network.compute_dtype == "float16" and not optimizer.first_loss_scale:
        optimizer.first_loss_scale = FIRST_LOSS_SCALE
    optimizer.build(network.trainable_variables)


@keras.saving.register_keras_serializable("tfdeblur")
class SkippingAdam(keras.optimizers.Adam):
    """Adam that passes over batches whose gradients are not finite, and counts them.

    Such a batch changes neither weights nor moments nor the iteration. `skipped` counts all of
    them, `skipped_in_row` those since the last good one; `gradient_norm` is the global norm, before
    clipping, of the last good one's gradients.

    Of Keras's options, `global_clipnorm` clips the gradients that are applied; `weight_decay`
    shrinks the weights by so much times the rate in each update, beside what Adam does (AdamW);
    `gradient_accumulation_steps=n` applies the mean gradient of n batches with the last of them;
    `use_ema` and `ema_momentum` keep moving averages of the weights. The rate's schedule and the
    moving averages count batches, accumulated ones too.

    Under `tf.distribute`, gradients are first summed over the replicas, which all agree then.

    Args:
        *args, **kwargs: of `keras.optimizers.Adam`.
        loss_scale: what the loss is multiplied by, so that gradients do not vanish in float16; None
            for 1. It is the first value: halved where a batch is passed over, doubled after 2000
            good ones in a row. The trainers set it for networks that compute in float16.
    """

    def __init__(self, *args, loss_scale=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.first_loss_scale = loss_scale

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.skipped, self.skipped_in_row, self.good_in_row = (
            self.add_variable((), dtype="int32", name=name)
            for name in ("skipped", "skipped_in_row", "good_in_row")
        )
        self.gradient_norm = self.add_variable((), name="gradient_norm")
        self.loss_scale = self.add_variable(
            (), keras.initializers.Constant(self.first_loss_scale or 1), name="loss_scale"
        )

    @property
    def batches(self):
        """Variable: how many batches it was given, without those that it passed over."""
        return self._iterations  # `iterations` counts what changed the weights

    def scale_loss(self, loss):
        return loss * self.loss_scale

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            self.build(trainable_variables)
        grads = _sum_over_replicas(grads)
        norm = _global_norm(grads) / self.loss_scale
        finite = ops.isfinite(norm)
        # Not `ops.cond`: its branches may not assign variables on JAX, nor wait for other replicas.
        # Weights and moments, which are large, change by zero; the rest is put back.
        self._kept = ops.cast(finite, "float32")
        moments = {id(v) for v in (*self._momentums, *self._velocities)}
        changed = [v for v in self.variables if id(v) not in moments]
        before = [ops.copy(v.value) for v in changed]
        factor = self._kept / self.loss_scale
        super().apply([_scaled(g, factor) for g in grads], trainable_variables)
        for variable, value in zip(changed, before, strict=True):
            variable.assign(ops.where(finite, variable.value, value))
        self._count(finite, norm)

    def assign_averages(self):
        """Replaces the weights by their moving averages, where `use_ema` keeps some."""
        if ops.convert_to_numpy(self.iterations) > 0:
            super().finalize_variable_values(self._trainable_variables)

    def finalize_variable_values(self, var_list):
        """Nothing: `fit` ends with it, and would lose the weights that a training goes on from.

        See `assign_averages`.
        """

    def get_config(self):
        return {**super().get_config(), "loss_scale": self.first_loss_scale}

    # Keras's methods of these names sum over the replicas, which is done already, or wait for all
    # of them, which they cannot inside the condition that accumulation is.
    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # Keras's own `update_step` computes what is the same for all variables for each of them.
        step = ops.cast(self.iterations + 1, "float32")
        powers = self.beta_1**step, self.beta_2**step
        betas = [1 - self._kept * (1 - beta) for beta in (self.beta_1, self.beta_2)]
        scalars = (*powers, self._kept * learning_rate, *betas, self.epsilon)
        update = _adam_in_one_pass if keras.backend.backend() == "tensorflow" else _adam
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            update(variable, self._momentums[index], self._velocities[index], *scalars, gradient)

    def _apply_weight_decay(self, variables):
        if self.weight_decay is None:
            return
        share = self._kept * self.weight_decay * self.learning_rate
        for variable in variables:
            if keras.backend.backend() == "tensorflow":
                tf.raw_ops.AssignSubVariableOp(
                    resource=variable.value.handle, value=variable.value * share
                )
            else:
                variable.assign(variable - variable * share)

    def _backend_increment_gradient_accumulators(self, grads, acc_grads):
        for gradient, accumulator in zip(grads, acc_grads, strict=True):
            accumulator.assign_add(gradient)

    def _count(self, finite, norm):
        bad = ops.cast(~finite, "int32")
        self.skipped.assign(self.skipped + bad)
        self.skipped_in_row.assign((self.skipped_in_row + 1) * bad)
        self.gradient_norm.assign(ops.where(finite, norm, self.gradient_norm.value))
        if self.first_loss_scale:
            double = self.good_in_row + 1 == GOOD_BEFORE_DOUBLING
            factor = ops.where(finite, ops.where(double, 2.0, 1.0), 0.5)
            self.loss_scale.assign(self.loss_scale * factor)
            self.good_in_row.assign(ops.where(finite & ~double, self.good_in_row + 1, 0))


def _global_norm(gradients):
    if keras.backend.backend() == "tensorflow":
        return tf.linalg.global_norm(gradients)  # makes no arrays of squares
    return ops.sqrt(sum(ops.sum(ops.square(g)) for g in gradients))


def _scaled(gradient, factor):
    """gradient x factor; zeros where the factor is zero, whatever the gradient."""
    if keras.backend.backend() == "tensorflow":
        return tf.math.multiply_no_nan(gradient, factor)  # in the gradient's own memory
    return ops.where(factor > 0, gradient * factor, 0)


def _adam_in_one_pass(variable, m, v, power_1, power_2, rate, beta_1, beta_2, epsilon, gradient):
    """As `_adam`, without arrays for what is between; TensorFlow's alone."""
    tf.raw_ops.ResourceApplyAdam(
        var=variable.value.handle,
        m=m.value.handle,
        v=v.value.handle,
        beta1_power=power_1,
        beta2_power=power_2,
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=gradient,
    )


def _adam(variable, m, v, power_1, power_2, rate, beta_1, beta_2, epsilon, gradient):
    m.assign(m + (gradient - m) * (1 - beta_1))
    v.assign(v + (ops.square(gradient) - v) * (1 - beta_2))
    rate = rate * ops.sqrt(1 - power_2) / (1 - power_1)
    variable.assign(variable - m * rate / (ops.sqrt(v) + epsilon))


def _sum_over_replicas(gradients):
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return gradients
    return tf.distribute.get_replica_context().all_reduce("SUM", gradients)
