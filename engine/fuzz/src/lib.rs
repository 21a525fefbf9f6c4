//! What every target does with a score that was read.

use std::path::Path;

use ripieno_engine::score::{Playback, Score, abc, metrics, midi, musicxml, muspy, representation};

/// Plays, measures and writes a score; a panic is a find.
pub fn use_up(score: &Score) {
    let played = Playback::of(score);
    assert!(played.notes.iter().all(|note| note.note.onset.is_finite() && note.note.end >= note.note.onset));
    let _ = metrics::polyphony(score);
    let _ = metrics::polyphony_rate(score, 2);
    let _ = metrics::empty_beat_rate(score);
    let _ = metrics::groove_consistency(score, 4 * u64::from(score.resolution));
    let _ = metrics::drum_pattern_consistency(score);
    let _ = metrics::scale_consistency(score);
    let options = representation::EventOptions::default();
    if let Ok(codes) = representation::events(score, &options) {
        let _ = representation::from_events(&codes, &options, score.resolution);
    }
    let _ = midi::write_bytes(score);
    let _ = musicxml::write_bytes(score, Path::new("a.musicxml"));
    let _ = abc::write_text(score, Path::new("a.abc"));
    let _ = muspy::write_bytes(score);
}
