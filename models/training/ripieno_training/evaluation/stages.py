"""True renderings: of the excerpts that are measured, and of training works, which the groups are made of."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..dataset import Clip, catalogue
from ..features import FPS, HOP, mel_of_audio, note_roll
from ..listening import embed
from ..render.recipes import Performance
from ..render.renderer import Stage
from ..render.scores import Corpus
from .excerpts import PlayedPart, excerpts, played

GROUP_SEED = 7


def true_parts(stage: Stage, performance: Performance, parts: list[PlayedPart], seconds: float) -> list[Clip]:
    """Each part as a clip with its true audio and mel."""
    performances, instruments = catalogue()
    frames = int(seconds * FPS) // 2 * 2
    clips = []
    for part in parts:
        audio = stage.render(performance, part.player, part.notes, frames * HOP / 48_000)
        loudest = float(np.abs(audio).max())
        audio = audio * min(1.0, 0.99 / max(loudest, 1e-9))
        clips.append(
            Clip(
                np.round(audio * 32767).astype(np.int16), part.notes,
                note_roll(part.notes, 0, frames).astype(np.float16),
                mel_of_audio(audio.astype(np.float64), 0, frames).astype(np.float16),
                instruments.index(part.player.instrument.id), performances.index(performance.id), "",
            )
        )  # fmt: skip
    return clips


def mixed(clips: list[Clip]) -> np.ndarray:
    """Sum of the parts' true audio, float32 [2, samples]."""
    return np.sum([clip.audio.astype(np.float32) / 32768.0 for clip in clips], 0)


def group_embeddings(
    stage: Stage, corpus: Corpus, chosen: list[Performance], count: int, seconds: float, musicnn: Path, cache: Path
) -> dict[str, np.ndarray]:
    """Embeddings [n, d] of `count` excerpts of training works as each performance truly plays them; kept in `cache`."""
    found = {}
    pieces = None
    for performance in tqdm(chosen, desc="groups"):
        file = cache / f"group-{performance.id}-{count}x{seconds:g}.npy"
        if not file.exists():
            pieces = pieces or list(excerpts(corpus, count, seconds, GROUP_SEED))
            heard = []
            for number, piece in enumerate(pieces):
                parts = played(piece, performance, number)
                sound = sum(stage.render(performance, part.player, part.notes, seconds) for part in parts)
                heard.append(embed(sound, musicnn))
            stage.close()
            partial = file.with_suffix(".part.npy")
            np.save(partial, np.concatenate(heard))
            partial.rename(file)
        found[performance.id] = np.load(file)
    return found
