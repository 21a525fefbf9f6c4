"""Plays the task in Ardour, without its window: a session, a MIDI track with the plug-in, an export to WAV. Mono.

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
import numpy as np
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

# Behind the plug-in: on the right, a sample for each note that leaves it, as high as its key; on the left, what sounds.
NOTES = """
ardour { ["type"] = "dsp", name = "Ripieno Notes", category = "Example", license = "MIT", author = "Ripieno" }
function dsp_ioconfig () return { { midi_in = 1, midi_out = 0, audio_in = 2, audio_out = 2 } } end
function dsp_run (ins, outs, n_samples)
  ARDOUR.DSP.copy_vector (outs[1], ins[1], n_samples)
  local marks = outs[2]:array ()
  for sample = 1, n_samples do marks[sample] = 0 end
  for _, event in ipairs (midiin) do
    local data = event["data"]
    if #data == 3 and (data[1] & 240) == 144 and data[3] > 0 then marks[event["time"]] = data[2] / 128 end
  end
end
"""

SESSION = """
local folder, plugin_name, rate, samples, preset_id = %s, %s, %d, %d, %s
-- What is printed must not die with the process.
io.stdout:setvbuf ("no")

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
local notes = ARDOUR.LuaAPI.new_luaproc (Session, "Ripieno Notes")
assert (not notes:isnil (), "Ardour does not load the listener")
assert (track:add_processor_by_index (notes, index, nil, true) == 0, "Ardour does not take the listener")
-- The plug-in asks for a restart where its latency changes; Ardour does that beside us, on a busy machine late. After
-- that it works out for how long the song rolls in, and now and then never does: an export would begin at once.
local latency, still = track:signal_latency (), 0
for _ = 1, 150 do
  ARDOUR.LuaAPI.usleep (100000)
  local now = track:signal_latency ()
  still = now == latency and Session:worst_latency_preroll () >= now and still + 1 or 0
  latency = now
  if still == 20 then break end
end
if still == 20 then
  -- The latency as the track sees it: the notes come in while it plays, so Ardour has nothing to move.
  print ("LATENCY", latency)
  -- Saved first: the export is the last thing that this process is sure to do.
  Session:save_state ("")
  local export = Session:simple_export ()
  assert (export:set_preset (preset_id), "Ardour does not find the export's preset")
  export:set_name ("take")
  export:set_folder (folder)
  export:set_range (0, samples)
  assert (export:run_export (), "the export failed")
else
  print ("Ardour does not roll for as long as the track is late.")
end
quit ()
"""

# Ardour's own are dithered, and its default makes the loudest sample full scale: here every sample is as it was.
EXPORT_PRESET = "8c5b1a52-6d0e-4a63-9f4c-1d3a3f0b7e21"
EXPORT_FORMAT = "5f0f6b0e-2b0c-4c55-8a70-64b7f6a3c9d4"
PRESET = f"""<?xml version="1.0" encoding="UTF-8"?>
<ExportPreset id="{EXPORT_PRESET}" name="Ripieno">
  <ExportFormat id="{EXPORT_FORMAT}"/>
  <ExportFilename>
    <Folder relative="1" path="export"/>
    <Field name="label" enabled="0"/>
    <Field name="session" enabled="0"/>
    <Field name="snapshot" enabled="0"/>
    <Field name="timespan" enabled="1"/>
    <Field name="revision" enabled="0"/>
    <Field name="time" enabled="0" value="T_None"/>
    <Field name="date" enabled="0" value="D_None"/>
  </ExportFilename>
</ExportPreset>
"""
FORMAT = f"""<?xml version="1.0" encoding="UTF-8"?>
<ExportFormatSpecification name="Ripieno" id="{EXPORT_FORMAT}" analyse="0">
  <Encoding id="F_WAV" type="T_Sndfile" extension="wav" name="WAV" has-sample-format="true" channel-limit="256"/>
  <SampleRate rate="SR_Session"/>
  <SRCQuality quality="SRC_SincBest"/>
  <EncodingOptions>
    <Option name="sample-format" value="SF_Float"/>
    <Option name="dithering" value="D_None"/>
    <Option name="tag-metadata" value="0"/>
    <Option name="tag-support" value="0"/>
    <Option name="broadcast-info" value="0"/>
  </EncodingOptions>
  <Processing>
    <Normalize enabled="0" loudness="no" dbfs="0" lufs="-23" dbtp="-1"/>
    <Silence>
      <Start>
        <Trim enabled="0"/>
        <Add enabled="0"><Duration format="Timecode" hours="0" minutes="0" seconds="0" frames="0"/></Add>
      </Start>
      <End>
        <Trim enabled="0"/>
        <Add enabled="0"><Duration format="Timecode" hours="0" minutes="0" seconds="0" frames="0"/></Add>
      </End>
    </Silence>
  </Processing>
</ExportFormatSpecification>
"""

ATTEMPTS = 5
"""at an export whose process may die"""

AGAIN = """
local folder, rate = %s, %d

AudioEngine:set_backend ("None (Dummy)", "", "")
Session = load_session (folder, "take")
assert (Session, "Ardour cannot open the session again")
Session:save_state ("again")
collectgarbage ()
close_session ()
quit ()
"""


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
    # But for the single notes that the plug-in has rendered before.
    notes = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ripieno"
    notes.mkdir(parents=True, exist_ok=True)
    (home / ".cache").mkdir(parents=True)
    (home / ".cache" / notes.name).symlink_to(notes, target_is_directory=True)
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
    (scripts / "ripieno_notes.lua").write_text(NOTES)
    exports = home / ".config" / library.name / "export"
    exports.mkdir()
    (exports / "ripieno.preset").write_text(PRESET)
    (exports / "ripieno.format").write_text(FORMAT)

    (binary,) = bundle.glob("Contents/x86_64-linux/*.so")
    scanner = environment | {"LD_LIBRARY_PATH": str(library)}
    subprocess.run([library / "ardour-vst3-scanner", "-f", "-v", binary], env=scanner, check=True, timeout=60)

    session = task.folder / "session"
    samples = round(task.seconds * task.sample_rate)

    def run(name: str, text: str) -> subprocess.CompletedProcess[str]:
        script = task.folder / f"{name}.lua"
        script.write_text(text)
        command = ["timeout", "140", lua, script]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        sys.stderr.write(ran.stdout + ran.stderr)
        if "Error:" in ran.stdout + ran.stderr:
            sys.exit("Ardour did not play the session")
        return ran

    names = json.dumps(str(session)), json.dumps(task.plugin)
    take = session / "take.wav"
    # Again where there is no export. When one is written, Ardour 7.3's Lua session dies of a corrupted heap in a third
    # of its runs, with the synthesizer that it brings along and no other plug-in, too. So the file counts: its length
    # says that it is whole.
    for _ in range(ATTEMPTS):
        shutil.rmtree(session, ignore_errors=True)
        played = run("session", SESSION % (*names, task.sample_rate, samples, json.dumps(EXPORT_PRESET)))
        exported = soundfile.info(take).frames if take.is_file() else 0
        if exported == samples:
            break
    host.same("samples of the export", samples, exported)
    run("again", AGAIN % (names[0], task.sample_rate))
    before, after = saved_state(session / "take.ardour"), saved_state(session / "again.ardour")
    host.same("the plug-in's state after the session was opened again", before, after)

    audio, sample_rate = soundfile.read(take, dtype="float32", always_2d=True)
    host.same("sample rate of the export", task.sample_rate, sample_rate)
    (latency,) = re.findall(r"^LATENCY\s+(\d+)", played.stdout, re.MULTILINE)
    left, marks = audio.T
    sent = [
        {"sample": int(sample), "channel": 0, "key": round(float(marks[sample]) * 128), "velocity": 1, "on": True}
        for sample in np.flatnonzero(marks)
    ]
    task.write([np.stack([left, left])], int(latency), sent)


if __name__ == "__main__":
    main()
