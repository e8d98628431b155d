"""Generation: a checkpoint and speech in, an animation out. `sample` is the one place where a model is sampled."""
