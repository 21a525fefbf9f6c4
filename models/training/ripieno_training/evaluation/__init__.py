"""The synthesizer's evaluation, after Maman et al. (2024): held-out pieces, each by three random performances.

    python -m ripieno_training.evaluation run --checkpoints DIR --work DIR --name tiny [--pieces 30]
    python -m ripieno_training.evaluation table

`excerpts` cuts pieces of the test split, `stages` renders them truly, `systems` are what is measured, on a `bench` for
each excerpt, by a `judge`; `keeping` keeps what is done; `measures` are the distances of one excerpt, `groups` those to
all audio and to one performance's, `summary` the figures, `picture` the map of performances, `table` the section of
models/synth/README.md, `protocol` all of it in order.
"""
