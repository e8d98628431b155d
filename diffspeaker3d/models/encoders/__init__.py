"""Speech encoders: waveform to one row of features per motion frame."""
