import numpy as np
import torch

from diffspeaker3d.controls.arkit import ARKIT_NAMES, CONTROL_NAMES, LIP_OPENERS, close_lips

JAW, CLOSE = CONTROL_NAMES.index("jawOpen"), CONTROL_NAMES.index("mouthClose")


def test_names_are_apples_52_and_the_raised_tongue():
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52
    assert (*ARKIT_NAMES, "tongueUp") == CONTROL_NAMES
    lefts = {n for n in ARKIT_NAMES if n.endswith("Left") and n not in ("jawLeft", "mouthLeft")}
    assert {n[:-4] + "Right" for n in lefts} <= set(ARKIT_NAMES)


def test_full_closure_seals_whatever_the_jaw_and_the_lip_raisers_do():
    controls = np.random.default_rng(0).uniform(0, 1.2, (200, len(CONTROL_NAMES)))
    controls[:, CLOSE] = np.linspace(1.0, 1.4, 200)
    weights = close_lips(controls)
    np.testing.assert_array_equal(weights[:, CLOSE], weights[:, JAW])
    assert all((weights[:, CONTROL_NAMES.index(n)] == 0).all() for n in LIP_OPENERS)


def test_no_closure_changes_nothing_but_clipping():
    controls = np.random.default_rng(0).uniform(-0.2, 1.2, (50, len(CONTROL_NAMES)))
    controls[:, CLOSE] = -0.1
    expected = controls.clip(0, 1)
    np.testing.assert_array_equal(close_lips(controls), expected)


def test_torch_agrees_with_numpy_and_carries_gradients():
    controls = np.random.default_rng(2).uniform(-0.1, 1.1, (3, 4, len(CONTROL_NAMES)))
    tensor = torch.tensor(controls, requires_grad=True)
    weights = close_lips(tensor)
    np.testing.assert_allclose(weights.detach().numpy(), close_lips(controls), atol=0)
    weights[..., CLOSE].sum().backward()
    inside = (controls[..., CLOSE] > 0) & (controls[..., CLOSE] < 1)
    np.testing.assert_allclose(tensor.grad[..., CLOSE].numpy()[inside], controls.clip(0, 1)[..., JAW][inside])
    assert torch.equal(tensor.detach(), torch.tensor(controls)), "the input must not be changed in place"
