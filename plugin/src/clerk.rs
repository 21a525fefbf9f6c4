//! The clerk: one thread per instance that carries changed parameters to the engine.
//!
//! Parameters change on any thread, the audio thread included, and the engine takes settings under a lock. So a change
//! only wakes the clerk ([`Wake`](crate::parameters::Wake)), and the clerk waits where the audio thread may not.
//! The framework's background executor is one thread for all instances and ends with the first of them; hence our own.

use crate::guard::guard;
use crate::parameters::Parameters;
use crate::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A running clerk. Dropping it ends the thread and waits for it; the clerk never waits long itself.
pub struct Clerk {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    /// Starts the thread. Without one (the system has none to give) settings still apply when the host activates us.
    pub fn start(parameters: Arc<Parameters>, shared: Arc<Shared>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let wake = Arc::clone(&parameters.wake);
        let thread = std::thread::Builder::new().name("ripieno-clerk".into()).spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut seen = None;
                while !stop.load(Ordering::Acquire) {
                    let generation = parameters.wake.generation();
                    if seen == Some(generation) {
                        std::thread::park();
                    } else {
                        seen = Some(generation);
                        if guard(|| shared.apply(&parameters)).is_none() {
                            log::error!("settings could not be brought to the engine");
                        }
                    }
                }
            }
        });
        match thread {
            Ok(thread) => {
                wake.set_clerk(thread.thread().clone());
                // A change between the spawn and here found nobody to wake.
                thread.thread().unpark();
                Self { stop, thread: Some(thread) }
            }
            Err(error) => {
                log::error!("no thread for the settings: {error}");
                Self { stop, thread: None }
            }
        }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The clerk's panics are caught within it.
            let _ = thread.join();
        }
    }
}
