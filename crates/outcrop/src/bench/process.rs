//! Memory and time of this program's workers, where the system tells (Linux).

/// Bytes of memory that the workers have now.
pub(super) fn workers_bytes() -> Option<u64> {
    sum("VmRSS:")
}

/// The most that they had.
pub(super) fn workers_peak_bytes() -> Option<u64> {
    sum("VmHWM:")
}

/// Seconds of processors that the workers have used.
pub(super) fn workers_cpu_s() -> Option<f64> {
    workers()?.map(|worker| cpu_s(&read(worker, "stat")?)).sum()
}

fn sum(field: &str) -> Option<u64> {
    workers()?.map(|worker| bytes(&read(worker, "status")?, field)).sum()
}

/// The processes that this one has started.
fn workers() -> Option<impl Iterator<Item = u32>> {
    let mut workers = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let children = std::fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        workers.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    Some(workers.into_iter())
}

fn read(process: u32, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{process}/{file}")).ok()
}

/// A field of `status`, which is in kB.
fn bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// User and system time of `stat`: its 14th and 15th field, in hundredths of a second on
/// every Linux. The second field is a name in parentheses that may hold blanks.
fn cpu_s(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_writes_is_read() {
        assert_eq!(bytes("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n", "VmHWM:"), Some(2 << 20));
        assert_eq!(bytes("Name:\tx\n", "VmHWM:"), None);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 5 1 1";
        assert_eq!(cpu_s(stat), Some(2.0));
    }
}
