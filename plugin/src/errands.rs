//! Lets the framework finish what it still has to do for an instance before the host lets go of it.
//!
//! In VST3 the framework passes on the host's changes of parameters by errands of a thread that all instances of a class
//! share. That thread ends at the first errand of an instance that is gone, and when the class's last instance goes,
//! the framework finds it ended and aborts the host (nice-plug 0.4.2, `event_loop/background_thread.rs`).
//! So an instance that is deactivated, which comes before the end, waits until its errands are done. Main thread only.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use nice_plug::prelude::{AsyncExecutor, Plugin, TaskExecutor};

/// An errand of our own: says that those before it are done.
pub struct Done(Sender<()>);

/// Longer than any errand takes. One that waits for us, as a host may that restarts us, is not waited for in turn.
const PATIENCE: Duration = Duration::from_millis(200);
/// While the last errand ends, the framework's thread still holds the instance; if it were the last to do so, it would
/// have to wait for itself. Letting go takes it no time that could be measured.
const LETTING_GO: Duration = Duration::from_millis(20);

/// What does our errands.
pub fn runner<P: Plugin<BackgroundTask = Done>>() -> TaskExecutor<P> {
    Box::new(|done: Done| {
        // Nobody waits any more: fine.
        let _ = done.0.send(());
    })
}

/// Waits until all errands given so far are done.
pub fn finish<P: Plugin<BackgroundTask = Done>>(executor: &AsyncExecutor<P>) {
    let (sender, receiver) = channel();
    executor.execute_background(Done(sender));
    if receiver.recv_timeout(PATIENCE).is_ok() {
        std::thread::sleep(LETTING_GO);
    }
}
