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
    // Segments 4, 9 and 14 are lost; the last of them is over at 9.6 s and one latency. Three times faster than time.
    let events: Vec<_> = (0..90u64).map(|i| (i * 4_800, on(0, 40 + (i % 40) as u8).kind)).collect();
    play(&mut engine.audio, &events, 540_000, 480, Duration::from_millis(3));
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
    // In Sync there is nothing else to hear; it is silent, and says so still.
    engine.control.set_mode(Mode::Sync);
    play(&mut engine.audio, &[(0, note(62))], 96_000, 512, Duration::from_millis(3));
    assert_eq!(engine.telemetry.status().kind, StatusKind::Warning, "{:?}", engine.telemetry.status());
}
