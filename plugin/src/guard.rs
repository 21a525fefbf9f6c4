//! The wall between our panics and the host, which has none of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; `None` if it panicked. What `body` left half done must not be used again: the caller drops
/// or replaces it, hence the assertion of unwind safety is ours to keep.
pub fn guard<R>(body: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // A payload whose own drop panics would get past us.
            std::mem::forget(payload);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::guard;

    #[test]
    fn a_panic_becomes_none() {
        assert_eq!(guard(|| 7), Some(7));
        assert_eq!(guard(|| -> u8 { panic!("on purpose") }), None);
    }
}
