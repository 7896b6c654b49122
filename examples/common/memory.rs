//! The most memory the process has held, where the system tells: Linux.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most before the system last began to count anew, in MB.
static BEFORE: AtomicU64 = AtomicU64::new(0);

/// The most memory this process has held, in MB.
pub fn peak_memory() -> Option<u64> {
    Some(counted()?.max(BEFORE.load(Ordering::Relaxed)))
}

/// What the process has held since a moment.
pub struct MemorySince {
    then: u64,
}

impl MemorySince {
    /// Lets the system count anew from here on.
    pub fn now() -> Option<Self> {
        BEFORE.fetch_max(counted()?, Ordering::Relaxed);
        fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Self { then: counted()? })
    }

    /// How much more than then it has held at most, in MB.
    pub fn most(&self) -> Option<u64> {
        Some(counted()?.saturating_sub(self.then))
    }
}

fn counted() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    // What the system calls kB is 1024 bytes.
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB");
    Some(kilobytes.parse::<u64>().ok()? * 1024 / 1_000_000)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_anew_is_not_forgotten() {
        let held = vec![1_u8; 200_000_000];
        let with_it = peak_memory().unwrap();
        drop(std::hint::black_box(held));
        // Where the process may not ask the system for it, nothing is counted anew.
        let Some(since) = MemorySince::now() else { return };
        assert!(since.most().unwrap() < 100, "{} MB since", since.most().unwrap());
        let most = peak_memory().unwrap();
        assert!(most >= with_it && with_it >= 200, "{most} MB at most, {with_it} MB before");
    }
}
