"""Audio encoders: waveform (B, N) to audio features (B, T, D_a), one row per motion frame."""
