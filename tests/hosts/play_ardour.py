"""Plays the task in Ardour, without its window: a session, a MIDI track with the plug-in, an export to WAV.

Ardour shows no parameters that are not for automation, so the task's come as a preset of its own. Its Lua
interpreter (`ardour7-lua`) imports no MIDI, so the notes come from a small DSP script in front of the plug-in
which follows the session's transport.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import host
import juce
import minihost
import soundfile

SCORE = """
ardour { ["type"] = "dsp", name = "Ripieno Score", category = "Example", license = "MIT", author = "Ripieno" }
function dsp_ioconfig () return { { midi_in = 1, midi_out = 1, audio_in = 0, audio_out = 0 } } end
local events = { %s }
function dsp_run (_, _, n_samples)
  local count = 0
  local start = Session:transport_sample ()
  if not Session:transport_rolling () then return end
  for _, event in ipairs (events) do
    if event[1] >= start and event[1] < start + n_samples then
      count = count + 1
      midiout[count] = { time = event[1] - start + 1, data = { event[2], event[3], event[4] } }
    end
  end
end
"""

SESSION = """
local folder, plugin_name, rate, samples = %s, %s, %d, %d

AudioEngine:set_backend ("None (Dummy)", "", "")
Session = create_session (folder, "take", rate)
assert (Session, "Ardour cannot create a session")
local info = ARDOUR.LuaAPI.new_plugin_info (plugin_name, ARDOUR.PluginType.VST3)
assert (not info:isnil (), "Ardour does not know the plug-in")
local midi = ARDOUR.ChanCount (ARDOUR.DataType ("midi"), 1)
local audio = ARDOUR.ChanCount (ARDOUR.DataType ("audio"), 2)
local track = Session:new_midi_track (midi, audio, false, info, nil, nil, 1, "Track",
  ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true):front ()
local score = ARDOUR.LuaAPI.new_luaproc (Session, "Ripieno Score")
assert (not score:isnil (), "Ardour does not load the score")
assert (track:add_processor_by_index (score, 0, nil, true) == 0, "Ardour does not take the score")

local index, plugin = 0, nil
while not plugin do
  local processor = track:nth_processor (index)
  assert (not processor:isnil (), "the track has no instrument")
  if processor:display_name () == plugin_name then plugin = processor:to_insert ():plugin (0) end
  index = index + 1
end
local preset = plugin:preset_by_label ("task")
assert (preset, "Ardour does not find the preset")
assert (plugin:load_preset (preset), "the plug-in refuses the preset")
-- The plug-in asks for a restart where its latency changes; Ardour does that beside us.
ARDOUR.LuaAPI.usleep (1000000)

-- The latency as the track sees it: the notes come in while it plays, so Ardour has nothing to move.
print ("LATENCY", track:signal_latency ())
local export = Session:simple_export ()
-- "WAV @ session-rate": as it is, where the default makes the loudest sample full scale.
assert (export:set_preset ("75969a1c-3133-4694-864b-a1fa50e43348"), "Ardour has no preset for plain WAV")
export:set_name ("take")
export:set_folder (folder)
export:set_range (0, samples)
assert (export:run_export (), "the export failed")

Session:save_state ("")
track, score, export, info, plugin, preset = nil, nil, nil, nil, nil, nil
collectgarbage ()
close_session ()
Session = load_session (folder, "take")
assert (Session, "Ardour cannot open the session again")
Session:save_state ("again")
collectgarbage ()
close_session ()
quit ()
"""


ATTEMPTS = 4
"""at a session whose process may die"""


def program(stem: str) -> str:
    """The path of Debian's `ardour7-lua`, or of a later version's."""
    for version in range(9, 6, -1):
        if found := shutil.which(stem % version):
            return found
    sys.exit("Ardour is not installed; on Debian: apt-get install ardour")


def saved_state(session: Path) -> str:
    """What the plug-in keeps in an Ardour session, as text."""
    (state,) = re.findall(r"<vst3 [^>]*>.*?<chunk[^>]*>(.*?)</chunk>", session.read_text(), re.DOTALL)
    return state


def main() -> None:
    task = host.task()
    lua = program("ardour%d-lua")
    library = Path("/usr/lib") / Path(lua).name.removesuffix("-lua")
    # A home of its own: plug-ins, scripts and settings are read below HOME, and the user's stay untouched.
    home = task.folder / "home"
    environment = os.environ | {"HOME": str(home)}
    environment.pop("XDG_CONFIG_HOME", None)
    environment.pop("XDG_CACHE_HOME", None)
    bundle = home / ".vst3" / task.bundle.name
    shutil.copytree(task.bundle, bundle)
    presets = home / ".vst3" / "presets" / "Ripieno" / task.plugin
    presets.mkdir(parents=True)
    plugin = juce.load_and_set(task)
    minihost.save_vstpreset(presets / "task.vstpreset", plugin, juce.CLASS_IDS[task.plugin].hex().upper())
    plugin.close()
    scripts = home / ".config" / library.name / "scripts"
    scripts.mkdir(parents=True)
    events = ", ".join(f"{{{sample}, {kind}, {key}, {velocity}}}" for sample, kind, key, velocity in task.events())
    (scripts / "ripieno_score.lua").write_text(SCORE % events)

    (binary,) = bundle.glob("Contents/x86_64-linux/*.so")
    scanner = environment | {"LD_LIBRARY_PATH": str(library)}
    subprocess.run([library / "ardour-vst3-scanner", "-f", "-v", binary], env=scanner, check=True, timeout=60)

    session = task.folder / "session"
    samples = round(task.seconds * task.sample_rate)
    script = task.folder / "session.lua"
    script.write_text(SESSION % (json.dumps(str(session)), json.dumps(task.plugin), task.sample_rate, samples))
    # Ardour 7.3's Lua session sometimes dies of a corrupted heap after an export, with a silent plug-in too; under a
    # debugger it never did. Whose fault that is has not been found.
    for _ in range(ATTEMPTS):
        shutil.rmtree(session, ignore_errors=True)
        played = subprocess.run([lua, script], env=environment, capture_output=True, text=True, timeout=100)
        sys.stderr.write(played.stdout + played.stderr)
        if played.returncode >= 0 and (session / "again.ardour").is_file():
            break
    if "Error:" in played.stdout + played.stderr or not (session / "take.wav").is_file():
        sys.exit("Ardour did not play the session")
    before, after = saved_state(session / "take.ardour"), saved_state(session / "again.ardour")
    host.same("the plug-in's state after the session was opened again", before, after)

    audio, sample_rate = soundfile.read(session / "take.wav", dtype="float32", always_2d=True)
    host.same("sample rate of the export", task.sample_rate, sample_rate)
    (latency,) = re.findall(r"^LATENCY\s+(\d+)", played.stdout, re.MULTILINE)
    task.write([audio.T], int(latency))


if __name__ == "__main__":
    main()
