"""Plays the task in DawDreamer: every bus the plug-in has, offline, latency left in."""

import dawdreamer
import host


def play(task: host.Task) -> None:
    engine = dawdreamer.RenderEngine(task.sample_rate, task.block)

    def load(name: str) -> dawdreamer.PluginProcessor:
        return engine.make_plugin_processor(name, str(task.bundle))

    plugin = load("ripieno")
    described = {one["name"]: one for one in plugin.get_parameters_description()}
    for name, value in task.parameters:
        choices = plugin.get_parameter_range(described[name]["index"], convert=False)
        chosen = [span for span, text in choices.items() if text == value]
        host.same(f"{name} can be {value}", 1, len(chosen))
        plugin.set_parameter(described[name]["index"], sum(chosen[0]) / 2)

    # JUCE hands parameters over with the next block.
    engine.load_graph([(plugin, [])])
    engine.render(0.1)
    state = task.folder / "state"
    plugin.save_state(str(state))
    again = load("again")
    again.load_state(str(state))
    for name, _ in task.parameters:
        index = described[name]["index"]
        before, after = plugin.get_parameter_text(index), again.get_parameter_text(index)
        host.same(f"{name} after the state came back", before, after)

    for note in task.notes:
        plugin.add_midi_note(note.key, note.velocity, note.onset, note.end - note.onset)
    engine.load_graph([(plugin, [])])
    engine.render(task.seconds)
    audio = engine.get_audio()
    task.write([audio[bus : bus + 2] for bus in range(0, len(audio), 2)], plugin.get_latency_samples())


def main() -> None:
    for take in host.task().takes():
        play(take)


if __name__ == "__main__":
    main()
