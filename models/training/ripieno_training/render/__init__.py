"""Makes the synthesizer's training audio: scores, players' habits, recorded instruments and rooms.

Read in this order: `recipes` (what exists), `scores` and `patterns` (what is played), `habits` (how),
`sampler` and `soundfont` (by what), `ensemble` (sections) and `amplifier`, `rooms` (where), `renderer` (a part, a
clip), `piece`, `cli`.

What the recordings have is used: velocity layers, loops, stereo images. They have one recording a key and velocity,
no release samples and no transitions: desks of a section play neighbour keys' recordings moved back to pitch, so that
no two sound the same, and releases are fades.

Speed, in processor time on a shared 2-core Xeon: a clip of a solo part is made 55 to 75 times faster than it sounds;
29 pairs of player and performance, sections of 3 to 6 desks and the opening of every instrument for only 2 minutes of
audio included, 35 times. 60 hours are therefore 1.7 core hours: 6.5 minutes on 16 cores, about 60 GB as clips
with their features. Made on the fly, 16 cores give 560 s of new audio a second; a GPU that trains on batches
of 256 crops of 2.56 s at 10 steps a second uses 6,550 s, so it would see each second 12 times before it is replaced.
"""
