//! What the soak tells, as JSON.

use std::collections::BTreeMap;

use ripieno_engine::stream::Telemetry;
use ripieno_tests::cost::Cost;
use ripieno_tests::memory::{in_use_mib, resident_mib};
use serde::Serialize;

use crate::context::{AGE, Held};
use crate::ears::Click;

/// How it stood at a time.
#[derive(Debug, Serialize)]
pub struct Moment {
    pub seconds: f64,
    pub lap: &'static str,
    /// Notes that sound in Live, those that die away included.
    pub voices: u32,
    /// Passages of Live since the moment before, by denoising steps, from 0 on.
    pub steps: Vec<u64>,
    pub resident_mib: f64,
    /// Asked for and not given back.
    pub in_use_mib: f64,
    /// Share of the table of single notes that is there.
    pub table: f32,
    /// The synth worker's time as a share of the time it rendered for.
    pub load: f32,
}

impl Moment {
    /// `before` is the count of passages by steps at the moment before, and becomes that of now.
    pub fn now(seconds: f64, lap: &'static str, telemetry: &Telemetry, before: &mut Vec<u64>) -> Self {
        let counts = telemetry.live_steps();
        let mut steps: Vec<u64> =
            counts.iter().enumerate().map(|(i, now)| now - before.get(i).copied().unwrap_or(0)).collect();
        *before = counts;
        while steps.last() == Some(&0) {
            steps.pop();
        }
        Self {
            seconds,
            lap,
            voices: telemetry.voices(),
            steps,
            resident_mib: resident_mib(),
            in_use_mib: in_use_mib(),
            table: telemetry.progress(),
            load: telemetry.load(),
        }
    }
}

/// Samples from a key to the first sample that is not 0, out of silence, keys at changing offsets. Live alone.
#[derive(Debug, Default, Serialize)]
pub struct KeyToSound {
    pub keys: usize,
    pub least: usize,
    pub most: usize,
    /// How many keys sounded so many samples later.
    pub histogram: BTreeMap<usize, u64>,
}

impl KeyToSound {
    pub fn of(delays: &[usize]) -> Self {
        let mut histogram = BTreeMap::new();
        delays.iter().for_each(|delay| *histogram.entry(*delay).or_default() += 1);
        let end = |delay: Option<(&usize, &u64)>| delay.map_or(0, |(delay, _)| *delay);
        let (least, most) = (end(histogram.first_key_value()), end(histogram.last_key_value()));
        Self { keys: delays.len(), least, most, histogram }
    }
}

/// Notes of Live that were heard in context, and how soon: seconds after the key at full weight, in steps of
/// [`AGE`] s. No number: above 1.
#[derive(Debug, Default, Serialize)]
pub struct NoteToContext {
    pub notes: u64,
    pub median_s: f64,
    pub p95_s: f64,
    pub p99_s: f64,
    pub max_s: f64,
    /// Notes by that time; the last are all above 1 s.
    pub histogram_10_ms: Vec<u64>,
    /// Of the keys that were held for at least 250 ms.
    pub held_250_ms: Held,
}

impl NoteToContext {
    pub fn of(telemetry: &Telemetry, held: Held) -> Self {
        let within = |share| telemetry.in_context_within(share).1;
        let counts = telemetry.in_context_counts();
        let last = counts.iter().rposition(|count| *count > 0).map_or(0.0, |at| (at + 1) as f64 * AGE);
        Self {
            notes: counts.iter().sum(),
            median_s: within(0.5),
            p95_s: within(0.95),
            p99_s: within(0.99),
            max_s: if counts.last() == Some(&0) { last } else { f64::INFINITY },
            histogram_10_ms: counts,
            held_250_ms: held,
        }
    }
}

/// Everything.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub seconds: f64,
    pub load_processes: usize,
    pub processors: usize,
    /// Processes that wanted to run, on average over the last minute, as the system tells: above ours and the load's, others
    /// worked here too.
    pub load_average: Option<f64>,
    /// Whether the system gave the audio thread the priority that hosts ask for.
    pub real_time_priority: bool,
    pub optimised: bool,
    /// Until a key could be played, and until the whole table of single notes was there.
    pub playable_seconds: f64,
    pub table_seconds: f64,
    pub audio_cost: Vec<Cost>,
    pub key_to_sound: KeyToSound,
    pub notes: u64,
    pub note_to_context: NoteToContext,
    pub passages: u64,
    pub late: u64,
    /// Passages that were no longer true when they came.
    pub overtaken: u64,
    /// Passages that ended under a held note with nothing after them; the instant voice carried on.
    pub missing: u64,
    /// Sync: audio that was not there when it was due.
    pub underruns: u64,
    pub lost_events: u64,
    pub allocations: u64,
    pub waits: u64,
    pub clicks: Vec<Click>,
    pub not_finite: u64,
    pub peak: f32,
    /// Growth of memory in use in the last laps, when everything has been used once.
    pub mib_per_minute: f64,
    pub over_time: Vec<Moment>,
    pub status: String,
    /// What must never happen and did.
    pub failures: Vec<String>,
}

/// Memory that may come and go with the system's bookkeeping, in MiB per minute.
const MOST_GROWTH: f64 = 0.1;
/// The block size of a keyboardist who minds latency, and the share of its time that the audio thread may take in 999 blocks of
/// 1,000 where no other program can push it aside.
const SMALL_BLOCK: usize = 64;
const MOST_OF_A_SMALL_BLOCK: f64 = 0.1;

impl Report {
    /// Says what is wrong. Other times depend on the machine and what else runs on it: they are told, not judged.
    pub fn judge(&mut self) {
        let mut say = |wrong: bool, sentence: String| {
            if wrong {
                self.failures.push(sentence);
            }
        };
        say(self.underruns > 0, format!("audio was missing {} times", self.underruns));
        say(self.allocations > 0, format!("the audio thread allocated {} times", self.allocations));
        say(self.waits > 0, format!("the audio thread waited {} times", self.waits));
        say(!self.clicks.is_empty(), format!("{} clicks were heard", self.clicks.len()));
        say(self.not_finite > 0, format!("{} samples are not finite", self.not_finite));
        say(self.lost_events > 0, format!("{} events were lost", self.lost_events));
        say(self.peak == 0.0, "nothing was heard".into());
        let KeyToSound { keys, least, most, .. } = self.key_to_sound;
        say(keys == 0, "no key told how soon it sounds".into());
        say((least, most) != (0, 0), format!("a key sounds {least} to {most} samples late"));
        say(self.mib_per_minute > MOST_GROWTH, format!("memory grows by {:.2} MiB a minute", self.mib_per_minute));
        let small = self.audio_cost.iter().filter(|cost| self.real_time_priority && cost.block == SMALL_BLOCK);
        for Cost { voices, p999, .. } in small.filter(|cost| cost.p999 > MOST_OF_A_SMALL_BLOCK) {
            let percent = 100.0 * p999;
            say(
                true,
                format!("a block of {SMALL_BLOCK} with {voices} voices takes {percent:.1} % of its time (p99.9)"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run as it should be.
    fn clean() -> Report {
        Report {
            real_time_priority: true,
            peak: 0.5,
            key_to_sound: KeyToSound::of(&[0; 40]),
            mib_per_minute: 0.09,
            audio_cost: vec![Cost { block: 64, p999: 0.1, ..Cost::default() }],
            ..Report::default()
        }
    }

    #[test]
    fn a_clean_run_passes_and_whatever_must_not_happen_is_said() {
        let faults: [fn(&mut Report); 11] = [
            |run| run.underruns = 1,
            |run| run.allocations = 1,
            |run| run.waits = 1,
            |run| run.clicks.push(Click { at: 1.0, part: 0, file: None }),
            |run| run.not_finite = 1,
            |run| run.lost_events = 1,
            |run| run.peak = 0.0,
            |run| run.key_to_sound = KeyToSound::of(&[0, 0, 1]),
            |run| run.key_to_sound = KeyToSound::of(&[]),
            |run| run.mib_per_minute = 0.11,
            |run| run.audio_cost[0].p999 = 0.101,
        ];
        for (index, fault) in faults.iter().enumerate() {
            let mut run = clean();
            fault(&mut run);
            run.judge();
            assert_eq!(run.failures.len(), 1, "fault {index}: {:?}", run.failures);
        }
        let harmless: [fn(&mut Report); 3] = [
            |_| {},
            |run| (run.real_time_priority, run.audio_cost[0].p999) = (false, 0.2),
            |run| (run.audio_cost[0].block, run.audio_cost[0].p999) = (32, 0.2),
        ];
        for (index, change) in harmless.iter().enumerate() {
            let mut run = clean();
            change(&mut run);
            run.judge();
            assert_eq!(run.failures, [""; 0], "run {index}");
        }
    }

    #[test]
    fn keys_are_told_by_how_late_they_sound() {
        let told = KeyToSound::of(&[0, 3, 0, 1]);
        assert_eq!((told.keys, told.least, told.most), (4, 0, 3));
        assert_eq!(told.histogram.into_iter().collect::<Vec<_>>(), [(0, 2), (1, 1), (3, 1)]);
    }
}
