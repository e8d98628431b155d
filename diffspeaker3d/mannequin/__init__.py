"""The mannequin: a procedural head with ARKit's blendshapes, made by this code alone."""

from diffspeaker3d.mannequin.build import build_mannequin

__all__ = ["build_mannequin"]
