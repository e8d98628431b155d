"""What is said: phones with times, from text, from a transcript of a recording, or from text-to-speech."""
