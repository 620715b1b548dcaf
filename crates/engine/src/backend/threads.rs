//! How many threads compute: as many as there are physical cores this process may use.

/// The default number of threads. `available_parallelism` respects cgroup quotas and CPU
/// affinity but counts hyperthreads; two of those on one core only fight for its
/// vector unit, so the physical count caps it.
pub fn default_threads() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    usable.min(num_cpus::get_physical()).max(1)
}
