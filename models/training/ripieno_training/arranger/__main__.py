"""`python -m ripieno_training.arranger {train,evaluate,export}`."""

from .cli import main

main()
