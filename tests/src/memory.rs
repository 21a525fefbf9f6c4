//! Memory of this process.

/// MiB of this process that lie in memory.
pub fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = status.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4_096.0 / MIB
}

/// MiB that this process has asked for and not given back, in Rust and in ONNX Runtime: what leaks, without what the
/// allocator of C keeps for later. Elsewhere than on Linux with its usual library: what lies in memory.
pub fn in_use_mib() -> f64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: reads the allocator's own figures and changes nothing.
        let figures = unsafe { libc::mallinfo2() };
        (figures.uordblks + figures.hblkhd) as f64 / MIB
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    resident_mib()
}

const MIB: f64 = (1 << 20) as f64;

#[cfg(test)]
mod tests {
    use super::*;

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
