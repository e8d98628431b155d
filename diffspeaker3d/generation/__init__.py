"""Generation: a checkpoint and speech in, an animation out."""
