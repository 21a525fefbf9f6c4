"""Plays the task in pedalboard: stereo, offline, latency left in."""

import host
import pedalboard


def main() -> None:
    task = host.task()
    names = pedalboard.VST3Plugin.get_plugin_names_for_file(str(task.bundle))
    host.same("classes", {"Ripieno", "Ripieno Multi"}, set(names))
    plugin = pedalboard.VST3Plugin(str(task.bundle), plugin_name=task.plugin)
    # By the attributes that pedalboard makes of them, units included.
    attributes = {parameter.name: attribute for attribute, parameter in plugin.parameters.items()}
    for name, value in task.parameters:
        setattr(plugin, attributes[name], value)

    # JUCE hands parameters over with the next block.
    plugin([], duration=0.1, sample_rate=task.sample_rate)
    state = plugin.raw_state
    again = pedalboard.VST3Plugin(str(task.bundle), plugin_name=task.plugin)
    again.raw_state = state
    for name, _ in task.parameters:
        before, after = getattr(plugin, attributes[name]), getattr(again, attributes[name])
        host.same(f"{name} after the state came back", before, after)

    messages = [(bytes(event[1:]), event[0] / task.sample_rate) for event in task.events()]
    # One instance for all: pedalboard takes seconds to load it, for it tries every value of every parameter.
    for take in task.takes():
        audio = again(messages, duration=task.seconds, sample_rate=task.sample_rate, buffer_size=take.block)
        take.write([audio], again.reported_latency_samples)


if __name__ == "__main__":
    main()
