//! The machine under the soak: what others take of it, and how what was seen of it grows.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use anyhow::Result;

/// The argument that makes this program [`burn`].
pub const BURN: &str = "--burn";

/// Processes that do nothing but take processor time, for as long as this lives.
pub struct Load(Vec<Child>);

impl Load {
    pub fn begin(processes: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        // They end with their standard input: also when this process is killed.
        let start = |_| Command::new(&program).arg(BURN).stdin(Stdio::piped()).spawn();
        Ok(Self((0..processes).map(start).collect::<std::io::Result<_>>()?))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
            // It ends by itself.
            let _ = child.wait();
        }
    }
}

/// Takes processor time until standard input ends.
pub fn burn() {
    std::thread::spawn(|| {
        let mut sum = 0u64;
        loop {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
    });
    // Nothing is ever written to it.
    let _ = std::io::stdin().read(&mut [0]);
}

/// Processes that wanted to run, on average over the last minute.
pub fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Points in sixes, each by its medians: one moment in which a network happens to hold its work is no growth, and what stays
/// is.
pub fn medians(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let of =
        |six: &[(f64, f64)]| (median(six.iter().map(|p| p.0).collect()), median(six.iter().map(|p| p.1).collect()));
    points.chunks(6).map(of).collect()
}

/// Slope of the least-squares line through points.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let both: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    if spread > 0.0 { both / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_its_own_and_of_nothing_is_flat() {
        let line: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 - 0.5 * f64::from(x))).collect();
        assert!((slope(&line) + 0.5).abs() < 1e-12);
        assert_eq!((slope(&[]), slope(&[(1.0, 2.0)])), (0.0, 0.0));
    }

    #[test]
    fn one_moment_is_no_growth_and_a_step_that_stays_is() {
        let memory = |more: fn(u32) -> f64| (0..36).map(|x| (f64::from(x), 700.0 + more(x))).collect::<Vec<_>>();
        assert_eq!(slope(&medians(&memory(|x| if x == 32 { 5.0 } else { 0.0 }))), 0.0);
        assert!(slope(&medians(&memory(|x| if x >= 30 { 5.0 } else { 0.0 }))) > 0.05);
    }
}
