//! What this machine could do: how fast memory is read, how fast matrices are multiplied.
//!
//! Answers of one call are bounded by the first (every token reads all weights), prompts
//! and many calls at once by the second.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use ndarray::Array2;
use serde::Serialize;

/// Memory that each thread reads: more than any cache holds of it.
const READ_BYTES: usize = 256 << 20;
/// Rows and columns of the matrices, so that three of them fit the second-level cache.
const SIDE: usize = 256;
/// The best of so many rounds counts: others may have been held up.
const ROUNDS: usize = 5;

/// The limits of this machine, with as many threads as the model has.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Machine {
    /// Threads that measured.
    pub(crate) threads: usize,
    /// Bytes of memory read in a second.
    pub(crate) memory_bytes_per_s: f64,
    /// Operations of multiplying f32 matrices in a second; a multiplication and an
    /// addition are two. Quantized weights are multiplied in 8-bit integers, of which
    /// processors may do more.
    pub(crate) f32_operations_per_s: f64,
}

/// Measures both; takes about a second.
pub(super) fn measure(threads: usize) -> Machine {
    Machine {
        threads,
        memory_bytes_per_s: read(threads, READ_BYTES),
        f32_operations_per_s: multiply(threads, SIDE),
    }
}

fn read(threads: usize, bytes: usize) -> f64 {
    let size = bytes / size_of::<u64>();
    best(threads, bytes as f64, |thread| {
        // Written, since pages that never were are all one page of zeros.
        let memory: Vec<u64> = (0..size as u64).map(|at| at ^ thread as u64).collect();
        move || {
            black_box(black_box(&memory).iter().fold(0u64, |sum, word| sum.wrapping_add(*word)));
        }
    })
}

fn multiply(threads: usize, side: usize) -> f64 {
    const TIMES: usize = 32;
    let operations = 2.0 * (side * side * side * TIMES) as f64;
    best(threads, operations, |thread| {
        let filled = |factor: usize| {
            Array2::from_shape_fn((side, side), |(row, column)| ((row * factor + column + thread) % 7) as f32)
        };
        let (a, b) = (filled(3), filled(5));
        move || {
            for _ in 0..TIMES {
                black_box(black_box(&a).dot(black_box(&b)));
            }
        }
    })
}

/// What all threads do in a second, at their best: each does `work` units in a round of
/// what `prepare` makes.
fn best<W: FnMut()>(threads: usize, work: f64, prepare: impl Fn(usize) -> W + Sync) -> f64 {
    let start = Barrier::new(threads);
    let times = std::thread::scope(|scope| {
        let spawn = |thread| {
            let (start, prepare) = (&start, &prepare);
            scope.spawn(move || {
                let mut round = prepare(thread);
                let once = |_| {
                    start.wait();
                    let began = Instant::now();
                    round();
                    began.elapsed().as_secs_f64()
                };
                (0..ROUNDS).map(once).collect::<Vec<_>>()
            })
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
    });
    // A round takes as long as its slowest thread.
    let rounds = (0..ROUNDS).map(|round| times.iter().map(|times| times[round]).fold(0.0, f64::max));
    work * threads as f64 / rounds.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_reads_and_multiplies() {
        let (read, multiply) = (read(2, 1 << 20), multiply(2, 64));
        assert!((1e8..1e14).contains(&read), "{read} bytes a second");
        assert!((1e7..1e15).contains(&multiply), "{multiply} operations a second");
    }

    #[test]
    fn the_slowest_thread_counts() {
        let wait =
            |thread: usize| move || std::thread::sleep(std::time::Duration::from_millis(20 * thread as u64));
        let rate = best(2, 1.0, wait);
        assert!(rate < 2.0 / 0.020, "{rate}");
    }
}
