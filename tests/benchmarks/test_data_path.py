"""An epoch of normalised batches against a DataLoader over the same resident images."""

from __future__ import annotations

import pytest
import torch
from aebench.bench.training.batches import Batches
from aebench.models.spaces.space import UnitSpace
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

SHAPE, BATCH, COUNT = (1, 32, 32), 128, 12_800


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (COUNT, *SHAPE), generator=generator).byte()


def by_image(images):
    loader = DataLoader(TensorDataset(images), BATCH, shuffle=True, drop_last=True)
    return (batch for (batch,) in loader)


def by_batch(images):
    dataset = TensorDataset(images)
    sampler = BatchSampler(RandomSampler(dataset), BATCH, drop_last=True)
    return (batch for (batch,) in DataLoader(dataset, sampler=sampler, batch_size=None))


LOADERS = {"DataLoader": by_image, "DataLoader, whole batches": by_batch}


@pytest.mark.parametrize("peer", LOADERS)
def test_data_path(peer, images, versus):
    batches, space = Batches(images, BATCH, seed=0), UnitSpace(SHAPE)
    epochs = iter(range(1000))

    def ours():
        start = next(epochs) * batches.per_epoch
        return sum(
            float(space.prepare(batches.at(step), None)[0, 0, 0, 0])
            for step in range(start, start + batches.per_epoch)
        )

    def theirs():
        return sum(float((batch.float() / 255)[0, 0, 0, 0]) for batch in LOADERS[peer](images))

    versus(ours, theirs, peer=peer, work=f"batch of {BATCH}", count=batches.per_epoch)
