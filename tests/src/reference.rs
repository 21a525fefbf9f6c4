//! What the machine itself adds to the time of a block.

use std::time::Instant;

/// A program that never changes, timed around every block: what the machine itself adds. A tone of 16 partials.
#[derive(Default)]
pub struct Reference {
    phase: f32,
}

impl Reference {
    /// Seconds that a block of it takes.
    pub fn time(&mut self, block: usize) -> f64 {
        let begun = Instant::now();
        let mut sum = 0.0;
        for _ in 0..block {
            self.phase += 0.01;
            sum += (1..=16).map(|partial| (self.phase * partial as f32).sin()).sum::<f32>();
        }
        std::hint::black_box(sum);
        begun.elapsed().as_secs_f64()
    }
}
