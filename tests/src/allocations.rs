//! Counts what a thread allocates and how often it had to wait: what the audio thread may never do.
//!
//! A test that uses [`Counting`] installs it as its global allocator:
//! ```text
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes that all threads hold now.
static HELD: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// Allocations and frees of this thread while it is watched. `const`: a first use must not allocate itself.
    static SEEN: Cell<u64> = const { Cell::new(0) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, which counts calls on the threads that are inside [`watch`].
pub struct Counting;

/// Counts a call that changes what is held by so many bytes.
fn count(bytes: i64) {
    HELD.fetch_add(bytes, Ordering::Relaxed);
    // A thread that ends frees after its locals are gone; it is not watched then.
    let _ = WATCHED.try_with(|watched| {
        if watched.get() {
            SEEN.with(|seen| seen.set(seen.get() + 1));
        }
    });
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Bytes that Rust code of this process holds now; 0 where [`Counting`] is not the global allocator.
pub fn held() -> i64 {
    HELD.load(Ordering::Relaxed)
}

/// What a watched call did on its thread.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Calls to the allocator. Always 0 where [`Counting`] is not the global allocator.
    pub allocations: u64,
    /// Times the thread gave up its processor to wait for something: a lock, a file, another thread.
    pub waits: u64,
}

/// Runs `work` on this thread and says what it did.
pub fn watch<T>(work: impl FnOnce() -> T) -> (T, Seen) {
    let waits = waits();
    SEEN.with(|seen| seen.set(0));
    WATCHED.with(|watched| watched.set(true));
    let value = work();
    WATCHED.with(|watched| watched.set(false));
    (value, Seen { allocations: SEEN.with(Cell::get), waits: self::waits() - waits })
}

/// Voluntary context switches of this thread so far.
#[cfg(target_os = "linux")]
fn waits() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is writable for one `rusage`; all-zero bytes are a valid one, should the call fail.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_nvcsw.unsigned_abs()
}

/// Not counted on this platform.
#[cfg(not(target_os = "linux"))]
fn waits() -> u64 {
    0
}
