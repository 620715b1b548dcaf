//! What the system tells of processors: which of them this process may use, which share a
//! core, which share a memory.

use std::collections::BTreeSet;
use std::path::Path;

/// The processors that this process may use, as the system numbers them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::backend) struct Cpus {
    /// Those that it may use.
    pub(in crate::backend) allowed: BTreeSet<usize>,
    /// How many cores these are: two of one core share its vector units.
    pub(in crate::backend) cores: usize,
    /// All processors of each memory (NUMA node).
    pub(in crate::backend) nodes: Vec<BTreeSet<usize>>,
}

impl Cpus {
    /// Those of this machine.
    #[cfg(target_os = "linux")]
    pub(in crate::backend) fn here() -> Self {
        let allowed = rustix::thread::sched_getaffinity(None).map_or_else(
            |_| BTreeSet::new(),
            |set| (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect(),
        );
        Self::read(Path::new("/sys/devices/system"), allowed)
    }

    /// Those of this machine: elsewhere only their number is known.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::backend) fn here() -> Self {
        Self { cores: num_cpus::get_physical(), ..Self::default() }
    }

    /// What the folder `/sys/devices/system` tells of those allowed.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    fn read(system: &Path, allowed: BTreeSet<usize>) -> Self {
        let list = |file: std::path::PathBuf| std::fs::read_to_string(file).ok().map(|text| parse(&text));
        // A core is known by its processors; where they are not told, by its own.
        let core = |&cpu: &usize| {
            list(system.join(format!("cpu/cpu{cpu}/topology/thread_siblings_list")))
                .filter(|siblings| !siblings.is_empty())
                .unwrap_or_else(|| BTreeSet::from([cpu]))
        };
        let cores = allowed.iter().map(core).collect::<BTreeSet<_>>().len();
        let cores = if cores == 0 { num_cpus::get_physical() } else { cores };
        let nodes = list(system.join("node/online")).unwrap_or_default();
        let nodes = nodes.iter().filter_map(|node| list(system.join(format!("node/node{node}/cpulist"))));
        Self { allowed, cores, nodes: nodes.filter(|cpus| !cpus.is_empty()).collect() }
    }
}

/// The numbers of a list as Linux writes them: `0-3,8`.
fn parse(list: &str) -> BTreeSet<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};

    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(parse("0-2,8\n"), BTreeSet::from([0, 1, 2, 8]));
        assert_eq!(parse(""), BTreeSet::new());
    }

    #[test]
    fn cores_and_memories_are_counted_of_what_is_allowed() {
        let system = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = system.path().join(name);
            create_dir_all(&folder).unwrap();
            folder
        };
        // Two memories of two cores of two processors each.
        for (cpu, siblings) in [(0, "0,4"), (1, "1,5"), (2, "2,6"), (3, "3,7")] {
            for cpu in [cpu, cpu + 4] {
                let topology = folder(&format!("cpu/cpu{cpu}/topology"));
                write(topology.join("thread_siblings_list"), siblings).unwrap();
            }
        }
        write(folder("node").join("online"), "0-1\n").unwrap();
        write(folder("node/node0").join("cpulist"), "0-1,4-5\n").unwrap();
        write(folder("node/node1").join("cpulist"), "2-3,6-7\n").unwrap();
        let all = Cpus::read(system.path(), (0..8).collect());
        assert_eq!((all.cores, all.nodes.len()), (4, 2));
        assert_eq!(all.nodes[1], BTreeSet::from([2, 3, 6, 7]));
        assert_eq!(Cpus::read(system.path(), BTreeSet::from([0, 4, 1])).cores, 2);
        let untold = Cpus::read(&system.path().join("nowhere"), BTreeSet::from([5, 6]));
        assert_eq!((untold.cores, untold.nodes.len()), (2, 0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_some() {
        let here = Cpus::here();
        assert!(here.cores >= 1 && here.cores <= here.allowed.len(), "{here:?}");
    }
}
