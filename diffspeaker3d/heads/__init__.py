"""The heads that users bring: opened, understood, and given shapes where they have none."""
