"""Meshes as numbers: mesh files, the glTF container, surfaces, similarity transforms."""
