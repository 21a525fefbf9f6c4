//! Live in context, around a renderer of sines.

use super::*;

/// An engine in Live whose instant voices are there and whose audio thread has a stream of its own.
pub fn live_engine(behaviour: &Arc<Behaviour>, ensemble: &str) -> Engine {
    let mut engine = engine(Arc::clone(behaviour));
    engine.control.set_ensemble(ensemble);
    engine.audio.configure(48_000.0, 512);
    wait_until("the instant voices", || {
        engine.audio.process(256);
        engine.telemetry.progress() >= 1.0
    });
    engine.audio.reset();
    engine
}

/// Real time for blocks of 256 at 48 kHz.
pub const REAL_TIME: Duration = Duration::from_micros(5_333);

/// The largest second difference of a sine of the instant voice's level at this frequency, times so many.
pub fn bend(hz: f32, voices: f32) -> f32 {
    voices * 0.1 * (std::f32::consts::TAU * hz / 48e3).powi(2)
}

pub fn largest_bend(x: &[f32]) -> f32 {
    x.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f32::max)
}

pub fn rms(x: &[f32]) -> f32 {
    (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt()
}

#[test]
fn in_live_each_note_is_faded_into_its_context_at_equal_level_and_in_phase() {
    for louder in [0.0f32, 1.0, -0.4] {
        let behaviour = Arc::new(Behaviour::default());
        behaviour.passage_level.store(louder.to_bits(), Ordering::Relaxed);
        let mut engine = live_engine(&behaviour, "solo");
        let event = |at, kind| (at, kind);
        let note = |key| EventKind::NoteOn { key, velocity: 96 };
        let events = [event(1_000, note(57)), event(30_000, note(61)), event(52_000, note(64))];
        let heard = play(&mut engine.audio, &events, 96_000, 256, REAL_TIME).mix();
        let (notes, _) = engine.telemetry.in_context_within(1.0);
        assert_eq!(notes, 3, "louder by {louder}");
        assert_eq!(engine.telemetry.live_missing(), 0);
        assert!(heard[..1_000].iter().all(|x| *x == 0.0));
        // The attacks' first 2 ms aside, it is as smooth as three sines: no fade is heard as one.
        let smooth = bend(330.0, 3.0 * (1.0 + louder).max(1.0)) * 1.3;
        let calm: Vec<&[f32]> = vec![&heard[1_200..29_990], &heard[30_200..51_990], &heard[52_200..]];
        for part in calm {
            assert!(largest_bend(part) < smooth, "louder by {louder}: {} and {smooth}", largest_bend(part));
        }
        // Within the first second or so the level is the instant voice's, and changes slowly to the passage's own.
        let levels: Vec<f32> = heard[2_400..28_800].chunks(2_400).map(rms).collect();
        assert!(levels.windows(2).all(|w| (w[1] / w[0]).ln().abs() < 0.12), "louder by {louder}: {levels:?}");
    }
}

#[test]
fn a_released_key_dies_away_at_once_also_in_context() {
    let mut engine = live_engine(&Arc::default(), "solo");
    let events = [(0, EventKind::NoteOn { key: 57, velocity: 96 }), (24_000, off(0, 57).kind)];
    let heard = play(&mut engine.audio, &events, 48_000, 256, REAL_TIME).mix();
    let held = rms(&heard[21_600..24_000]);
    // 60 dB in 0.4 s: 7.5 dB in the 50 ms whose middle is 25 ms after the key.
    let expected = held * 0.001f32.powf(0.05 / 0.4);
    let after = rms(&heard[25_200..27_600]);
    assert!((after / expected).ln().abs() < 0.35, "{held} held, {after} after 50 ms, {expected} expected");
    assert!(largest_bend(&heard[200..]) < bend(220.0, 1.4), "{}", largest_bend(&heard[200..]));
}

#[test]
fn passages_too_slow_for_playing_are_never_gaps() {
    let behaviour = Arc::new(Behaviour::default());
    let mut engine = live_engine(&behaviour, "solo");
    behaviour.takes_ms.store(900, Ordering::Relaxed);
    let events = [(0, EventKind::NoteOn { key: 57, velocity: 96 })];
    let heard = play(&mut engine.audio, &events, 144_000, 256, REAL_TIME).mix();
    let levels: Vec<f32> = heard[2_400..].chunks(2_400).map(rms).collect();
    assert!(levels.windows(2).all(|w| (w[1] / w[0]).ln().abs() < 0.1), "{levels:?}");
    assert!(engine.telemetry.live_late() + engine.telemetry.live_missing() > 0, "late passages are not counted");
}

#[test]
fn the_table_of_other_players_fills_while_passages_take_all_the_time() {
    let behaviour = Arc::new(Behaviour::default());
    let mut engine = live_engine(&behaviour, "solo");
    behaviour.takes_ms.store(60, Ordering::Relaxed);
    behaviour.note_takes_ms.store(20, Ordering::Relaxed);
    engine.control.set_ensemble("string-quartet");
    // Something changes every 50 ms: there is always a passage to be rendered.
    let strike =
        |i: u64, key| [(i * 2_400, EventKind::NoteOn { key, velocity: 96 }), (i * 2_400 + 4_000, off(0, key).kind)];
    let mut events: Vec<_> = (0..80u64).flat_map(|i| strike(i, 50 + (i * 7 % 24) as u8)).collect();
    events.sort_by_key(|(at, _)| *at);
    play(&mut engine.audio, &events, 192_000, 256, REAL_TIME);
    assert!(engine.telemetry.live_passages() > 5, "{} passages", engine.telemetry.live_passages());
    assert!(engine.telemetry.progress() > 0.1, "{} of the table", engine.telemetry.progress());
}

#[test]
fn a_worker_that_panics_while_it_plays_live_is_restarted_and_the_instant_voice_carries_on() {
    let behaviour = Arc::new(Behaviour::default());
    let mut engine = live_engine(&behaviour, "solo");
    behaviour.panics.store(2, Ordering::Relaxed);
    let note = |key| EventKind::NoteOn { key, velocity: 96 };
    let events = [(0, note(57)), (48_000, note(60)), (72_000, note(64))];
    let heard = play(&mut engine.audio, &events, 96_000, 256, REAL_TIME).mix();
    assert!(heard[400..].chunks(480).all(|chunk| rms(chunk) > 0.02), "a gap");
    assert_eq!(engine.telemetry.status().kind, StatusKind::Warning);
    assert!(engine.telemetry.in_context_within(1.0).0 > 0, "it did not come back");
}

/// Flips the mode every so many samples while a chord is held and a line is played; returns what was heard.
fn flip_modes(every: u64, block: usize) -> (Vec<f32>, Engine) {
    let mut engine = live_engine(&Arc::default(), "string-quartet");
    let note = |key| EventKind::NoteOn { key, velocity: 96 };
    let mut heard = Vec::new();
    let mut events = vec![(100, note(45)), (100, note(57)), (300, EventKind::Sustain(true))];
    for i in 0..20u64 {
        events.push((i * 9_600 + 2_000, note(60 + (i % 7) as u8)));
        events.push((i * 9_600 + 9_000, off(0, 60 + (i % 7) as u8).kind));
    }
    events.sort_by_key(|(at, _)| *at);
    for flip in 0..192_000 / every {
        engine.control.set_mode(if flip % 2 == 0 { Mode::Live } else { Mode::Sync });
        let (from, to) = (flip * every, (flip + 1) * every);
        let mine: Vec<_> =
            events.iter().filter(|(at, _)| (from..to).contains(at)).map(|&(at, kind)| (at - from, kind)).collect();
        heard.extend(play(&mut engine.audio, &mine, every, block, REAL_TIME.mul_f64(block as f64 / 256.0)).mix());
    }
    (heard, engine)
}

#[test]
fn modes_switch_without_clicks_and_what_is_held_sounds_on() {
    for (every, block) in [(24_000, 480), (9_600, 64)] {
        let (heard, mut engine) = flip_modes(every, block);
        // In Sync the renderer writes impulses; left are sines, whose second difference is small, and the attacks of notes.
        let limit = bend(415.0, 6.0) + 0.1 * 3.0 / 96.0;
        for live in (0..heard.len() / every as usize).step_by(2) {
            let span = &heard[live * every as usize..(live + 1) * every as usize];
            assert!(largest_bend(span) < limit, "every {every}: {} of {limit} in flip {live}", largest_bend(span));
            // The held chord is there from the fade on.
            assert!(
                span[1_000..].chunks(2_400).all(|chunk| rms(chunk) > 0.02),
                "every {every}: silence in flip {live}"
            );
        }
        engine.control.set_mode(Mode::Live);
        let end = [(0, EventKind::Sustain(false)), (0, off(0, 45).kind), (0, off(0, 57).kind)];
        let mut last: Vec<(u64, EventKind)> = end.to_vec();
        last.extend((60..67).map(|key| (0, off(0, key).kind)));
        let heard = play(&mut engine.audio, &last, 96_000, 480, REAL_TIME.mul_f64(480.0 / 256.0)).mix();
        assert!(rms(&heard[86_400..]) < 1e-3, "something hangs: {}", rms(&heard[86_400..]));
    }
}

#[test]
fn events_of_the_block_in_which_the_mode_changes_are_heard() {
    let mut engine = live_engine(&Arc::default(), "solo");
    engine.control.set_mode(Mode::Sync);
    let events = [(10, on(0, 60).kind)];
    let heard = play(&mut engine.audio, &events, 96_000, 512, REAL_TIME * 2).mix();
    assert!(heard.iter().any(|x| *x > 0.1), "the note of the switching block was lost");
}
