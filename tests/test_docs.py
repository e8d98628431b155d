"""The site builds without a warning: every page is in the navigation, every link leads somewhere, every API page imports."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.parent.name for path in (tmp_path / "site").rglob("index.html")}
    assert {"generation", "formats", "heads", "extend"} <= pages
    assert "SpeechAnimator" in (tmp_path / "site" / "api" / "generation" / "index.html").read_text("utf-8")
