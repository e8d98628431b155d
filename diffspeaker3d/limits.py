"""What one sound may ask of the machine: bounds that are checked before it is read.

A few bytes can declare hours of sound. The bounds lie far above what this work needs and far
below what ends a process.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffspeaker3d.errors import InputError


@dataclass(frozen=True)
class Budget:
    """Upper bounds for one sound.

    Attributes:
        seconds: of sound.
        channels: of sound.
        sample_rates: lowest and highest rate of sound, Hz.
    """

    seconds: float = 6 * 3600.0
    channels: int = 64
    sample_rates: tuple[int, int] = (1_000, 768_000)

    def check_sound(self, where: str, rate: float, channels: int) -> None:
        """Raises InputError for a sample rate in Hz or a number of channels that no recording has."""
        low, high = self.sample_rates
        if not low <= rate <= high:
            raise InputError(
                f"{where}: a sample rate of {rate:g} Hz; {low} to {high} Hz can be read, convert it to 48000"
            )
        if not 1 <= channels <= self.channels:
            raise InputError(
                f"{where}: {channels} channels; 1 to {self.channels} can be read, mix it down to one or two"
            )

    def check_seconds(self, where: str, seconds: float) -> None:
        """Raises InputError for a sound that is too long."""
        if seconds > self.seconds:
            raise InputError(f"{where}: longer than {self.seconds / 3600:g} hours of sound; cut it into parts")


BUDGET = Budget()
