"""Small raw releases in the exact structure of the real ones: heads that talk, sound that goes with it."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import trimesh

from diffspeaker3d.data.plan import Plan, PlannedClip
from diffspeaker3d.data.sources.base import FaceSpec

SECONDS = 1.0


@cache
def head(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A lumpy ellipsoid of human size, 162 vertices, metres; people (seeds) differ in their lumps."""
    sphere = trimesh.creation.icosphere(2)
    places = np.asarray(sphere.vertices)
    lumps = 1 + 0.15 * np.sin(5 * places[:, :1]) + 0.02 * np.random.default_rng(seed).normal(size=(len(places), 1))
    return (places * [0.08, 0.12, 0.10] * lumps).astype(np.float32), np.asarray(sphere.faces, np.int32)


def talking(template: np.ndarray, fps: float, seed: int = 0) -> np.ndarray:
    """SECONDS of a jaw that opens and closes by up to a centimetre: (T, V, 3) float32 metres."""
    times = np.arange(round(SECONDS * fps)) / fps
    jaw = np.clip(-template[:, 1] / 0.12, 0, 1)
    opening = 0.01 * np.sin(2 * np.pi * (2 + seed % 5) * times) ** 2
    moved = np.repeat(template[None], len(times), 0)
    moved[:, :, 1] -= opening[:, None] * jaw
    return moved.astype(np.float32)


def voice(rate: int, seed: int = 0) -> np.ndarray:
    """SECONDS of a loud tone (N,) int16."""
    times = np.arange(round(SECONDS * rate)) / rate
    return (12000 * np.sin(2 * np.pi * (200 + 40 * seed) * times)).astype(np.int16)


SPEC = FaceSpec("flame", 162, "FLAME_sample.ply")


def plan(sentences: int = 2) -> Plan:
    """Two training subjects and one unseen for testing."""
    table = [(s, "train" if s != "cat" else "test") for s in ("ann", "bob", "cat")]
    clips = tuple(
        PlannedClip(f"{s}_sentence{n:02d}", s, f"sentence{n:02d}", split, {"ann": 0, "bob": 1, "cat": [0.5, 0.5]}[s])
        for s, split in table
        for n in range(1, sentences + 1)
    )
    return Plan(clips, ("ann", "bob"), {"train": 2 * sentences, "test": sentences}, frozenset())


def templates(names: tuple[str, ...] = ("ann", "bob", "cat")) -> dict[str, np.ndarray]:
    return {name: head(seed)[0] for seed, name in enumerate(names)}


def write_mesh(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(vertices, faces, process=False).export(path)


def write_pickle(path: Path, value: object) -> None:
    """Protocol 2, with the module names of NumPy 1: what the release's Python-2 files hold."""
    path.write_bytes(pickle.dumps(value, protocol=2).replace(b"numpy._core", b"numpy.core"))


def write_release(
    raw: Path, wanted: Plan, faces_of: dict[str, np.ndarray], mesh: tuple[np.ndarray, np.ndarray]
) -> None:
    """VOCASET as its authors release it: rows of vertices in shuffled sentences, dictionaries in shuffled order."""
    raw.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows: dict[str, dict[str, dict[int, int]]] = {}
    sounds: dict[str, dict[str, dict]] = {}
    blocks, count = [], 0
    for number in rng.permutation(len(wanted.clips)):
        clip = wanted.clips[number]
        motion = talking(faces_of[clip.subject], 60.0, int(number))
        frames = rng.permutation(len(motion))
        rows.setdefault(clip.subject, {})[clip.sentence] = {int(f): int(count + f) for f in frames}
        sounds.setdefault(clip.subject, {})[clip.sentence] = {"audio": voice(22000, int(number)), "sample_rate": 22000}
        blocks.append(motion)
        count += len(motion)
    np.save(raw / "data_verts.npy", np.concatenate(blocks))
    write_pickle(raw / "subj_seq_to_idx.pkl", rows)
    write_pickle(raw / "raw_audio_fixed.pkl", sounds)
    write_pickle(raw / "templates.pkl", {name: face.astype(np.float64) for name, face in faces_of.items()})
    write_mesh(raw / "FLAME_sample.ply", *mesh)


def write_processed(
    raw: Path,
    wanted: Plan,
    faces_of: dict[str, np.ndarray],
    mesh: str = "FLAME_sample.ply",
    fps: float = 60.0,
    rate: int = 22000,
) -> None:
    """The FaceFormer (and CodeTalker) layout: vertices_npy, wav, templates.pkl, templates/<mesh>."""
    for folder in ("vertices_npy", "wav", "templates"):
        (raw / folder).mkdir(parents=True)
    for number, clip in enumerate(wanted.clips):
        motion = talking(faces_of[clip.subject], fps, number)
        np.save(raw / "vertices_npy" / f"{clip.id}.npy", motion.reshape(len(motion), -1))
        soundfile.write(raw / "wav" / f"{clip.id}.wav", voice(rate, number), rate)
    write_pickle(raw / "templates.pkl", faces_of)
    write_mesh(raw / "templates" / mesh, *head())


def write_vl(path: Path, vertices: np.ndarray, header: int = 4) -> None:
    """One BIWI scan: vertex count, then float32 xyz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(vertices).to_bytes(header, "little") + vertices.astype("<f4").tobytes())


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices] + [f"f {a}/1 {b}/1 {c}/1" for a, b, c in faces + 1]
    path.write_text("\n".join(lines))
