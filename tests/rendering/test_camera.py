"""The camera frames any head, whatever its unit, place and proportions."""

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering import RenderOptions
from diffspeaker3d.rendering.camera import MARGIN, frame_head, look


@pytest.mark.parametrize("view", [(0.0, 0.0), (38.0, 4.0), (-90.0, -20.0)])
@pytest.mark.parametrize("size", [(512, 512), (300, 200), (200, 300)])
def test_the_head_fills_the_picture_up_to_the_margin(head, view, size):
    x, y, _ = frame_head(head.template(), size, view).project(head.template())
    reach = max(np.abs(x - size[0] / 2).max() / (size[0] / 2), np.abs(y - size[1] / 2).max() / (size[1] / 2))
    assert reach == pytest.approx(MARGIN, abs=2e-3)


def test_unit_and_origin_do_not_matter(head):
    metres = head.template()
    moved = metres * 1000 + np.array([500, -2000, 300], np.float32)
    seen = [np.stack(frame_head(v, (512, 512), (14, 3)).project(v)[:2]) for v in (metres, moved)]
    np.testing.assert_allclose(*seen, atol=0.05)


def test_the_viewer_stands_in_front_and_zoom_comes_closer(head):
    one, two = (frame_head(head.template(), (64, 64), (0, 0), zoom) for zoom in (1, 1.5))
    assert one.eye[2] > head.template()[:, 2].max() and abs(one.eye[0]) < 1e-3
    assert two.eye[2] < one.eye[2]
    x, y, _ = one.project(np.array([[0.01, 0, 0.09], [0, 0.01, 0.09]], np.float32))
    assert x[0] > x[1] and y[1] < y[0], "+X of the head is right in the picture, +Y up"


def test_axes_are_a_right_handed_rotation():
    axes = look(33, -12)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("wrong, said", [
    ({"view": "top"}, "three_quarter"), ({"renderer": "metal"}, "egl"), ({"size": (4, 4)}, "16"), ({"background": "white"}, "#rrggbb"),
    ({"zoom": 0.0}, "positive"), ({"view": (0.0, 90.0)}, "pitch"), ({"error_scale": -1.0}, "millimetres"),
])  # fmt: skip
def test_wrong_options_are_refused_with_what_is_known(wrong, said):
    with pytest.raises(InputError, match=said):
        RenderOptions(**wrong)
