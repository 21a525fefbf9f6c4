"""The data renderer: what it promises the trainers about onsets, pitch, level and repeatability.

Tests that need recordings read RIPIENO_AUDIO_ROOT (the sample pack), RIPIENO_SYMBOLIC_ROOT (the score sets)
and the installed SoundFonts, and skip with the reason where one is missing.
"""

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ripieno_training.render.cli import minutes_of
from ripieno_training.render.habits import Habits, limit_voices, perform
from ripieno_training.render.recipes import pairs, performances
from ripieno_training.render.rooms import Room
from ripieno_training.render.sampler import SAMPLE_RATE, attack_start
from ripieno_training.render.scores import fold

SOURCES = sorted({(performance.id, player.instrument.id) for performance, player in pairs()})
PLAYED = [
    ("concert-grand", "piano"),
    ("string-quartet-hall", "violin"),
    ("string-quartet-hall", "cello"),
    ("sax-quartet-church", "alto-sax"),
    ("woodwinds-hall", "flute"),
    ("woodwinds-hall", "oboe"),
    ("brass-hall", "trumpet"),
    ("organ-maeshowe", "organ"),
    ("guitar-room", "guitar"),
    ("harpsichord-salon", "harpsichord"),
    ("string-orchestra-church", "violin"),
    ("jazz-club", "electric-piano"),
    ("mallets-hall", "marimba"),
    ("orchestra-hall", "timpani"),
]


@pytest.fixture(scope="session")
def stage():
    from ripieno_training.render.renderer import Stage

    root = os.environ.get("RIPIENO_AUDIO_ROOT")
    if root is None or not Path(root).is_dir():
        pytest.skip("the sample pack is not here: set RIPIENO_AUDIO_ROOT to its folder")
    return Stage(Path(root))


@pytest.fixture(scope="session")
def corpus():
    from ripieno_training.render.scores import Corpus

    root = os.environ.get("RIPIENO_SYMBOLIC_ROOT")
    if root is None or not Path(root, "splits.csv").is_file():
        pytest.skip("the score sets are not here: set RIPIENO_SYMBOLIC_ROOT to their folder")
    return Corpus(Path(root), Path(root, "splits.csv"), "train")


def played(stage, performance: str, instrument: str, notes: np.ndarray, seconds: float) -> np.ndarray:
    """Audio of `notes`, or a skip where the player's recordings are not installed."""
    from ripieno_training.render.soundfont import SoundFontError, find_soundfont

    chosen = performances()[performance]
    player = chosen.player(instrument)
    kind, name = player.source.split(":", 1)
    if kind == "soundfont":
        if shutil.which("fluidsynth") is None:
            pytest.skip("the fluidsynth command is not installed")
        try:
            find_soundfont(name, stage.soundfonts)
        except SoundFontError as error:
            pytest.skip(str(error))
    return stage.render(chosen, player, notes, seconds)


def test_notes_render_to_the_same_samples_every_time(stage):
    from ripieno_training.render.renderer import Stage

    for performance, instrument in (("concert-grand", "piano"), ("string-quartet-hall", "violin")):
        notes = np.array([[0.2, 0.9, 67, 80], [0.9, 1.6, 71, 60]], float)
        first = played(stage, performance, instrument, notes, 2.5)
        again = played(Stage(stage.audio_root), performance, instrument, notes, 2.5)
        np.testing.assert_array_equal(first, again)


def test_a_clip_is_a_function_of_its_seed_and_number(stage, corpus):
    performance = performances()["guitar-room"]
    player = performance.player("guitar")
    first = stage.clip(performance, player, corpus, "train", seed=3, number=1)
    again = stage.clip(performance, player, corpus, "train", seed=3, number=1)
    other = stage.clip(performance, player, corpus, "train", seed=4, number=1)
    np.testing.assert_array_equal(first.audio, again.audio)
    np.testing.assert_array_equal(first.notes, again.notes)
    assert first.notes.shape != other.notes.shape or not np.array_equal(first.notes, other.notes)


def energy_onset_s(audio: np.ndarray, expected_s: float) -> float:
    """Time the sound near `expected_s` enters: the first millisecond above -26 dB of its attack.

    It looks at raw power in 1 ms steps, 100 ms before to 300 ms after, apart from how the renderer measures.
    """
    begin = int((expected_s - 0.1) * SAMPLE_RATE)
    step = SAMPLE_RATE // 1000
    window = audio[:, begin : begin + 400 * step]
    power = (window.astype(np.float64) ** 2).sum(0).reshape(-1, step).mean(1)
    return expected_s - 0.1 + int(np.argmax(power > power[100:].max() * 10**-2.6)) / 1000


@pytest.mark.parametrize(("performance", "instrument"), PLAYED)
def test_every_note_begins_within_5_ms_of_its_onset(stage, performance, instrument):
    sound = performances()[performance].player(instrument).instrument
    keys = np.linspace(sound.lo + 3, sound.hi - 3, 7).round()
    notes = np.array(
        [
            (0.5 + 4.0 * i, 1.3 + 4.0 * i, key, velocity)
            for i, (key, velocity) in enumerate(zip(keys, [50, 70, 90] * 3, strict=False))
        ]
    )
    audio = played(stage, performance, instrument, notes, 29.0)
    errors_ms = [1000 * (energy_onset_s(audio, onset) - onset) for onset in notes[:, 0]]
    assert np.abs(errors_ms).max() <= 5.0, errors_ms


@pytest.mark.parametrize(("performance", "instrument"), PLAYED)
def test_every_note_sounds_at_its_pitch(stage, performance, instrument):
    sound = performances()[performance].player(instrument).instrument
    keys = np.linspace(sound.lo + 5, min(sound.hi - 5, 84), 5).round()
    notes = np.array([(0.2 + 3.0 * i, 1.4 + 3.0 * i, key, 90) for i, key in enumerate(keys)])
    audio = played(stage, performance, instrument, notes, 16.0).mean(0)
    bins = 1 << 19
    for onset, _, key, _ in notes:
        begin = int((onset + 0.2) * SAMPLE_RATE)
        steady = audio[begin : begin + 2 * SAMPLE_RATE // 3]
        spectrum = np.log(np.abs(np.fft.rfft(steady * np.hanning(len(steady)), bins)) + 1e-9)
        f0 = 440 * 2 ** ((key - 69) / 12)

        def comb(multiples: np.ndarray, spectrum=spectrum, f0=f0) -> float:
            return spectrum[np.round(multiples * f0 * bins / SAMPLE_RATE).astype(int)].mean()

        harmonics = np.arange(1, 7)
        cents = np.arange(-100, 101, 4)
        best = cents[np.argmax([comb(harmonics * 2 ** (offset / 1200)) for offset in cents])]
        assert abs(best) <= 32, f"key {key:.0f} is {best} cents off"
        assert comb(harmonics) > comb(harmonics - 0.5), f"key {key:.0f} sounds an octave low"


@pytest.mark.parametrize(("performance", "instrument"), PLAYED)
def test_velocity_means_loudness_and_nothing_clips(stage, performance, instrument):
    sound = performances()[performance].player(instrument).instrument
    key = (sound.lo + sound.hi) // 2
    notes = np.array([(0.2 + 3 * i, 1.2 + 3 * i, key, v) for i, v in enumerate((40, 70, 120))], float)
    audio = played(stage, performance, instrument, notes, 9.5)
    assert np.abs(audio).max() < 0.9
    levels = [audio[:, int(t * SAMPLE_RATE) : int((t + 1) * SAMPLE_RATE)].std() for t in notes[:, 0]]
    assert levels[0] < levels[1] < levels[2]


def test_clips_stay_inside_their_range_and_below_full_scale(stage, corpus):
    performance = performances()["concert-grand"]
    for number in range(4):
        clip = stage.clip(performance, performance.players[0], corpus, "train", seed=0, number=number)
        onset, end, pitch, velocity = clip.notes.T
        assert 20 <= clip.audio.shape[1] / SAMPLE_RATE <= 40
        assert np.abs(clip.audio).max() <= 0.95
        assert (end > onset).all() and (onset >= 0).all() and end.max() < clip.audio.shape[1] / SAMPLE_RATE
        assert pitch.min() >= 21 and pitch.max() <= 108
        assert velocity.min() >= 1 and velocity.max() <= 127


def test_the_stems_of_a_piece_add_up_to_its_mix(stage, tmp_path):
    import mido

    from ripieno_training.render.piece import render_piece

    midi = mido.MidiFile(ticks_per_beat=480)
    for channel, (program, key) in enumerate(((0, 60), (0, 48))):
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        track.append(mido.Message("note_on", channel=channel, note=key, velocity=80, time=480))
        track.append(mido.Message("note_off", channel=channel, note=key, time=480))
        midi.tracks.append(track)
    midi.save(tmp_path / "two.mid")
    piece = render_piece(stage, tmp_path / "two.mid", performances()["concert-grand"], {}, seed=None)
    np.testing.assert_allclose(piece.stems[0].notes, [[0.5, 1.0, 60, 80]])
    np.testing.assert_allclose(piece.mix(), piece.stems[0].audio + piece.stems[1].audio)


def test_a_room_leaves_the_direct_sound_where_it_is(tmp_path):
    room = Room(wet=0.5, size=(6.0, 5.0, 3.0), rt60=0.3)
    click = np.zeros((2, SAMPLE_RATE), np.float32)
    click[:, 1000] = 1.0
    position = (0.5, 1.5)
    heard = room.place([click], room.reflections(tmp_path, position), position, [0.0])
    assert np.abs(heard[:, :1000]).max() < 1e-6
    assert (np.abs(heard).argmax(1) == 1000).all()
    assert np.abs(heard[:, 1500:]).max() > 0


def test_the_attack_begins_at_its_own_level_whatever_silence_precedes_it():
    tone = np.sin(np.arange(SAMPLE_RATE) * 2 * np.pi * 440 / SAMPLE_RATE)
    for silence in (0, 480, 4801):
        audio = np.concatenate([1e-4 * np.ones(silence), tone])[None, :]
        assert abs(attack_start(audio, SAMPLE_RATE) - silence) < 0.002 * SAMPLE_RATE


def test_a_line_never_overlaps_and_no_key_sounds_twice():
    rng = np.random.default_rng(0)
    onset = np.sort(rng.uniform(0, 20, 300))
    notes = np.stack(
        [onset, onset + rng.uniform(0.1, 2, 300), rng.integers(40, 52, 300), rng.integers(20, 120, 300)], 1
    )
    line = limit_voices(notes, 1)
    assert (line[1:, 0] >= line[:-1, 1] - 1e-12).all()
    for key in np.unique(notes[:, 2]):
        same = limit_voices(notes, 6)
        same = same[same[:, 2] == key]
        assert (same[1:, 0] >= same[:-1, 1] - 1e-12).all()


def test_habits_shape_notes_by_their_seed_alone():
    habits = Habits(10, 5, 0.95, 0.05, 15, 5, 0.02, 0.5)
    score = np.array([[0.2 * i, 0.2 * i + 0.2, 60 + i % 7] for i in range(60)])
    once = perform(score, habits, 4, np.random.default_rng(1))
    np.testing.assert_array_equal(once, perform(score, habits, 4, np.random.default_rng(1)))
    assert np.abs(np.sort(once[:, 0]) - score[:, 0]).max() < 0.5
    assert np.ptp(once[:, 3]) > 5


@pytest.mark.parametrize(("performance", "instrument"), SOURCES)
def test_folding_keeps_the_pitch_class_and_the_range(performance, instrument):
    sound = performances()[performance].player(instrument).instrument
    pitches = np.arange(0, 128)
    folded = fold(pitches, sound)
    assert folded.min() >= sound.lo and folded.max() <= sound.hi
    assert ((folded - pitches) % 12 == 0).all()


def test_who_plays_alone_has_as_many_minutes_as_a_whole_orchestra():
    options = argparse.Namespace(minutes_per_pair=[7.0, 0.8], minutes_per_performance=[36.0, 0.0])
    by = performances()
    assert minutes_of(options, by["concert-grand"]) == [36.0, 0.8]
    assert minutes_of(options, by["string-quartet-hall"]) == [9.0, 0.8]
    assert minutes_of(options, by["orchestra-hall"]) == [7.0, 0.8]
