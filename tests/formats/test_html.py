"""The page holds the animation within a tenth of a millimetre; a real browser plays it in test_clients.py."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import html, save
from diffspeaker3d.formats.html import HtmlOptions


@pytest.mark.parametrize("which", ["shaped", "free"])
def test_every_frame_is_within_a_tenth_of_a_millimetre(
    which: str, shaped: Animation, free: Animation, tmp_path: Path
) -> None:
    animation, tenth = (shaped, 1e-4) if which == "shaped" else (free, 0.1)
    save(animation, tmp_path / "a.html")
    template, deltas, weights = html.read_take(tmp_path / "a.html")
    assert np.abs(template + np.tensordot(weights, deltas, 1) - np.asarray(animation.vertices)).max() < tenth


def test_the_page_is_small_and_asks_nothing_of_the_network(shaped: Animation) -> None:
    assert html.TEMPLATE.stat().st_size < 60_000
    text = html.page(shaped)
    assert not re.findall(r"https?:|//cdn|@import|<link[^>]+href=\"(?!data:)|<script[^>]+src=", text)
    assert text.count("</script>") == 2 and "{{" not in text


def test_words_of_the_user_cannot_break_the_page(shaped: Animation, tmp_path: Path) -> None:
    nasty = dataclasses.replace(shaped, provenance={"style": "</script><b>{{takes}}", "seed": 3})
    html.write(nasty, tmp_path / "a.html", HtmlOptions(title="<i>{{takes}}"))
    text = (tmp_path / "a.html").read_text()
    assert "<b>" not in text and "<i>" not in text and text.count("</script>") == 2
    takes = re.search(r'id="takes">(.*?)</script>', text, re.S)
    assert takes and json.loads(takes[1])[0]["notes"] == {"style": "</script><b>{{takes}}", "seed": "3"}


def test_two_takes(shaped: Animation, free: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.html", HtmlOptions(compare=free, labels=("ours", "theirs")))
    text = (tmp_path / "a.html").read_text()
    takes = re.search(r'id="takes">(.*?)</script>', text, re.S)
    assert takes
    both = json.loads(takes[1])
    assert [t["label"] for t in both] == ["ours", "theirs"] and both[0]["sound"] and both[1]["sound"] is None


def test_a_foreign_page_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>hello")
    with pytest.raises(InputError, match="not a page"):
        html.read_take(tmp_path / "a.html")
