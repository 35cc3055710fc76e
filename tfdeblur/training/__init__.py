"""Training a recipe: the run in its folder, trainers, checkpoints, callbacks, strategies."""
