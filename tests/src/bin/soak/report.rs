//! What the soak tells, as JSON.

use ripieno_engine::stream::Telemetry;
use ripieno_tests::memory::{in_use_mib, resident_mib};
use ripieno_tests::shares::Shares;
use serde::Serialize;

use crate::ears::Click;

/// Time of `process` as a share of the block's own duration.
#[derive(Debug, Serialize)]
pub struct Cost {
    pub block: usize,
    pub blocks: u64,
    pub median: f64,
    pub p999: f64,
    pub max: f64,
    /// The same work done by a fixed program around each block: what the machine itself adds.
    pub reference_median: f64,
    pub reference_p999: f64,
    pub reference_max: f64,
}

impl Cost {
    pub fn of(block: usize, ours: &Shares, reference: &Shares) -> Self {
        Self {
            block,
            blocks: ours.blocks(),
            median: ours.within(0.5),
            p999: ours.within(0.999),
            max: ours.most(),
            reference_median: reference.within(0.5),
            reference_p999: reference.within(0.999),
            reference_max: reference.most(),
        }
    }
}

/// How it stood at a time.
#[derive(Debug, Serialize)]
pub struct Moment {
    pub seconds: f64,
    pub lap: &'static str,
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
}

impl KeyToSound {
    pub fn of(delays: &[usize]) -> Self {
        let (least, most) = (delays.iter().min(), delays.iter().max());
        Self { keys: delays.len(), least: least.copied().unwrap_or(0), most: most.copied().unwrap_or(0) }
    }
}

/// Everything.
#[derive(Debug, Serialize)]
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
    /// Notes of Live that were heard in context, and how soon: seconds after the key at full weight. No number: above 1.
    pub in_context: u64,
    pub in_context_median_s: f64,
    pub in_context_p95_s: f64,
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
const MOST_GROWTH: f64 = 1.0;

impl Report {
    /// Says what is wrong. Times depend on the machine and what else runs on it: they are told, not judged.
    pub fn judge(&mut self) {
        let mut say = |wrong: bool, sentence: String| {
            if wrong {
                self.failures.push(sentence);
            }
        };
        say(self.allocations > 0, format!("the audio thread allocated {} times", self.allocations));
        say(self.waits > 0, format!("the audio thread waited {} times", self.waits));
        say(!self.clicks.is_empty(), format!("{} clicks were heard", self.clicks.len()));
        say(self.not_finite > 0, format!("{} samples are not finite", self.not_finite));
        say(self.lost_events > 0, format!("{} events were lost", self.lost_events));
        say(self.peak == 0.0, "nothing was heard".into());
        let KeyToSound { least, most, .. } = self.key_to_sound;
        say((least, most) != (0, 0), format!("a key sounds {least} to {most} samples late"));
        say(self.mib_per_minute > MOST_GROWTH, format!("memory grows by {:.2} MiB a minute", self.mib_per_minute));
    }
}
