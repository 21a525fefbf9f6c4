"""The arranger: which part of an ensemble plays each note of a keyboard (Dong et al., ISMIR 2021, the online LSTM).

`data` reads chorales, `model` is the network, `training` fits it, `evaluation` measures it, `exporting` writes the ONNX
file, its manifest entry and the golden values the engine is held to.
"""
