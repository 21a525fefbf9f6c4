"""Plays the task in pedalboard: stereo, offline, latency left in."""

import host
import pedalboard


def main() -> None:
    task = host.task()
    names = pedalboard.VST3Plugin.get_plugin_names_for_file(str(task.bundle))
    host.same("classes", {"Ripieno", "Ripieno Multi"}, set(names))
    plugin = pedalboard.VST3Plugin(str(task.bundle), plugin_name=task.plugin)
    for name, value in task.parameters:
        setattr(plugin, name.lower().replace(" ", "_"), value)

    # JUCE hands parameters over with the next block.
    plugin([], duration=0.1, sample_rate=task.sample_rate)
    state = plugin.raw_state
    again = pedalboard.VST3Plugin(str(task.bundle), plugin_name=task.plugin)
    again.raw_state = state
    for name, _ in task.parameters:
        attribute = name.lower().replace(" ", "_")
        host.same(f"{name} after the state came back", getattr(plugin, attribute), getattr(again, attribute))

    messages = [(bytes(event[1:]), event[0] / task.sample_rate) for event in task.events()]
    audio = again(messages, duration=task.seconds, sample_rate=task.sample_rate, buffer_size=task.block)
    task.write([audio], again.reported_latency_samples)


if __name__ == "__main__":
    main()
