//! Which models make room for another: the least recently used ones that nobody asks
//! anything, and only if that is not enough, those that answer.

use std::time::{Duration, Instant};

/// Whether a loaded model can make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nobody asks it anything.
    Idle,
    /// It answers, and has had its time: it may be told to take no more calls.
    Busy,
    /// Not now: it is pinned, or being loaded, or there for too short a time (and may be
    /// asked after this).
    Stays(Option<Duration>),
    /// It makes room already, when its last call has ended.
    Leaving,
}

/// A loaded model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: u64,
    pub(super) bytes: u64,
    /// When it was asked something last.
    pub(super) used: Instant,
    pub(super) standing: Standing,
}

/// Those that are to be told to make room, so that `missing` bytes come free together with
/// those that do already. None, if that cannot be: then nobody should go for nothing.
pub(super) fn choose(candidates: &[Candidate], missing: u64) -> Vec<u64> {
    let with = |standing: Standing| candidates.iter().filter(move |one| one.standing == standing);
    let coming: u64 = with(Standing::Leaving).map(|one| one.bytes).sum();
    let Some(missing) = missing.checked_sub(coming).filter(|missing| *missing > 0) else {
        return Vec::new();
    };
    let mut movable: Vec<_> = with(Standing::Idle).chain(with(Standing::Busy)).collect();
    movable.sort_by_key(|one| (one.standing, one.used));
    let (mut chosen, mut freed) = (Vec::new(), 0);
    for one in movable {
        if freed >= missing {
            break;
        }
        freed += one.bytes;
        chosen.push(one);
    }
    if freed < missing {
        return Vec::new();
    }
    // A large one that came last may make the small ones before it needless.
    let mut kept = Vec::with_capacity(chosen.len());
    for one in chosen.into_iter().rev() {
        if freed - one.bytes >= missing {
            freed -= one.bytes;
        } else {
            kept.push(one.id);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Models by the order they were used in, ids from 0.
    fn models(of: &[(u64, Standing)]) -> Vec<Candidate> {
        let now = Instant::now();
        let at = |n: usize| now + Duration::from_secs(n as u64);
        let of = of.iter().enumerate();
        of.map(|(n, (bytes, standing))| Candidate {
            id: n as u64,
            bytes: *bytes,
            used: at(n),
            standing: *standing,
        })
        .collect()
    }

    use Standing::{Busy, Idle, Leaving, Stays};

    #[test]
    fn the_least_recently_used_idle_ones_go_and_no_more_than_needed() {
        let all = models(&[(10, Stays(None)), (10, Idle), (10, Idle), (10, Idle)]);
        assert_eq!(choose(&all, 1), [1]);
        assert_eq!(choose(&all, 11), [1, 2]);
        assert_eq!(choose(&all, 0), [0; 0]);
    }

    #[test]
    fn those_that_answer_go_last_and_never_for_nothing() {
        let all = models(&[(10, Busy), (10, Idle), (10, Stays(None))]);
        assert_eq!(choose(&all, 10), [1]);
        assert_eq!(choose(&all, 20), [1, 0]);
        assert_eq!(choose(&all, 21), [0; 0], "it would not be enough");
    }

    #[test]
    fn what_is_on_its_way_is_waited_for() {
        let all = models(&[(10, Leaving), (10, Idle)]);
        assert_eq!(choose(&all, 10), [0; 0]);
        assert_eq!(choose(&all, 11), [1]);
    }

    #[test]
    fn small_ones_stay_where_a_large_one_must_go() {
        let all = models(&[(1, Idle), (2, Idle), (50, Idle)]);
        assert_eq!(choose(&all, 40), [2]);
        assert_eq!(choose(&all, 51), [0, 2], "the least recently used of them");
        assert_eq!(choose(&all, 53), [0, 1, 2]);
    }
}
