"""What stands in the prior's place where a denoiser makes the whole mel from noise."""

from torch import Tensor, nn


class MeanMel(nn.Module):
    """The mean mel [MEL] of training, whoever plays and whatever; same inputs and output as `Prior`."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, roll: Tensor, instrument: Tensor, performance: Tensor, notes_on: Tensor) -> Tensor:
        return self.mean.expand(roll.shape[0], roll.shape[1], -1)
