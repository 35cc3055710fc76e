"""What every restoring network has in common."""

import keras

from tfdeblur.precision import on_cpu


class Network(keras.Model):
    """A functional Keras model that is rebuilt from its hyperparameters, not from a stored graph.

    So a `.keras` file holds hyperparameters and float32 weights, and the dtype policy in force
    when it is loaded decides the precision.

    Args:
        image, outputs: the functional model's input `[B, H, W, 3]` in [0, 1] and its outputs.
        stride: H and W must be multiples of it.
        live_maps: feature maps of full size that restoring holds at once, at least.
        trained_maps: those that a training step holds until its backward pass, at least.
        hyperparameters: the arguments of the subclass's constructor, without its name.
    """

    def __init__(self, image, outputs, *, stride, live_maps, trained_maps, hyperparameters, name):
        super().__init__(image, outputs, name=name)
        self.stride = stride
        self.live_maps = live_maps
        self.trained_maps = trained_maps
        # "auto" may choose XLA, which makes these networks several times slower on a CPU.
        self.jit_compile = not on_cpu() or keras.backend.backend() == "jax"
        self.hyperparameters = dict(hyperparameters)
        self._is_list = isinstance(outputs, list)

    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training, mask=mask)
        # Keras unpacks a list of one output; a network of one level still returns a list.
        return [outputs] if self._is_list and len(self.outputs) == 1 else outputs

    def get_config(self):
        return {**self.hyperparameters, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
