"""One of two trainings at once: takes as many steps as each line says, and answers each line."""

import sys
import tempfile
from pathlib import Path

import torch
from aebench.bench.suites.config import Training
from aebench.bench.training.trainer import Trainer
from aebench.models.building import build


def main():
    objective, side, batch, rate = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4])
    shape = (1, side, side)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (25 * batch, *shape), generator=generator).byte()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            build(objective, backbone="mlp", image_shape=shape, latent_dim=16),
            Training(batch_size=batch, learning_rate=rate),
            train=images,
            validation=images[:batch],
            seed=0,
            folder=Path(folder),
        )
        for line in sys.stdin:
            for _ in range(int(line)):
                trainer.train_step()
            sys.stdout.write("done\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
