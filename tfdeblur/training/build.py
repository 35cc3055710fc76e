"""From a recipe to a compiled trainer, and the memory that its steps take."""

import numpy as np
import tensorflow as tf

from tfdeblur import memory, models, weights
from tfdeblur.data.augment import AUGMENTATIONS
from tfdeblur.errors import InputError, did_you_mean
from tfdeblur.losses import WEIGHTED
from tfdeblur.models import vgg19
from tfdeblur.models.gradient_checkpointing import checkpointed
from tfdeblur.models.initialization import INITIALIZATIONS
from tfdeblur.pyramid import PYRAMIDS
from tfdeblur.training.optimizers import SkippingAdam
from tfdeblur.training.trainers import AdversarialTrainer, CriticFirstTrainer, MultiScaleTrainer


def build_trainer(recipe, initial_weights=None):
    """A compiled trainer of `tfdeblur.training.trainers` with the network of a recipe.

    It computes in the present `precision.policy`, under the present `tf.distribute` strategy. The
    features of a perceptual loss are those of random weights until `weights.vgg19.load_vgg19`.

    Raises:
        InputError: see `build_network`; or the crops do not fit the discriminator, or gradients
            cannot be accumulated.
    """
    network = build_network(recipe, initial_weights)
    jit = network.jit_compile and tf.distribute.get_strategy().num_replicas_in_sync == 1
    arguments = {
        "network": network,
        "loss": recipe.loss,
        "loss_weight": recipe.loss_weight,
        "label_pyramid": recipe.label_pyramid,
        "gradient_checkpointing": recipe.gradient_checkpointing,
    }
    if recipe.perceptual:
        chosen = recipe.perceptual
        arguments["features"] = vgg19.vgg19_conv3_3(chosen.mean, chosen.deviation)
        arguments["features_weight"] = chosen.weight
    if recipe.adversarial is None:
        trainer = MultiScaleTrainer(**arguments)
        trainer.compile(_adam(recipe), jit_compile=jit)
        return trainer
    trainer = _adversarial_trainer(recipe, arguments)
    # Both rates fall as the run goes on, also where one network is updated more often.
    adams = _adam(recipe), _adam(recipe, recipe.adversarial.updates or 1)
    trainer.compile(*adams, jit_compile=jit)
    return trainer


def build_network(recipe, initial_weights=None):
    """The network that a training of a recipe begins with.

    Raises:
        InputError: the recipe names what does not exist, or its crops do not fit the network, or
            gradient checkpointing does not; or see `weights.load`.
    """
    for argument, names, known in (
        ("augmentations", recipe.augmentations, AUGMENTATIONS),
        ("label_pyramid", [recipe.label_pyramid], PYRAMIDS),
    ):
        if unknown := [name for name in names if name not in known]:
            raise InputError(
                f"`{argument}={unknown[0]}` is unknown: choose of {', '.join(known)}."
                + did_you_mean(unknown[0], known)
            )
    if recipe.loss_weight is not None and recipe.loss not in WEIGHTED:
        raise InputError(
            f"`loss_weight={recipe.loss_weight}`: the loss {recipe.loss} of `recipe={recipe.name}` "
            f"has no weight; those of {', '.join(WEIGHTED)} have."
        )
    network = models.build(recipe.network, **recipe.hyperparameters)
    for _, crop, _ in recipe.stages():
        if crop % network.stride:
            raise InputError(f"`crop={crop}` must be a multiple of {network.stride}.")
    _check_labels(network, recipe)
    if recipe.gradient_checkpointing:
        checkpointed(network)  # refused here, before data are fetched
    INITIALIZATIONS[recipe.initialization](network)
    if initial_weights:
        weights.load(network, initial_weights)
    return network


def _check_labels(network, recipe):
    """Raises an InputError where the labels have other sizes than what the network returns."""
    crop = np.zeros((1, recipe.crop, recipe.crop, 3), "float32")
    expected = [tuple(shape) for shape in network.compute_output_shape(crop.shape)]
    fitting = [kind for kind in PYRAMIDS if _label_shapes(kind, crop, len(expected)) == expected]
    if recipe.label_pyramid not in fitting:
        raise InputError(
            f"`label_pyramid={recipe.label_pyramid}` has images of other sizes than {network.name} "
            f"returns: choose of {', '.join(fitting)}."
        )


def _label_shapes(kind, image, levels):
    """Of the labels that a pyramid makes of an image; None where it has no such pyramid."""
    try:
        return [tuple(label.shape) for label in PYRAMIDS[kind](image, levels)]
    except ValueError:
        return None


def _adversarial_trainer(recipe, arguments):
    chosen = recipe.adversarial
    discriminator = models.build(chosen.judge or "discriminator", **chosen.discriminator)
    side = discriminator.input_shape[1]
    if side is not None and {crop for _, crop, _ in recipe.stages()} != {side}:
        raise InputError(
            f"`crop={recipe.crop}`: the discriminator of `recipe={recipe.name}` judges "
            f"{side}x{side} pixels: choose `crop={side}`, or a recipe without adversarial loss."
        )
    updates = chosen.updates or 1
    if updates > 1 and recipe.accumulate > 1:
        raise InputError(
            f"`accumulate={recipe.accumulate}`: `recipe={recipe.name}` updates its critic "
            f"{updates} times on each batch, so gradients of several cannot be accumulated: choose "
            "`accumulate=1`."
        )
    arguments = {
        **arguments,
        "discriminator": discriminator,
        "adversarial_loss": chosen.loss,
        "weight": chosen.weight,
        "discriminator_weight": chosen.discriminator_weight or 1.0,
    }
    if chosen.updates is None:
        return AdversarialTrainer(**arguments)
    penalty = chosen.gradient_penalty or 0.0
    return CriticFirstTrainer(**arguments, updates=chosen.updates, gradient_penalty=penalty)


def memory_of_step(trainer, batch_size, crop):
    """Bytes that a training step needs at least: the feature maps that its gradients need."""
    maps = trainer.network.activation_channels / (2 if trainer.gradient_checkpointing else 1)
    if isinstance(trainer, AdversarialTrainer):
        maps += 2 * trainer.discriminator.activation_channels  # of a sharp and a restored image
    if trainer.features is not None:
        maps += vgg19.ACTIVATION_CHANNELS
    return int(batch_size * crop**2 * maps * memory.bytes_per_value(trainer.network))


def check_memory(trainer, batch_size, crop):
    """Raises an InputError where a training step cannot fit."""
    memory.check(
        memory_of_step(trainer, batch_size, crop),
        f"a training step of {batch_size} crops of {crop}x{crop}",
        "choose a smaller `batch_size` or `crop`.",
    )


def _adam(recipe, updates=1):
    """Of a network that is updated so often in each step."""
    beta_1, beta_2 = recipe.betas or (0.9, 0.999)
    averages = {"use_ema": True, "ema_momentum": recipe.ema_momentum}
    return SkippingAdam(
        recipe.schedule.build(updates * recipe.steps),
        beta_1,
        beta_2,
        weight_decay=recipe.weight_decay,
        epsilon=recipe.epsilon,
        global_clipnorm=recipe.clip_norm,
        gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
        **(averages if recipe.ema_momentum is not None else {}),
    )
