//! Memory of this process.

/// MiB of this process that lie in memory; 0 where the system does not tell.
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
