"""In which precision matrix products run: bf16 where the device multiplies it itself, fp32 elsewhere."""

import torch


def multiplies_bf16(device: str) -> bool:
    """Whether bf16 products are faster than fp32's: on a GPU, and on processors with AMX or AVX-512 BF16.

    On a processor without them they are emulated: an LSTM trains several times slower so.
    """
    return device != "cpu" or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def products(device: str, fast: bool = True) -> torch.autocast:
    """A context in which matrix products run as the device does them fastest; all else, and weights, stay fp32."""
    return torch.autocast(device, torch.bfloat16, enabled=fast and multiplies_bf16(device))
