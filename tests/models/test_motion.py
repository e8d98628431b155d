"""Motion spaces: unit variance, round trips, groups, lips."""

import pytest
import torch

from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import ControlMotion, MotionSpace, VertexMotion


def test_vertices_scale_to_unit_variance_and_back() -> None:
    displacements = 0.004 * torch.randn(2, 50, 30, generator=torch.Generator().manual_seed(0))
    motion = VertexMotion(10, float(displacements.square().mean().sqrt()))
    state = motion.encode(displacements)
    assert float(state.square().mean()) == pytest.approx(1.0, abs=1e-4)
    torch.testing.assert_close(motion.decode(state), displacements)
    assert motion.dim == 30 and motion.groups == {"vertices": slice(0, 30)}
    assert isinstance(motion, MotionSpace)


def test_controls_shift_scale_and_close() -> None:
    generator = torch.Generator().manual_seed(0)
    controls = torch.rand(4, 20, len(CONTROL_NAMES), generator=generator) * 1.4
    flat = controls.flatten(0, 1)
    motion = ControlMotion(CONTROL_NAMES, flat.mean(0).tolist(), flat.std(0).tolist())
    state = motion.encode(controls)
    torch.testing.assert_close(state.flatten(0, 1).std(0), torch.ones(motion.dim), atol=1e-4, rtol=0)
    torch.testing.assert_close(motion.decode(state), controls, atol=1e-5, rtol=0)
    torch.testing.assert_close(motion.weights(state), close_lips(controls), atol=1e-5, rtol=0)
    assert isinstance(motion, MotionSpace)


def test_statistics_travel_with_the_state_dict() -> None:
    filled, empty = ControlMotion(("a", "b"), [1.0, 2.0], [3.0, 4.0]), ControlMotion(("a", "b"))
    empty.load_state_dict(filled.state_dict())
    assert torch.equal(empty.decode(torch.ones(2)), torch.tensor([4.0, 6.0]))


def test_groups_are_slices_of_neighbours_or_indices() -> None:
    motion = ControlMotion(("a", "b", "c"), groups={"lips": ("a", "b"), "eyes": ("c",)})
    assert motion.groups == {"lips": slice(0, 2), "eyes": slice(2, 3)}
    apart = ControlMotion(("a", "b", "c"), groups={"lips": ("a", "c"), "eyes": ("b",)})
    assert torch.arange(3)[apart.groups["lips"]].tolist() == [0, 2]
    with pytest.raises(InputError, match=r"\['d'\]"):
        ControlMotion(("a", "b", "c"), groups={"lips": ("d",)})


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_corpus_without_motion_is_refused(scale: float) -> None:
    with pytest.raises(InputError, match="positive"):
        VertexMotion(3, scale)
    with pytest.raises(InputError, match=r"positive|2 values"):
        ControlMotion(("a",), [0.0], [0.0])
