"""Generation: from speech to motion with a trained model. `sample` is the one place where a model is sampled."""
