"""Makes the synthesizer's training audio: scores, players' habits, recorded instruments and rooms.

Read in this order: `recipes` (what exists), `scores` and `patterns` (what is played), `habits` (how),
`sampler` and `soundfont` (by what), `ensemble` (sections) and `amplifier`, `rooms` (where), `renderer` (a part, a
clip), `piece`, `cli`.

What the recordings have is used: velocity layers, loops, stereo images. They have one recording a key and velocity,
no release samples and no transitions: desks of a section play neighbour keys' recordings moved back to pitch, so that
no two sound the same, and releases are fades.

How fast it is, and how fast a GPU would use up what it makes, is in `models/training/README.md`.
"""
