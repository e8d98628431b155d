"""Live outputs: an animation sent frame by frame to an address."""
