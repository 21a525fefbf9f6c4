//! Samplers: ways down from noise, or from the prior, to a clean residual.
//!
//! A network call at each level predicts what is clean there; the caller draws that to what was committed before
//! ([`overlap`]), and the sampler moves on to the next level. Every sampler is deterministic: fresh noise is a function of
//! its place, given by the caller.

mod ddim;
mod dpm;
pub(super) mod overlap;

use std::str::FromStr;

use ddim::{Ddim, Distilled};
use dpm::DpmPlusPlus2M;

use super::schedule::{Level, NOISIEST, Schedule};

/// One way down.
pub(super) trait Sampler: Send {
    /// Falling levels, from `start` on, at which the network is asked: `steps` of them, or fewer where there are no more.
    fn levels(&self, schedule: &Schedule, start: usize, steps: usize) -> Vec<Level>;

    /// Moves `x` from a level to a cleaner one. [`Level::CLEAN`] gives exactly the prediction. `noise` draws the standard
    /// Gaussian of an index.
    fn step(&self, levels: (Level, Level), clean: Clean<'_>, x: &mut [f32], noise: &mut dyn FnMut(usize) -> f32);
}

/// What the network predicted to be clean, as long as x.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clean<'a> {
    /// At the level left.
    pub now: &'a [f32],
    /// At the level before, if there was one.
    pub before: Option<(Level, &'a [f32])>,
}

/// Samplers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamplerKind {
    /// The reference's (Song et al. 2021).
    Ddim,
    /// DPM-Solver++(2M) (Lu et al. 2022).
    DpmPlusPlus2M,
    /// The few times that a denoiser was distilled for.
    Distilled,
}

impl SamplerKind {
    /// Every sampler.
    pub const ALL: [Self; 3] = [Self::Ddim, Self::DpmPlusPlus2M, Self::Distilled];

    /// As the manifest and the command line have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::DpmPlusPlus2M => "dpm++2m",
            Self::Distilled => "distilled",
        }
    }
}

impl FromStr for SamplerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text);
        named.ok_or_else(|| format!("there is no sampler \"{text}\": ddim, dpm++2m and distilled are all"))
    }
}

/// Where sampling begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the noisiest time, in pure noise.
    #[default]
    Noise,
    /// At a time below it, 1 to 999: the prior, which is a residual of zero, under that time's noise (as SDEdit, Meng et
    /// al. 2022).
    Prior(u16),
}

impl Start {
    /// Half of the power is noise.
    pub const PRIOR: Self = Self::Prior(499);

    pub(super) fn time(self) -> usize {
        match self {
            Self::Noise => NOISIEST,
            Self::Prior(time) => usize::from(time).clamp(1, NOISIEST),
        }
    }
}

impl FromStr for Start {
    type Err = String;

    /// `noise`, `prior`, or `prior:TIME`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "noise" => Ok(Self::Noise),
            None if text == "prior" => Ok(Self::PRIOR),
            Some(("prior", time)) => {
                let time = time.parse().ok().filter(|time| (1..=NOISIEST as u16).contains(time));
                time.map(Self::Prior).ok_or_else(|| "a time is a number from 1 to 999, as prior:300".to_owned())
            }
            _ => Err("it is noise, prior, or prior with a time, as prior:300".to_owned()),
        }
    }
}

/// How a segment's residual is sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The sampler.
    pub sampler: SamplerKind,
    /// DDIM's share of fresh noise, 0 to 1; the other samplers draw none.
    pub eta: f32,
    /// Where it begins.
    pub start: Start,
}

impl Sampling {
    /// A sampler from noise, without fresh noise.
    pub fn with(sampler: SamplerKind) -> Self {
        Self { sampler, eta: 0.0, start: Start::Noise }
    }
}

/// The sampler that was asked for; `times` are those the denoiser was distilled for.
pub(super) fn of(sampling: Sampling, times: &[usize]) -> Box<dyn Sampler> {
    match sampling.sampler {
        SamplerKind::Ddim => Box::new(Ddim { eta: f64::from(sampling.eta) }),
        SamplerKind::DpmPlusPlus2M => Box::new(DpmPlusPlus2M),
        SamplerKind::Distilled => Box::new(Distilled { times: times.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::noise::Noise;

    /// Data that are Gaussian: what is best predicted to be clean, and where the ODE leads, are known exactly.
    struct Gaussian {
        mean: f64,
        deviation: f64,
    }

    impl Gaussian {
        /// Standard deviation of x at a level.
        fn spread(&self, level: Level) -> f64 {
            (self.deviation * level.signal).hypot(level.spread)
        }

        /// E[v | x], what a perfect network answers: signal * E[noise | x] - spread * E[x0 | x].
        fn v(&self, level: Level, x: f64) -> f64 {
            let x0 = self.mean
                + self.deviation.powi(2) * level.signal / self.spread(level).powi(2) * (x - level.signal * self.mean);
            let eps = (x - level.signal * x0) / level.spread;
            level.signal * eps - level.spread * x0
        }

        /// Where the probability flow takes `x` from a level to another: its standard score stays.
        fn flow(&self, x: f64, from: Level, to: Level) -> f64 {
            to.signal * self.mean + (x - from.signal * self.mean) / self.spread(from) * self.spread(to)
        }
    }

    const DATA: Gaussian = Gaussian { mean: 0.4, deviation: 0.7 };

    /// Goes down a path of levels with a perfect network.
    fn walk(sampler: &dyn Sampler, path: &[Level], data: &Gaussian, x: f32, noise: Noise) -> f32 {
        let (mut x, mut before) = ([x], None::<(Level, [f32; 1])>);
        for (step, pair) in path.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            let v = data.v(from, f64::from(x[0]));
            let now = [(from.signal * f64::from(x[0]) - from.spread * v) as f32];
            let clean = Clean { now: &now, before: before.as_ref().map(|(level, values)| (*level, &values[..])) };
            sampler.step((from, to), clean, &mut x, &mut |_| noise.gaussian(step as i64));
            before = Some((from, now));
        }
        x[0]
    }

    fn samplers() -> [(&'static str, Box<dyn Sampler>); 4] {
        let times = vec![999, 750, 500, 250];
        [
            ("ddim", Box::new(Ddim { eta: 0.0 })),
            ("ddim with noise", Box::new(Ddim { eta: 1.0 })),
            ("dpm++2m", Box::new(DpmPlusPlus2M)),
            ("distilled", Box::new(Distilled { times })),
        ]
    }

    /// The levels of a sampler down to x0.
    fn path(sampler: &dyn Sampler, start: Start, steps: usize) -> Vec<Level> {
        let mut path = sampler.levels(&Schedule::default(), start.time(), steps);
        path.push(Level::CLEAN);
        path
    }

    #[test]
    fn where_there_is_only_one_answer_every_sampler_finds_it_in_any_number_of_steps() {
        let point = Gaussian { mean: 0.7, deviation: 0.0 };
        for (name, sampler) in samplers() {
            for (steps, start) in [(1, Start::Noise), (2, Start::Noise), (4, Start::Noise), (2, Start::PRIOR)] {
                let found = walk(&*sampler, &path(&*sampler, start, steps), &point, -1.3, Noise::new(1, 0, 0));
                assert!((found - 0.7).abs() < 1e-3, "{name}, {steps} steps: {found}");
            }
        }
    }

    #[test]
    fn with_many_steps_both_solvers_follow_the_flow_to_its_end() {
        for sampler in [Box::new(Ddim { eta: 0.0 }) as Box<dyn Sampler>, Box::new(DpmPlusPlus2M)] {
            for start in [Start::Noise, Start::PRIOR] {
                let path = path(&*sampler, start, 250);
                let exact = DATA.flow(-1.3, path[0], Level::CLEAN);
                let found = f64::from(walk(&*sampler, &path, &DATA, -1.3, Noise::new(1, 0, 0)));
                assert!((found - exact).abs() < 0.01, "{start:?}: {found} and not {exact}");
            }
        }
    }

    /// How the error between two levels falls each time that the steps between them double.
    fn orders(sampler: &dyn Sampler) -> Vec<f64> {
        let schedule = Schedule::default();
        let errors: Vec<f64> = [16, 32, 64, 128]
            .iter()
            .map(|&steps| {
                let path: Vec<Level> =
                    (0..=steps).map(|i| schedule.at_log_snr(-2.0 + 4.0 * f64::from(i) / f64::from(steps))).collect();
                let exact = DATA.flow(-1.3, path[0], path[steps as usize]);
                (f64::from(walk(sampler, &path, &DATA, -1.3, Noise::new(1, 0, 0))) - exact).abs()
            })
            .collect();
        errors.windows(2).map(|pair| pair[0] / pair[1]).collect()
    }

    #[test]
    fn twice_the_steps_are_half_the_error_of_ddim_and_a_quarter_of_dpm_plus_plus() {
        for (sampler, factor) in
            [(Box::new(Ddim { eta: 0.0 }) as Box<dyn Sampler>, 2.0), (Box::new(DpmPlusPlus2M), 4.0)]
        {
            let orders = orders(&*sampler);
            assert!(orders.iter().all(|order| (order / factor - 1.0).abs() < 0.2), "{factor}: {orders:?}");
        }
    }

    #[test]
    fn with_fresh_noise_the_answers_have_the_mean_and_the_deviation_of_the_data() {
        let sampler = Ddim { eta: 1.0 };
        let path = path(&sampler, Start::Noise, 250);
        let found: Vec<f64> = (0..4_000)
            .map(|i| {
                f64::from(walk(&sampler, &path, &DATA, Noise::new(9, 0, 0).gaussian(i), Noise::new(i as u64, 0, 1)))
            })
            .collect();
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let deviation = (found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / found.len() as f64).sqrt();
        // Three standard errors of 4,000 draws, and the sampler's own error.
        assert!((mean - 0.4).abs() < 0.04 && (deviation - 0.7).abs() < 0.04, "{mean} {deviation}");
    }

    #[test]
    fn paths_begin_where_they_are_told_and_ask_at_most_as_often() {
        let schedule = Schedule::default();
        for (name, sampler) in samplers() {
            for start in [Start::Noise, Start::Prior(600)] {
                let levels = sampler.levels(&schedule, start.time(), 4);
                assert!(!levels.is_empty() && levels.len() <= 4, "{name}: {levels:?}");
                assert!(levels[0].time <= start.time() as f64, "{name}: {levels:?}");
                assert!(levels.windows(2).all(|pair| pair[0].spread > pair[1].spread), "{name}: {levels:?}");
            }
        }
        // Python's solver has the same times.
        let times = |steps| DpmPlusPlus2M.levels(&schedule, NOISIEST, steps).iter().map(|level| level.time).collect();
        let (four, eight): (Vec<f64>, Vec<f64>) = (times(4), times(8));
        assert_eq!(four, [995.0, 950.0, 503.0, 44.0]);
        assert_eq!(eight, [995.0, 985.0, 950.0, 827.0, 503.0, 172.0, 44.0, 8.0]);
        let many = DpmPlusPlus2M.levels(&schedule, NOISIEST, 250);
        assert!(many.windows(2).all(|pair| pair[0].time > pair[1].time) && many.len() > 150, "{}", many.len());
        let first = many[0];
        assert!((990.0..999.0).contains(&first.time) && first.spread > 0.9999, "{first:?}");
    }

    #[test]
    fn names_are_read_back_and_others_are_told() {
        for kind in SamplerKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("euler".parse::<SamplerKind>().unwrap_err().contains("dpm++2m"));
        assert_eq!(("prior".parse(), "prior:300".parse()), (Ok(Start::PRIOR), Ok(Start::Prior(300))));
        assert!(["prior:0", "prior:1000", "middle"].iter().all(|text| text.parse::<Start>().is_err()));
    }
}
