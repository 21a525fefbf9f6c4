"""Makes the synthesizer's training audio: scores, players' habits, recorded instruments and rooms.

Read in this order: `recipes` (what exists), `scores` and `patterns` (what is played), `habits` (how),
`sampler` and `soundfont` (by what), `rooms` (where), `renderer` (a part, a clip), `piece`, `cli`.
"""
