"""Text to speech with phone times, one file per engine."""
