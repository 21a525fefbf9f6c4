//! What goes wrong around the networks: each time a sentence, and the music goes on.

use super::*;

#[test]
fn the_dropout_meter_counts_exactly_the_segments_that_were_lost() {
    let behaviour = Arc::new(Behaviour::default());
    behaviour.lose_every.store(5, Ordering::Relaxed);
    let mut engine = sync_engine(behaviour, false);
    engine.audio.configure(48_000.0, 480);
    wait_until("loading", || {
        engine.audio.process(1);
        engine.telemetry.ready()
    });
    engine.audio.reset();
    // Segments 4, 9 and 14 are lost; the last of them is over at 9.39 s and one latency.
    let events: Vec<_> = (0..90u64).map(|i| (i * 4_800, on(0, 40 + (i % 40) as u8).kind)).collect();
    // As fast as time: one that is late on a busy machine would be one more.
    play(&mut engine.audio, &events, 540_000, 480, Duration::from_millis(10));
    assert_eq!(engine.telemetry.underruns(), 3);
}

#[test]
fn a_session_that_fails_is_said_and_the_instant_voice_carries_on_until_it_works_again() {
    let behaviour = Arc::new(Behaviour::default());
    let mut engine = live::live_engine(&behaviour, "solo");
    behaviour.errors.store(1, Ordering::Relaxed);
    let note = |key| EventKind::NoteOn { key, velocity: 96 };
    let events = [(0, note(57)), (48_000, note(60))];
    let heard = play(&mut engine.audio, &events, 96_000, 256, live::REAL_TIME).mix();
    assert!(heard[400..].chunks(480).all(|chunk| live::rms(chunk) > 0.02), "a gap");
    let status = engine.telemetry.status();
    assert_eq!(status.kind, StatusKind::Warning);
    assert!(status.sentence.contains("prior model failed"), "{}", status.sentence);
    assert!(engine.telemetry.in_context_within(1.0).0 > 0, "it did not come back");
}

#[test]
fn a_host_that_is_suspended_goes_on_where_it_was() {
    let mut engine = live::live_engine(&Arc::default(), "solo");
    let held = [(0, EventKind::NoteOn { key: 57, velocity: 96 })];
    play(&mut engine.audio, &held, 48_000, 256, live::REAL_TIME);
    // No block for a second and a half: a host that is bypassed, or a computer that slept.
    std::thread::sleep(Duration::from_millis(1_500));
    let heard = play(&mut engine.audio, &[], 96_000, 256, live::REAL_TIME).mix();
    assert!(heard.chunks(480).all(|chunk| live::rms(chunk) > 0.02), "a gap");
    assert!(live::largest_bend(&heard) < live::bend(220.0, 1.5), "a click: {}", live::largest_bend(&heard));
    assert_eq!(engine.telemetry.status().kind, StatusKind::Ready);
}

#[test]
fn a_session_that_fails_in_sync_is_said_and_costs_its_own_segment_alone() {
    let behaviour = Arc::new(Behaviour::default());
    let mut engine = sync_engine(Arc::clone(&behaviour), true);
    engine.audio.configure(48_000.0, 1_024);
    behaviour.errors.store(1, Ordering::Relaxed);
    // One note in each segment of 0.64 s.
    let events: Vec<_> = (0..5u64).map(|i| (i * 30_720 + 9_600, on(0, 40 + i as u8).kind)).collect();
    let heard = play(&mut engine.audio, &events, 5 * 30_720 + 77_280, 1_024, Duration::ZERO);
    assert_eq!(heard.mix().iter().filter(|x| x.abs() > 0.5).count(), 4);
    assert_eq!(engine.telemetry.underruns(), 1);
    let status = engine.telemetry.status();
    assert_eq!(status.kind, StatusKind::Warning);
    assert!(status.sentence.contains("prior model failed"), "{}", status.sentence);
}

/// A provider that went away (a graphics card under another program) fails at every run from then on.
#[test]
fn a_provider_that_is_lost_for_good_is_said_and_the_instant_voice_carries_on() {
    let behaviour = Arc::new(Behaviour::default());
    let mut engine = live::live_engine(&behaviour, "solo");
    let note = |key| EventKind::NoteOn { key, velocity: 96 };
    play(&mut engine.audio, &[(0, note(57))], 24_000, 256, live::REAL_TIME);
    behaviour.errors.store(u32::MAX, Ordering::Relaxed);
    let heard = play(&mut engine.audio, &[(0, note(60)), (30_000, note(64))], 72_000, 256, live::REAL_TIME).mix();
    assert!(heard.chunks(480).all(|chunk| live::rms(chunk) > 0.02), "a gap");
    assert!(engine.telemetry.status().sentence.contains("prior model failed"), "{:?}", engine.telemetry.status());
    // In Sync as well, one latency later, and it says so still.
    engine.control.set_mode(Mode::Sync);
    let heard = play(&mut engine.audio, &[(0, note(62))], 120_000, 480, QUICK).mix();
    assert!(heard[78_000..].chunks(480).all(|chunk| live::rms(chunk) > 0.02), "a gap");
    assert!(engine.telemetry.underruns() > 0);
    assert_eq!(engine.telemetry.status().kind, StatusKind::Warning, "{:?}", engine.telemetry.status());
}

/// What keeps a segment from being heard.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gap {
    Lost,
    Fails,
    Panics,
    Late,
}

/// One player in Sync whose table is full, at the beginning of a stream.
fn soloist(behaviour: &Arc<Behaviour>) -> Engine {
    let mut engine = sync_engine(Arc::clone(behaviour), false);
    engine.control.set_ensemble("solo");
    engine.audio.configure(48_000.0, 480);
    wait_until("loading", || {
        engine.audio.process(480);
        engine.telemetry.ready()
    });
    // The table fills beside what is played, which is nothing yet.
    play(&mut engine.audio, &[], 144_000, 480, QUICK);
    engine.audio.reset();
    engine
}

#[test]
fn what_stands_in_for_a_segment_is_not_cut_off_where_the_host_begins_to_bounce() {
    // In its fade in, after it, and half a second on.
    for after in [1, 3, 50] {
        let behaviour = Arc::new(Behaviour::default());
        behaviour.sines.store(true, Ordering::Relaxed);
        let mut engine = soloist(&behaviour);
        let key = EventKind::NoteOn { key: 57, velocity: 96 };
        let mut heard = play(&mut engine.audio, &[(4_800, key)], 200_000, 480, QUICK).mix();
        behaviour.errors.store(1, Ordering::Relaxed);
        let mut left = 400;
        while engine.telemetry.underruns() == 0 && left > 0 {
            heard.extend(play(&mut engine.audio, &[], 480, 480, QUICK).mix());
            left -= 1;
        }
        assert!(left > 0, "no gap");
        heard.extend(play(&mut engine.audio, &[], after * 480, 480, QUICK).mix());
        let from = heard.len() - 4_800;
        engine.control.set_offline(true);
        heard.extend(play(&mut engine.audio, &[], 96_000, 480, Duration::ZERO).mix());
        let bend = live::largest_bend(&heard[from..]);
        assert!(bend < live::bend(220.0, 1.5), "{after} blocks after the gap began: a click of {bend}");
        let silent = heard[from..].chunks(480).position(|chunk| live::rms(chunk) < 0.02);
        assert_eq!(silent, None, "{after} blocks after the gap began: silence");
    }
}

#[test]
fn in_sync_the_instant_voice_carries_on_where_a_segment_is_missing() {
    const LATENCY: usize = 77_280;
    for gap in [Gap::Lost, Gap::Fails, Gap::Panics, Gap::Late] {
        let behaviour = Arc::new(Behaviour::default());
        behaviour.sines.store(true, Ordering::Relaxed);
        behaviour.lose_every.store(if gap == Gap::Lost { 5 } else { 0 }, Ordering::Relaxed);
        let mut engine = soloist(&behaviour);
        let note = |key| EventKind::NoteOn { key, velocity: 96 };
        // The second note begins in the middle of segment 4, which is heard from 112,800 and a latency on.
        let held = [(4_800, note(57)), (138_240, note(64))];
        let mut heard = play(&mut engine.audio, &held, 200_000, 480, QUICK).mix();
        let underruns = engine.telemetry.underruns();
        if gap != Gap::Lost {
            // Whatever is rendered next, a segment after the fourth, is the one.
            assert_eq!(underruns, 0, "{gap:?}");
            let asked = match gap {
                Gap::Fails => &behaviour.errors,
                Gap::Panics => &behaviour.panics,
                _ => &behaviour.takes_ms,
            };
            asked.store(if gap == Gap::Late { 600 } else { 1 }, Ordering::Relaxed);
        }
        let after = [(40_000, off(0, 57).kind), (40_000, off(0, 64).kind)];
        heard.extend(play(&mut engine.audio, &after, 160_000, 480, QUICK).mix());
        behaviour.takes_ms.store(0, Ordering::Relaxed);
        // Until the keys go up, everything is there, and nothing is heard of how.
        let end = 240_000 + LATENCY - 480;
        let begin = 4_800 + LATENCY + 480;
        assert!(engine.telemetry.underruns() > 0, "{gap:?}: no gap");
        let silent = heard[begin..end].chunks(480).position(|chunk| live::rms(chunk) < 0.02);
        assert_eq!(silent.map(|chunk| begin + chunk * 480), None, "{gap:?}: silence");
        let second = 138_240 + LATENCY;
        for span in [begin..second - 10, second + 480..end] {
            let bend = live::largest_bend(&heard[span.clone()]);
            assert!(bend < live::bend(220.0, 1.5) + live::bend(330.0, 1.5), "{gap:?}: a click of {bend} in {span:?}");
        }
        // What was released dies away.
        assert!(live::rms(&heard[end + 24_000..end + 28_800]) < 1e-3, "{gap:?}: something hangs");
    }
}

#[test]
fn in_sync_a_gap_in_which_nothing_is_held_is_silent() {
    let behaviour = Arc::new(Behaviour::default());
    behaviour.sines.store(true, Ordering::Relaxed);
    behaviour.lose_every.store(5, Ordering::Relaxed);
    let mut engine = soloist(&behaviour);
    let events = [(0, EventKind::NoteOn { key: 57, velocity: 96 }), (24_000, off(0, 57).kind)];
    let heard = play(&mut engine.audio, &events, 240_000, 480, QUICK).mix();
    assert_eq!(engine.telemetry.underruns(), 1);
    assert!(heard[188_160..218_880].iter().all(|x| *x == 0.0));
    assert!(live::rms(&heard[80_000..100_000]) > 0.02);
}

#[test]
fn a_machine_that_becomes_slower_ends_its_segment_with_fewer_steps_and_in_time() {
    let behaviour = Arc::new(Behaviour::default());
    behaviour.step_takes_ms.store(1, Ordering::Relaxed);
    let mut engine = sync_engine(Arc::clone(&behaviour), false);
    engine.control.set_ensemble("solo");
    engine.control.set_steps(16);
    engine.audio.configure(48_000.0, 480);
    wait_until("loading", || {
        engine.audio.process(480);
        engine.telemetry.ready()
    });
    engine.audio.reset();
    let time = Duration::from_millis(10);
    play(&mut engine.audio, &[(0, on(0, 60).kind)], 96_000, 480, time);
    assert_eq!(engine.telemetry.short_segments(), 0);
    // All of its steps would take two and a half segments.
    behaviour.step_takes_ms.store(100, Ordering::Relaxed);
    play(&mut engine.audio, &[], 120_000, 480, time);
    assert!(engine.telemetry.short_segments() > 0);
    assert_eq!(engine.telemetry.underruns(), 0);
}

#[test]
fn an_arranger_that_panics_is_started_again_and_nothing_hangs() {
    for mode in [Mode::Live, Mode::Sync] {
        let behaviour = Arc::new(Behaviour::default());
        behaviour.arranger_panics.store(true, Ordering::Relaxed);
        let mut engine = engine(behaviour);
        engine.control.set_mode(mode);
        engine.audio.configure(48_000.0, 480);
        wait_until("loading", || {
            engine.audio.process(480);
            engine.telemetry.ready()
        });
        engine.audio.reset();
        // Two notes are held while it panics, and one is struck after it.
        let mut events = vec![(0, on(0, 60).kind), (0, on(0, 64).kind), (9_600, on(0, PANICS).kind)];
        events.extend([(96_000, on(0, 67).kind), (100_000, off(0, 67).kind), (110_000, off(0, 60).kind)]);
        events.extend([(110_000, off(0, 64).kind), (110_000, off(0, PANICS).kind)]);
        let heard = play(&mut engine.audio, &events, 240_000, 480, QUICK);
        let told = |key, on| heard.midi.iter().filter(|m| m.2 == key && (m.3 > 0) == on).count();
        for key in [60, 64, 67] {
            assert_eq!((told(key, true), told(key, false)), (1, 1), "{mode:?}: key {key}");
        }
        let last = if mode == Mode::Live { 96_000 } else { 96_000 + 77_280 };
        assert!(heard.mix()[last..last + 480].iter().any(|x| x.abs() > 0.05), "{mode:?}: it plays no more");
        let status = engine.telemetry.status();
        assert!(status.sentence.contains("arranger stopped unexpectedly"), "{mode:?}: {}", status.sentence);
    }
}
