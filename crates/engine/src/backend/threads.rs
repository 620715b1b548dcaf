//! How many threads compute: as many as there are physical cores this process may use, but
//! one that is left to the gateway where there are four or more.

use super::hardware::Cpus;

/// From so many cores on one is left to the gateway, which then costs a quarter of the
/// speed at most. Below, the gateway takes its turn before workers (`engine.niceness`).
const ENOUGH_CORES: usize = 4;

/// The default number of threads of a model's computation.
pub fn default_threads() -> usize {
    // Respects cgroup quotas and CPU affinity, but counts hyperthreads; two of those on one
    // core only fight for its vector unit.
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    share(Cpus::here().cores, usable)
}

fn share(cores: usize, usable: usize) -> usize {
    let cores = cores.min(usable).max(1);
    if cores >= ENOUGH_CORES { cores - 1 } else { cores }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_of_many_is_left_to_the_gateway() {
        assert_eq!(share(1, 1), 1);
        assert_eq!(share(1, 2), 1, "hyperthreads");
        assert_eq!(share(2, 2), 2, "each is half of the speed");
        assert_eq!(share(4, 8), 3);
        assert_eq!(share(64, 4), 3, "a quota of four");
        assert_eq!(share(64, 2), 2, "a quota of two");
        assert_eq!(share(0, 0), 1, "not known");
    }
}
