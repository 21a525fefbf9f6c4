"""A transcriber that says who plays each note: a judge of renderings, not part of the plug-in.

    python -m ripieno_training.train transcriber --clips DIR --out DIR --minutes M
    python -m ripieno_training.transcriber --checkpoints DIR --clips DIR

It learns from clips of the data renderer, mixed into ensembles. `spectrum` is what it sees, `network` finds onsets and
names their instruments, `mixtures` are what it learns from, `loss` how, `decode` makes notes of what it says, `score`
counts those that are right.
"""
