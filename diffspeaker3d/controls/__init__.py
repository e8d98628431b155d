"""What a face can do: the controls and their groups, styles, and the rules by which speech moves them. No torch."""
