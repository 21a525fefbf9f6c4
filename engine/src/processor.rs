//! What the processor spent, whatever else ran on it.

use std::time::Duration;

/// Processor time of this process so far, of all its threads. Nothing where the system does not tell.
#[cfg(unix)]
pub fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live value.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    (told == 0).then(|| Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32))
}

/// Processor time of this process so far, of all its threads. Nothing where the system does not tell.
#[cfg(not(unix))]
pub fn processor_time() -> Option<Duration> {
    None
}
