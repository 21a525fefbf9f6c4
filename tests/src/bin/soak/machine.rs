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

/// Slope of points: the median of the slopes of all pairs (Theil and Sen), for one moment in which a network happens to hold
/// its work is no growth.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(i, a)| points[i + 1..].iter().map(move |b| (a, b)));
    let mut slopes: Vec<f64> = pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_its_own_and_of_nothing_is_flat() {
        let line: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 - 0.5 * f64::from(x))).collect();
        assert!((slope(&line) + 0.5).abs() < 1e-12);
        assert_eq!((slope(&[]), slope(&[(1.0, 2.0)])), (0.0, 0.0));
        let outlier: Vec<_> = line.iter().map(|&(x, y)| (x, if x == 8.0 { y + 100.0 } else { y })).collect();
        assert!((slope(&outlier) + 0.5).abs() < 1e-12);
    }
}
