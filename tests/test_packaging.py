"""What a wheel holds is what the checkout holds."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def metadata():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_listed():
    listed = set(metadata()["options"]["packages"].split()) - {"diffspeaker3d.conf"}
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "diffspeaker3d").rglob("__init__.py")}
    assert listed == found


def test_every_import_is_declared():
    """The base installs what inference imports; the constraint file pins every requirement."""
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    options = metadata()
    lines = options["options"]["install_requires"].splitlines() + [
        x for extra in options["options.extras_require"].values() for x in extra.splitlines()
    ]
    names = {
        line.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip().lower().replace("_", "-")
        for line in lines
        if line.strip() and not line.startswith("#")
    }
    assert names - {"diffspeaker3d", ""} <= pinned


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--quiet",
            "--wheel-dir",
            str(folder),
            str(ROOT),
        ],
        check=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_configuration_assets_and_types_and_runs_anywhere(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    wanted = {f"diffspeaker3d/conf/{p.relative_to(ROOT / 'conf')}" for p in (ROOT / "conf").rglob("*.yaml")}
    wanted |= {
        str(p.relative_to(ROOT))
        for p in (ROOT / "diffspeaker3d").rglob("*")
        if p.is_file() and p.suffix != ".pyc" and not p.name.startswith(".")
    }
    assert wanted <= names
    assert not any(n.startswith(("tests", "conf/", "scripts")) for n in names)
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import diffspeaker3d.config as c; print(c.CONF_DIR)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert Path(said.strip()) == tmp_path / "site" / "diffspeaker3d" / "conf"
