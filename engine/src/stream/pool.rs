//! Synthesizers of this process: all instances take turns at a few.
//!
//! Promises that a process opens no more of them than it has use for at once, whatever the number of instances: each holds
//! its networks' weights anew. Whoever needs one waits for it on a worker, never on the audio thread. One that panicked
//! is not used again.

use crate::inference::Models;
use crate::synth::{Occasion, SynthError, Synthesizer};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

/// Synthesizers of one set of models with so many threads each.
pub(super) struct Pool {
    models: Arc<Models>,
    threads: usize,
    /// How many may be open.
    most: usize,
    idle: Mutex<Idle>,
    returned: Condvar,
}

#[derive(Default)]
struct Idle {
    synthesizers: Vec<Synthesizer>,
    /// How many are open, in use or not.
    open: usize,
}

/// By the address of the models, which each pool keeps alive, and threads.
type Pools = HashMap<(usize, usize), Weak<Pool>>;

static POOLS: LazyLock<Mutex<Pools>> = LazyLock::new(Mutex::default);

impl Pool {
    /// The process's pool for these models; as many synthesizers as processors allow, and one that is opened at once so
    /// that errors show.
    pub fn of(models: &Arc<Models>, threads: usize) -> Result<Arc<Self>, SynthError> {
        let key = (Arc::as_ptr(models) as usize, threads);
        let mut pools = POOLS.lock();
        pools.retain(|_, pool| pool.strong_count() > 0);
        if let Some(pool) = pools.get(&key).and_then(Weak::upgrade) {
            return Ok(pool);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let first = Synthesizer::new(models, threads, Occasion::Live)?;
        let pool = Arc::new(Self {
            models: Arc::clone(models),
            threads,
            most: (cores / threads.max(1)).clamp(1, 4),
            idle: Mutex::new(Idle { synthesizers: vec![first], open: 1 }),
            returned: Condvar::new(),
        });
        pools.insert(key, Arc::downgrade(&pool));
        Ok(pool)
    }

    /// Runs `work` with a synthesizer, once one is free.
    pub fn with<R>(&self, work: impl FnOnce(&mut Synthesizer) -> Result<R, SynthError>) -> Result<R, SynthError> {
        let mut synthesizer = self.take()?;
        let mut turn = Turn { pool: self, finished: None };
        let result = work(&mut synthesizer);
        turn.finished = Some(synthesizer);
        result
    }

    fn take(&self) -> Result<Synthesizer, SynthError> {
        let mut idle = self.idle.lock();
        loop {
            if let Some(synthesizer) = idle.synthesizers.pop() {
                return Ok(synthesizer);
            }
            if idle.open < self.most {
                idle.open += 1;
                drop(idle);
                return Synthesizer::new(&self.models, self.threads, Occasion::Live)
                    .inspect_err(|_| self.idle.lock().open -= 1);
            }
            self.returned.wait(&mut idle);
        }
    }

    #[cfg(test)]
    fn open(&self) -> usize {
        self.idle.lock().open
    }
}

/// A synthesizer in use. One whose work panicked is gone, and another may be opened.
struct Turn<'a> {
    pool: &'a Pool,
    /// The synthesizer, once its work is done.
    finished: Option<Synthesizer>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut idle = self.pool.idle.lock();
        match self.finished.take() {
            Some(synthesizer) => idle.synthesizers.push(synthesizer),
            None => idle.open -= 1,
        }
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Locations, Runtime};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn many_instances_take_turns_at_few_synthesizers_also_after_a_panic() {
        let locations = Locations::find().unwrap();
        let models = Models::load(Runtime::load(Some(&locations.runtime)).unwrap(), &locations.models).unwrap();
        let pool = Pool::of(&models, 1).unwrap();
        assert!(Arc::ptr_eq(&pool, &Pool::of(&models, 1).unwrap()));
        assert!(catch_unwind(AssertUnwindSafe(|| pool.with(|_| -> Result<(), _> { panic!("on purpose") }))).is_err());
        let users: Vec<_> = (0..32)
            .map(|_| {
                let pool = Arc::clone(&pool);
                std::thread::spawn(move || pool.with(|synth| Ok(synth.catalogue().performances().len())).unwrap())
            })
            .collect();
        assert!(users.into_iter().all(|user| user.join().unwrap() > 0));
        assert!((1..=pool.most).contains(&pool.open()), "{} are open", pool.open());
    }
}
