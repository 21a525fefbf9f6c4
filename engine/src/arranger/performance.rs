//! A piece given out as if somebody played it: chord by chord, nothing heard before its time.

use super::separator::Arranger;
use crate::score::Playback;

/// Notes that begin within this many seconds are one chord, as for a live player.
const GATHER_S: f64 = 0.010;

/// The part of every note. `before` hears the beat of every chord before it is given out, and may change the hints.
pub fn give_out(
    piece: &Playback,
    arranger: &mut Arranger,
    mut before: impl FnMut(&mut Arranger, f64),
) -> Vec<Option<usize>> {
    let mut given = vec![None; piece.notes.len()];
    let mut sounding: Vec<(f64, u8)> = Vec::new();
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(first) = piece.notes.get(from) {
        let chord = piece.notes[from..].iter().take_while(|n| n.note.onset < first.note.onset + GATHER_S).count();
        let notes = &piece.notes[from..from + chord];
        // What ends by now is released before the chord is given out.
        sounding.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ended = sounding.partition_point(|&(end, _)| end <= first.note.onset + GATHER_S * 0.5);
        for (_, key) in sounding.drain(..ended) {
            arranger.note_off(key);
        }
        let keys: Vec<(u8, u8)> = notes.iter().map(|n| (n.note.pitch, n.note.velocity)).collect();
        before(arranger, first.beat);
        arranger.chord(&keys, first.beat, &mut parts);
        given[from..from + chord].copy_from_slice(&parts);
        sounding.extend(notes.iter().map(|n| (n.note.end, n.note.pitch)));
        from += chord;
    }
    given
}
