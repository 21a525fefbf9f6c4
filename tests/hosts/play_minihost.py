"""Plays the task in minihost: every bus, the plug-in's note output, offline, latency left in."""

import host
import juce
import numpy as np


def play(task: host.Task) -> None:
    # What is set in one instance is played by another, to which it comes as saved state.
    first = juce.load_and_set(task)
    plugin = juce.load(task)
    plugin.set_state(first.get_state())
    first.close()
    for name, value in task.parameters:
        index = plugin.find_param(name)
        text = plugin.param_to_text(index, plugin.get_param(index))
        host.same(f"{name} after the state came back", value, text)

    # JUCE says that this is a bounce at the second change of the sample rate after it was told.
    plugin.non_realtime = True
    for sample_rate in (2 * task.sample_rate, task.sample_rate):
        plugin.sample_rate = sample_rate
    events = task.events()
    total = round(task.seconds * task.sample_rate)
    silence = np.zeros((plugin.num_input_channels, task.block), dtype=np.float32)
    audio = np.zeros((plugin.num_output_channels, total), dtype=np.float32)
    block = np.zeros((plugin.num_output_channels, task.block), dtype=np.float32)
    sent = []
    for start in range(0, total, task.block):
        plugin.set_transport(120.0, position_samples=start, position_beats=2.0 * start / task.sample_rate)
        due = [(sample - start, *message) for sample, *message in events if start <= sample < start + task.block]
        for sample, status, key, velocity in plugin.process_midi(silence, block, due):
            kind, channel = status & 0xF0, status & 0x0F
            if kind in (0x80, 0x90):
                on = kind == 0x90 and velocity > 0
                sent.append({"sample": start + sample, "channel": channel, "key": key, "velocity": velocity, "on": on})
        length = min(task.block, total - start)
        audio[:, start : start + length] = block[:, :length]
    buses = [audio[bus : bus + 2] for bus in range(0, len(audio), 2)]
    task.write(buses, plugin.latency_samples, sent)


def main() -> None:
    task = host.task()
    # Closed right after the host changed parameters: nothing may be left that brings the process down.
    for _ in range(4):
        juce.load_and_set(task).close()
    for take in task.takes():
        play(take)


if __name__ == "__main__":
    main()
