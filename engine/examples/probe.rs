use ripieno_engine::stream::*;
use std::time::*;
fn main() {
    let steps: usize = std::env::args().nth(2).map_or(4, |s| s.parse().expect("n"));
    let live = std::env::args().nth(1).as_deref() == Some("live");
    let perf = std::env::args().nth(3).unwrap_or("string-quartet-hall".into());
    let t0 = Instant::now();
    let mut e = Engine::start(EngineConfig::default());
    e.control.set_mode(if live { Mode::Live } else { Mode::Sync });
    e.control.set_steps(steps);
    e.control.set_performance(&perf);
    e.audio.configure(48000.0, 512);
    let mut ready = None;
    let mut n = 0u64;
    let mut first = None;
    while t0.elapsed() < Duration::from_secs(25) {
        if n == 50 {
            for k in [76u8, 69, 60, 45] {
                e.audio.event(Event { offset: 0, kind: EventKind::NoteOn { key: k, velocity: 90 } });
            }
        }
        if n > 50 && n % 47 == 0 {
            for k in [76u8, 69, 60, 45] {
                e.audio.event(Event { offset: 0, kind: EventKind::NoteOff { key: k } });
                e.audio.event(Event { offset: 1, kind: EventKind::NoteOn { key: k, velocity: 90 } });
            }
        }
        e.audio.process(512);
        let mut pk = 0f32;
        for p in 0..8 {
            for x in e.audio.part(p).0 {
                pk = pk.max(x.abs());
            }
        }
        if pk > 1e-3 && first.is_none() {
            first = Some(t0.elapsed());
        }
        if ready.is_none() && e.telemetry.ready() {
            ready = Some(t0.elapsed());
        }
        n += 1;
        if n % 188 == 0 {
            println!(
                "{:5.1}s ready {:?} first {:?} progress {:.2} load {:.2} steps {} short {} segs {} under {} lost {} voices {} {:?}",
                t0.elapsed().as_secs_f64(),
                ready,
                first,
                e.telemetry.progress(),
                e.telemetry.load(),
                e.telemetry.steps(),
                e.telemetry.short_segments(),
                e.telemetry.segments(),
                e.telemetry.underruns(),
                e.telemetry.lost_events(),
                e.telemetry.voices(),
                e.telemetry.status().sentence
            );
        }
        let due = Duration::from_secs_f64(n as f64 * 512.0 / 48e3);
        std::thread::sleep(due.saturating_sub(t0.elapsed()));
    }
    let d = Instant::now();
    drop(e);
    println!("drop {:?}", d.elapsed());
}
