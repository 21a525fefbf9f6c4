//! Memory of this process.

pub use ripieno_engine::memory::{in_use_mib, resident_mib};

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = (1 << 20) as f64;

    #[test]
    fn what_is_asked_for_is_in_use_until_it_is_given_back() {
        // Other tests of this process come and go beside it: more than they take.
        const MUCH: f64 = 200.0;
        let before = in_use_mib();
        let block = vec![1u8; (MUCH * MIB) as usize];
        let during = in_use_mib();
        assert!(during - before > 0.8 * MUCH, "{before} to {during} MiB");
        assert!(resident_mib() > 0.8 * MUCH);
        drop(block);
        assert!(during - in_use_mib() > 0.8 * MUCH);
    }
}
