"""No output replaces what is read or another output: by name, companion, link, or letter case."""

import os

import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import companions
from diffspeaker3d.generation.outputs import check_outputs, free_stem


@pytest.mark.parametrize(
    ("read", "output"),
    [
        ("head.obj", "head.obj"), ("head.obj", "head.pc2"), ("head.obj", "head.mdd"), ("head.obj", "head.PC2"),
        ("line.wav", "line.usdc"), ("line.wav", "line.usda"), ("line.wav", "sub/../line.usdc"), ("a.npy.json", "a.npy"),
        ("HEAD.obj", "head.pc2"),
    ],
)  # fmt: skip
def test_what_is_read_is_never_written_over(tmp_path, read, output):
    (tmp_path / "sub").mkdir()
    (tmp_path / read).write_text("mine")
    with pytest.raises(InputError, match="would overwrite template=") as refusal:
        check_outputs([str(tmp_path / output)], [("template", tmp_path / read)])
    assert "\n" not in str(refusal.value)
    check_outputs([str(tmp_path / "other.glb"), "vmc://127.0.0.1:1"], [("template", tmp_path / read)])


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_are_the_file_they_lead_to(tmp_path, link):
    (tmp_path / "head.glb").write_text("mine")
    link(tmp_path / "head.glb", tmp_path / "out.glb")
    with pytest.raises(InputError, match="would overwrite template="):
        check_outputs([str(tmp_path / "out.glb")], [("template", tmp_path / "head.glb")])


@pytest.mark.parametrize(
    "outputs", [("a.glb", "a.glb"), ("a.glb", "A.glb"), ("a.pc2", "a.mdd"), ("a.glb", "b/../a.glb")]
)
def test_outputs_do_not_fall_on_each_other(tmp_path, outputs):
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="falls on out="):
        check_outputs([str(tmp_path / output) for output in outputs], [])
    check_outputs([str(tmp_path / name) for name in ("a.glb", "a.csv", "a.usdc", "a.pc2", "a.npy")], [])


def test_every_writer_declares_what_it_puts_beside_its_output(tmp_path, tiny_animation):
    from diffspeaker3d.formats import FORMATS, save

    for suffix in FORMATS:
        if suffix in (".abc", ".fbx", ".vrm", ".mp4") or (suffix.startswith(".usd") and not _has_usd()):
            continue
        folder = tmp_path / suffix[1:]
        folder.mkdir()
        save(tiny_animation, folder / f"a{suffix}")
        expected = {f"a{suffix}", *(path.name for path in companions(folder / f"a{suffix}"))}
        assert {path.name for path in folder.iterdir()} <= expected, suffix


def test_a_line_called_report_keeps_its_page(tmp_path):
    assert free_stem("report", (".html", ".json"), tmp_path, [str(tmp_path / "a.html")]) == "report"
    taken = [str(tmp_path / "report.html"), str(tmp_path / "Quality_Report.json")]
    assert free_stem("report", (".html", ".json"), tmp_path, taken) == "quality_quality_report"


def _has_usd() -> bool:
    from importlib.util import find_spec

    return find_spec("pxr") is not None
