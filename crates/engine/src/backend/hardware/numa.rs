//! Machines with several memories (NUMA): how threads are spread over them. Reading another
//! processor's memory is slower, so a model's threads should be where its pages are.

use llama_cpp_2::llama_backend::NumaStrategy;
use serde::{Deserialize, Serialize};

use super::Cpus;

/// How a model's threads are spread over several memories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Numa {
    /// Over all of them, where this process may use processors of several.
    #[default]
    Auto,
    /// Wherever the system puts them.
    Off,
    /// Evenly over all memories.
    Distribute,
    /// Only where the worker began.
    Isolate,
    /// On the processors that `numactl` or a cpuset gave.
    Numactl,
}

/// llama.cpp's strategy; `None`: it does nothing.
pub(super) fn strategy(asked: Numa, cpus: &Cpus) -> Option<NumaStrategy> {
    match asked {
        Numa::Off => None,
        Numa::Distribute => Some(NumaStrategy::DISTRIBUTE),
        Numa::Isolate => Some(NumaStrategy::ISOLATE),
        Numa::Numactl => Some(NumaStrategy::NUMACTL),
        Numa::Auto => {
            let usable = cpus.nodes.iter().filter(|node| !node.is_disjoint(&cpus.allowed)).count();
            // Within one memory the system places threads and pages well by itself.
            let several = usable > 1;
            // To distribute sets each thread's processors: none may be among them that
            // this process was not given.
            let all = cpus.nodes.iter().all(|node| node.is_subset(&cpus.allowed));
            several.then_some(if all { NumaStrategy::DISTRIBUTE } else { NumaStrategy::NUMACTL })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn auto(nodes: &[Range<usize>], allowed: Range<usize>) -> Option<NumaStrategy> {
        let nodes = nodes.iter().map(|node| node.clone().collect()).collect();
        strategy(Numa::Auto, &Cpus { allowed: allowed.collect(), cores: 1, nodes })
    }

    #[test]
    fn threads_are_spread_only_over_several_memories() {
        assert_eq!(auto(&[], 0..4), None);
        let one = 0..4;
        assert_eq!(auto(std::slice::from_ref(&one), 0..4), None);
        assert_eq!(auto(&[0..4, 4..8], 0..8), Some(NumaStrategy::DISTRIBUTE));
        assert_eq!(auto(&[0..4, 4..8], 0..4), None, "one of two");
        assert_eq!(auto(&[0..4, 4..8], 2..6), Some(NumaStrategy::NUMACTL), "parts of both");
    }

    #[test]
    fn what_is_asked_is_done() {
        let cpus = Cpus::default();
        assert_eq!(strategy(Numa::Off, &cpus), None);
        assert_eq!(strategy(Numa::Isolate, &cpus), Some(NumaStrategy::ISOLATE));
    }
}
