"""The composer: the Multitrack Music Transformer (Dong et al., ICASSP 2023), and one of our own.

A song is a sequence of events of six fields (vocabulary.py, encoding.py); a network predicts the next (model.py).
"""
