"""An instance of one class of the bundle in minihost, with the task's parameters set."""

from xml.etree import ElementTree

import host
import minihost
import numpy as np

# As the plug-in's source has them; projects name the classes by them, for ever.
CLASS_IDS = {"Ripieno": b"RipienoEnsemble1", "Ripieno Multi": b"RipienoMultiOuts"}


def load(task: host.Task) -> minihost.Plugin:
    """An instance of the task's class; the path alone would be taken for the first class."""
    wanted = ElementTree.Element("PLUGIN", name=task.plugin, format="VST3", file=str(task.bundle))
    wanted.set("uid", f"{juce_hash(CLASS_IDS[task.plugin]):x}")
    return minihost.Plugin.from_descriptor(
        ElementTree.tostring(wanted, encoding="unicode"), task.sample_rate, task.block, 0, 2
    )


def load_and_set(task: host.Task) -> minihost.Plugin:
    """The same, with each of the task's parameters set by its text."""
    plugin = load(task)
    for name, value in task.parameters:
        index = plugin.find_param(name)
        plugin.set_param(index, plugin.param_from_text(index, value))
    # JUCE hands parameters over with the next block.
    silence = np.zeros((plugin.num_input_channels, task.block), dtype=np.float32)
    plugin.process_midi(silence, np.zeros((plugin.num_output_channels, task.block), dtype=np.float32), [])
    return plugin


def juce_hash(class_id: bytes) -> int:
    """JUCE's number for a VST3 class: a polynomial of its 16 bytes in 32 bits."""
    number = 0
    for byte in class_id:
        number = (number * 31 + byte) % 2**32
    return number
