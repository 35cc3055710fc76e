"""The input pipeline of training: from pairs of images to batches of augmented crops."""
