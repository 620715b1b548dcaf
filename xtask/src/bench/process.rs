//! What a process has used, as Linux tells it (proc(5)).

use std::time::Duration;

use super::Result;

/// CPU time used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    pub(super) user: Duration,
    pub(super) system: Duration,
}

impl Cpu {
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Ticks per second of the times in `/proc/PID/stat`: USER_HZ, 100 on every Linux ABI Rust runs on.
const USER_HZ: u64 = 100;

/// CPU time of all threads of a process.
pub(super) fn cpu(pid: u32) -> Result<Cpu> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name, in parentheses, may hold anything; what follows it is plain.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat has no command name")?;
    let mut ticks = fields.split_ascii_whitespace().skip(11);
    let mut next = || -> Result<Duration> {
        let ticks: u64 = ticks.next().ok_or("/proc/PID/stat is short")?.parse()?;
        Ok(Duration::from_millis(ticks * 1000 / USER_HZ))
    };
    Ok(Cpu { user: next()?, system: next()? })
}

/// Resident memory of a process.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
