"""Batches, cut where they are used or by processes ahead of a GPU."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ..dataset import Crops
from .losses import to_tensors

AHEAD = 4
"""batches that each process keeps ready"""


class Endless(IterableDataset):
    """Batches without end; every process draws its own."""

    def __init__(self, crops: Crops, size: int, audible: bool) -> None:
        self.crops, self.size, self.audible = crops, size, audible

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        if worker := get_worker_info():
            self.crops.random = self.crops.random.spawn(worker.num_workers)[worker.id]
        draw = self.crops.audio_batch if self.audible else self.crops.batch
        while True:
            yield draw(self.size)


def feed(crops: Crops, size: int, audible: bool, workers: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Batches of a size on a device; the same ones for the same seed and number of workers."""
    endless = Endless(crops, size, audible)
    if workers == 0:
        for batch in endless:
            yield to_tensors(batch, device)
    on_gpu = device.type == "cuda"
    ahead = DataLoader(endless, batch_size=None, num_workers=workers, prefetch_factor=AHEAD, pin_memory=on_gpu)
    for batch in ahead:
        yield {key: value.to(device, non_blocking=True) for key, value in batch.items()}
