"""`python -m ripieno_training.composer {split,train,evaluate,export,vocabulary}`."""

from .cli import main

main()
