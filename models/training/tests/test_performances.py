"""The cards agree with the recipes, and sections, amplifiers and distances do what they promise."""

import tomllib
from itertools import combinations

import numpy as np
import pytest

from ripieno_training.render.amplifier import amplified
from ripieno_training.render.ensemble import LATEST_S, section
from ripieno_training.render.recipes import VOCABULARY, performances
from ripieno_training.render.rooms import Room
from ripieno_training.render.sampler import NOTE_RMS, SAMPLE_RATE

CARDS = {card["id"]: card for card in tomllib.loads(VOCABULARY.read_text())["performance"]}


def sharing(key: str) -> list[tuple[str, str]]:
    return [(a, b) for a, b in combinations(CARDS, 2) if CARDS[a][key] == CARDS[b][key]]


@pytest.mark.parametrize(("one", "other"), sharing("room_id"))
def test_the_same_room_is_the_same_walls(one, other):
    a, b = (performances()[name].room for name in (one, other))
    assert (a.size, a.rt60, a.measured) == (b.size, b.rt60, b.measured)
    assert CARDS[one]["room"] == CARDS[other]["room"]


@pytest.mark.parametrize(("one", "other"), sharing("players_id"))
def test_the_same_players_play_the_same_instruments_elsewhere(one, other):
    a, b = (performances()[name] for name in (one, other))
    shared = {p.instrument.id for p in a.players} & {p.instrument.id for p in b.players}
    assert shared and CARDS[one]["room_id"] != CARDS[other]["room_id"]
    for name in shared:
        assert a.player(name).source == b.player(name).source


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_what_each_player_was_recorded_from(name):
    players = performances()[name].players
    assert CARDS[name]["made_from"] == [player.source for player in players]
    assert CARDS[name]["programs"] == [player.instrument.program for player in players]


def test_there_are_rooms_with_several_players_and_players_with_several_rooms():
    assert len(CARDS) >= 24
    assert len(sharing("room_id")) >= 20 and len(sharing("players_id")) >= 3


def test_a_section_follows_its_leader_and_no_two_desks_are_alike():
    notes = np.array([[0.5 * i, 0.5 * i + 0.4, 60 + i, 80] for i in range(40)], float)
    desks = section(6)
    played = [desk.notes(notes) for desk in desks]
    np.testing.assert_array_equal(played[0], notes)
    for a, b in combinations(range(6), 2):
        assert desks[a].touch != desks[b].touch and desks[a].right != desks[b].right
        assert not np.array_equal(played[a], played[b])
    for desk in played[1:]:
        assert np.abs(desk[:, 0] - notes[:, 0]).max() <= LATEST_S + 1e-9
        np.testing.assert_array_equal(desk[:, 2], notes[:, 2])
    np.testing.assert_array_equal(played[3], section(6)[3].notes(notes))


def test_an_amplifier_keeps_the_level_of_a_note_and_adds_overtones():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.repeat(NOTE_RMS * np.sqrt(2) * np.sin(2 * np.pi * 440 * time)[None], 2, 0).astype(np.float32)
    clean, crunch = (amplified(tone, drive)[:, 2000:-2000] for drive in (0.5, 14.0))
    for sound in (clean, crunch):
        assert abs(20 * np.log10(sound.std() / NOTE_RMS)) < 1.0

    def third(sound):
        spectrum = np.abs(np.fft.rfft(sound[0] * np.hanning(sound.shape[1])))
        hz = np.fft.rfftfreq(sound.shape[1], 1 / SAMPLE_RATE)
        around = [spectrum[np.abs(hz - f) < 10].max() for f in (440, 1320)]
        return 20 * np.log10(around[1] / around[0])

    assert third(crunch) > -25 and third(clean) < -50


def test_a_distant_player_is_wetter_where_the_room_says_so():
    near = Room(wet=0.3, near=5.0, size=(20, 15, 8), rt60=1.0)
    assert near.wetness((0.0, 10.0)) == pytest.approx(0.6) and near.wetness((3.0, 4.0)) == pytest.approx(0.3)
    assert Room(wet=0.3, size=(20, 15, 8), rt60=1.0).wetness((0.0, 10.0)) == 0.3
