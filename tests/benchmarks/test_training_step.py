"""Training steps per second against pythae 0.1.2's own trainers, on the same networks.

Each side is its trainer's loop over batches, with its own data path, optimiser and bookkeeping,
but no evaluation and no checkpoint. pythae's RAE-L2 is trained as it ships it, by the trainer
with one optimiser for the encoder and one, with weight decay, for the decoder.
"""

from __future__ import annotations

import contextlib
import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from aebench.bench.suites.config import Training
from aebench.bench.training.trainer import Trainer
from aebench.models.backbones.backbone import Backbone
from aebench.models.backbones.mlp import MLP
from aebench.models.building import build
from torch import nn

pytest.importorskip("pythae")

from pythae.data.datasets import BaseDataset
from pythae.models import RAE_GP, RAE_L2, VAE, WAE_MMD, VAEConfig
from pythae.models import RAE_GP_Config as RaeGpConfig
from pythae.models import RAE_L2_Config as RaeL2Config
from pythae.models import WAE_MMD_Config as WaeMmdConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.models.nn.benchmarks.mnist import (
    Decoder_Conv_AE_MNIST,
    Encoder_Conv_AE_MNIST,
    Encoder_Conv_VAE_MNIST,
)
from pythae.trainers import (
    BaseTrainer,
    BaseTrainerConfig,
    CoupledOptimizerTrainer,
    CoupledOptimizerTrainerConfig,
)

SHAPE, LATENT, RATE = (1, 28, 28), 16, 1e-4
# The dense network on the two sizes of grey images that the project has.
SHAPES = {"conv": SHAPE, "dense": SHAPE, "dense-8x8": (1, 8, 8)}
PEERS = {
    "vae": (VAE, VAEConfig),
    "wae-mmd": (WAE_MMD, WaeMmdConfig),
    "rae-l2": (RAE_L2, RaeL2Config),
    "rae-gp": (RAE_GP, RaeGpConfig),
}
IMAGE_GRADIENT = (
    "pythae's RAE-GP penalises the gradient with respect to the image, through the encoder too; "
    "ours that of the decoder with respect to the code, the published objective"
)


class PeerConvolutions(Backbone):
    """pythae's MNIST networks as a backbone: the same layers, without the sigmoid."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__(SHAPE, LATENT)
        self.encoder = nn.Sequential(*encoder.layers, nn.Flatten())
        self.code = encoder.embedding
        dense, *blocks, last = decoder.layers
        self.decoder = nn.Sequential(dense, nn.Unflatten(1, (1024, 4, 4)), *blocks)
        self.output = last[0]

    def code_head(self) -> nn.Module:
        return nn.Linear(1024, LATENT)

    def output_head(self) -> nn.Module:
        return nn.ConvTranspose2d(256, 1, 3, 2, padding=1, output_padding=1)


class DenseEncoder(BaseEncoder):
    """The encoder of our dense backbone in pythae's form."""

    def __init__(self, backbone: MLP, *, scale: bool) -> None:
        super().__init__()
        self.layers, self.embedding = backbone.encoder, backbone.code
        self.log_var = backbone.code_head() if scale else None

    def forward(self, x):
        features = self.layers(x)
        output = ModelOutput(embedding=self.embedding(features))
        if self.log_var is not None:
            output["log_covariance"] = self.log_var(features)
        return output


class DenseDecoder(BaseDecoder):
    """The decoder of our dense backbone in pythae's form."""

    def __init__(self, backbone: MLP) -> None:
        super().__init__()
        self.layers = nn.Sequential(backbone.decoder, backbone.output, nn.Sigmoid())

    def forward(self, z):
        return ModelOutput(reconstruction=self.layers(z))


def convolutional(config, *, scale, shape):
    encoder = (Encoder_Conv_VAE_MNIST if scale else Encoder_Conv_AE_MNIST)(config)
    decoder = Decoder_Conv_AE_MNIST(config)
    return PeerConvolutions(copy.deepcopy(encoder), copy.deepcopy(decoder)), encoder, decoder


def dense(config, *, scale, shape):
    backbone = MLP(shape, LATENT)
    theirs = copy.deepcopy(backbone)
    return backbone, DenseEncoder(theirs, scale=scale), DenseDecoder(theirs)


NETWORKS = {"conv": convolutional, "dense": dense, "dense-8x8": dense}


def peer_trainer(name, encoder, decoder, images, batch, folder):
    model_type, config_type = PEERS[name]
    shape = tuple(images.shape[1:])
    model = model_type(config_type(input_dim=shape, latent_dim=LATENT), encoder, decoder)
    dataset = BaseDataset(images.float() / 255, torch.ones(len(images)))
    shared = {
        "output_dir": str(folder),
        "per_device_train_batch_size": batch,
        "num_epochs": 1,
        "no_cuda": True,
    }
    if name == "rae-l2":
        config = CoupledOptimizerTrainerConfig(
            encoder_learning_rate=RATE,
            decoder_learning_rate=RATE,
            decoder_optimizer_params={"weight_decay": 1e-7},
            **shared,
        )
        trainer = CoupledOptimizerTrainer(model, dataset, training_config=config)
    else:
        config = BaseTrainerConfig(learning_rate=RATE, **shared)
        trainer = BaseTrainer(model, dataset, training_config=config)
    trainer.prepare_training()
    return trainer


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_training_step(network, name, versus, full, tmp_path):
    shape = SHAPES[network]
    batch = 32 if network == "conv" and not full else 100
    steps, rounds = (1, 3) if network == "conv" else (25, 5)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch * steps, *shape), generator=generator).byte()
    torch.manual_seed(0)
    config = PEERS[name][1](input_dim=shape, latent_dim=LATENT)
    backbone, encoder, decoder = NETWORKS[network](config, scale=name == "vae", shape=shape)
    theirs = peer_trainer(name, encoder, decoder, images, batch, tmp_path)
    ours = Trainer(
        build(name, backbone=backbone, image_shape=shape, latent_dim=LATENT),
        Training(batch_size=batch, learning_rate=RATE),
        train=images,
        validation=images[:batch],
        seed=0,
        folder=tmp_path,
    )

    def epoch():
        for _ in range(steps):
            ours.train_step()

    versus(
        epoch,
        lambda: theirs.train_step(1),
        peer="pythae 0.1.2",
        work=f"step, batch {batch}",
        count=steps,
        rounds=rounds,
        note=IMAGE_GRADIENT if name == "rae-gp" else "",
    )


@contextlib.contextmanager
def trainings_at_once(objective, side, batch, count):
    """Yields a function that has ``count`` processes take a number of steps each, and waits."""
    worker = Path(__file__).parent / "training_worker.py"
    command = [sys.executable, str(worker), objective, str(side), str(batch), str(RATE)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)
            )
            for _ in range(count)
        ]

        def take(steps):
            for process in workers:
                process.stdin.write(f"{steps}\n")
                process.stdin.flush()
            assert [process.stdout.readline() for process in workers] == ["done\n"] * count

        yield take


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("network", ["dense", "dense-8x8"])
def test_suite_on_two_cores(network, name, versus, tmp_path):
    shape = SHAPES[network]
    batch, steps, cores = 100, 100, 2
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch * steps, *shape), generator=generator).byte()
    torch.manual_seed(0)
    config = PEERS[name][1](input_dim=shape, latent_dim=LATENT)
    _, encoder, decoder = dense(config, scale=name == "vae", shape=shape)
    theirs = peer_trainer(name, encoder, decoder, images, batch, tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        with trainings_at_once(name, shape[-1], batch, cores) as take:
            versus(
                lambda: take(steps // cores),
                lambda: theirs.train_step(1),
                peer="pythae 0.1.2",
                work=f"step on {cores} cores, {network} network, batch {batch}",
                count=steps,
                rounds=7,
                note=(
                    "a suite's steps: ours two runs side by side of one thread each, as `aebench "
                    "run` does; pythae's one run with two threads"
                ),
                elsewhere=True,
            )
    finally:
        torch.set_num_threads(threads)
