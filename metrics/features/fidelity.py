"""torch-fidelity's DINOv2 and CLIP networks, by their names there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..extractor import MissingWeights, NetworkExtractor, UnknownExtractor, register_extractor
from ..weights import WeightsFile, hub_folder

DINOV2_DIMS = {"s": 384, "b": 768, "l": 1024, "g": 1536}
CLIP_URL = "https://openaipublic.azureedge.net/clip/models"
CLIP = {
    "RN50": (1024, "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
    "ViT-B-32": (512, "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    "ViT-B-16": (512, "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
    "ViT-L-14": (768, "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
}


class Fidelity(NetworkExtractor):
    """A network that torch-fidelity builds; it resizes images itself, to 224 pixels."""

    weights_file: ClassVar[WeightsFile]
    batch_size = 64
    resize = "TensorFlow 1 bilinear to 224x224"

    def find_weights(self) -> Path:
        """Returns the weights file.

        Raises:
            MissingWeights: It is nowhere, and downloading was not asked for.
        """
        return self.weights_file.find(self.name, self.weights, self.download)

    def embed(self, images: Tensor) -> Tensor:
        """Hands the rounded grey levels to torch-fidelity's network."""
        levels = images.round().clamp(0, 255).to(torch.uint8)
        features: Tensor = self.network(levels)[0]
        return features


class Clip(Fidelity):
    """Image features of CLIP.

    References:
        Learning Transferable Visual Models From Natural Language Supervision (Radford et al.,
        2021), arXiv:2103.00020.
    """

    def build_network(self) -> nn.Module:
        """Builds the network from a file whose digest is the published one."""
        from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

        self.weights_file.check(self.name, self.digest)
        path = str(self.find_weights())
        return FeatureExtractorCLIP(self.name, ["clip"], feature_extractor_weights_path=path)


class DinoV2(Fidelity):
    """Features of DINOv2.

    Its code comes from torch's hub as well: the folder ``facebookresearch_dinov2_main``. The
    code takes the weights from the hub's folder alone.

    References:
        DINOv2: Learning Robust Visual Features without Supervision (Oquab et al., 2023),
        arXiv:2304.07193.
    """

    def find_weights(self) -> Path:
        """Returns the weights file in the hub's folder.

        Raises:
            UnknownExtractor: Another file was asked for.
            MissingWeights: It is nowhere, and downloading was not asked for.
        """
        if self.weights is not None:
            raise UnknownExtractor(
                f"Extractor '{self.name}' takes no other weights, got '{self.weights}'; expected "
                f"{self.weights_file.name} in {hub_folder() / 'checkpoints'}."
            )
        return super().find_weights()

    def build_network(self) -> nn.Module:
        """Builds the network from torch's hub.

        Raises:
            MissingWeights: The code is not in the hub's folder, and ``download`` is off.
        """
        from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

        code = hub_folder() / "facebookresearch_dinov2_main"
        if not (self.download or code.is_dir()):
            raise MissingWeights(
                f"The code of '{self.name}' is missing; put a copy of the repository "
                f"facebookresearch/dinov2 into {code}, or pass --download."
            )
        return FeatureExtractorDinoV2(self.name, ["dinov2"])


def _file(base: type[Fidelity], name: str, dims: int, weights: WeightsFile) -> None:
    attributes: dict[str, Any] = {"dims": dims, "weights_file": weights, "__doc__": base.__doc__}
    register_extractor(name)(type(name, (base,), attributes))


for _model, (_dims, _digest) in CLIP.items():
    _name = f"clip-{_model.lower()}"
    _url = f"{CLIP_URL}/{_digest}/{_model}.pt"
    _file(Clip, _name, _dims, WeightsFile(f"{_name}-{_digest}.pt", _digest, _url))
for _size, _dims in DINOV2_DIMS.items():
    _model = f"dinov2_vit{_size}14"
    _url = f"https://dl.fbaipublicfiles.com/dinov2/{_model}/{_model}_pretrain.pth"
    _file(DinoV2, f"dinov2-vit-{_size}-14", _dims, WeightsFile(f"{_model}_pretrain.pth", "", _url))
