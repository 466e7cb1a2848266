"""Short trainings on a GPU; as a program, one that saves at a step or goes on from there."""

import json
import sys
from pathlib import Path

import torch
from aebench.bench.runs.dispatch import ask_for_determinism, set_up_torch
from aebench.bench.suites.config import Training
from aebench.bench.training.trainer import Trainer
from aebench.models.building import build

DEVICE = "cuda"
SHAPES = {
    "tiny": (1, 8, 8),
    "rae-32": (1, 32, 32),
    "rae-64": (3, 64, 64),
    "aef-big": (3, 32, 32),
}
STEPS, BATCH = 12, 10


def trainer(
    folder, objective="vae", backbone="tiny", *, precision="float32", steps=STEPS, device=DEVICE
):
    shape = SHAPES[backbone]
    count = 8 * BATCH if backbone == "tiny" else 4 * BATCH
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), generator=generator).byte()
    model = build(objective, backbone=backbone, image_shape=shape, latent_dim=3, seed=0)
    Path(folder).mkdir(exist_ok=True, parents=True)
    return Trainer(
        model.to(device),
        Training(
            steps=steps,
            batch_size=BATCH,
            validate_every=4,
            gradient_clip=50.0,
            precision=precision,
        ),
        train=images[: -2 * BATCH],
        validation=images[-2 * BATCH :],
        seed=0,
        folder=Path(folder),
        seconds_to_save=1e9,
    )


def curve(trained):
    lines = [json.loads(line) for line in trained.log.path.read_text().splitlines()]
    return [line["loss"] for line in lines if line["split"] == "validation"]


def main():
    folder, objective, backbone, steps = sys.argv[1:5]
    ask_for_determinism()
    set_up_torch()
    trained = trainer(folder, objective, backbone, steps=int(steps))
    trained.run()
    trained.save()
    weights = torch.cat([p.detach().flatten() for p in trained.objective.parameters()])
    torch.save((trained.step, trained.engine.refused, curve(trained), weights.cpu()), sys.argv[5])


if __name__ == "__main__":
    main()
