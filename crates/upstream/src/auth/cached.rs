//! Something that expires: kept, and fetched again before it does, once for all callers.
//!
//! While the old one is still good, one caller fetches the next and the others go on
//! with the old. When there is none, all wait for the one who fetches. A failure is
//! remembered for a moment, so that a hundred waiting calls do not ask a dead server
//! a hundred times, one after the other.

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a failure is told to others without trying again: long enough to answer
/// those who wait, short enough that nobody notices when it is over.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// Something fetched, and how long it lasts.
pub(crate) struct Fresh<T> {
    pub(crate) value: T,
    /// When to look for the next.
    pub(crate) renew_in: Duration,
    /// When it is of no use any more; never before `renew_in`.
    pub(crate) expires_in: Duration,
}

struct Held<T> {
    value: Arc<T>,
    renew_at: Instant,
    expires_at: Instant,
}

/// Keeps a `T`.
pub(crate) struct Cached<T> {
    held: RwLock<Option<Held<T>>>,
    /// Held by whoever fetches; the last failure and when it was.
    fetching: Mutex<Option<(Instant, String)>>,
}

impl<T> Cached<T> {
    pub(crate) fn new() -> Self {
        Self { held: RwLock::new(None), fetching: Mutex::new(None) }
    }

    /// The one that is held, or a new one from `fetch`.
    pub(crate) async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>, String>
    where
        F: Future<Output = Result<Fresh<T>, String>>,
    {
        let old = match self.look() {
            Look::Good(value) => return Ok(value),
            Look::Due(value) => Some(value),
            Look::Nothing => None,
        };
        let mut failed = match (self.fetching.try_lock(), &old) {
            (Ok(failed), _) => failed,
            (Err(_), Some(old)) => return Ok(Arc::clone(old)),
            (Err(_), None) => self.fetching.lock().await,
        };
        // Somebody may have been quicker.
        if let Look::Good(value) = self.look() {
            return Ok(value);
        }
        if let Some((at, reason)) = &*failed
            && at.elapsed() < FAILURE_KEPT
        {
            return old.ok_or_else(|| reason.clone());
        }
        match fetch().await {
            Ok(fresh) => {
                *failed = None;
                Ok(self.hold(fresh))
            }
            Err(reason) => {
                *failed = Some((Instant::now(), reason.clone()));
                old.ok_or(reason)
            }
        }
    }

    fn look(&self) -> Look<T> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match &*held {
            Some(held) if now < held.renew_at => Look::Good(Arc::clone(&held.value)),
            Some(held) if now < held.expires_at => Look::Due(Arc::clone(&held.value)),
            _ => Look::Nothing,
        }
    }

    fn hold(&self, fresh: Fresh<T>) -> Arc<T> {
        let value = Arc::new(fresh.value);
        let now = Instant::now();
        let held = Held {
            value: Arc::clone(&value),
            renew_at: later(now, fresh.renew_in),
            expires_at: later(now, fresh.expires_in),
        };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
        value
    }
}

enum Look<T> {
    Good(Arc<T>),
    Due(Arc<T>),
    Nothing,
}

/// A server may promise any lifetime; never overflow on it.
fn later(from: Instant, wait: Duration) -> Instant {
    const FOREVER: Duration = Duration::from_secs(30 * 86_400);
    from + wait.min(FOREVER)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn fresh(value: usize) -> Result<Fresh<usize>, String> {
        let (renew_in, expires_in) = (Duration::from_secs(60), Duration::from_secs(100));
        Ok(Fresh { value, renew_in, expires_in })
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_fetched_once_and_again_when_due() {
        let cached = Cached::new();
        for (second, expected) in [(0, 0), (59, 0), (61, 61), (62, 61), (300, 300)] {
            let begun = Instant::now();
            let now = move || async move { fresh(second) };
            assert_eq!(*cached.get(now).await.unwrap(), expected, "{second}");
            let next = [59, 61, 62, 300, 300].into_iter().find(|next| *next > second).unwrap_or(second);
            tokio::time::advance(Duration::from_secs(next as u64 - second as u64)).await;
            assert!(begun.elapsed() >= Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_share_one_fetch() {
        let cached = Arc::new(Cached::new());
        let fetched = Arc::new(AtomicUsize::new(0));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (cached, fetched) = (Arc::clone(&cached), Arc::clone(&fetched));
            calls.spawn(async move {
                let fetch = || async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    fresh(fetched.fetch_add(1, Ordering::SeqCst))
                };
                *cached.get(fetch).await.unwrap()
            });
        }
        assert!(calls.join_all().await.into_iter().all(|value| value == 0));
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_good_outlives_a_failed_renewal() {
        let cached = Cached::new();
        cached.get(|| async { fresh(1) }).await.unwrap();
        tokio::time::advance(Duration::from_secs(70)).await;
        let fail = || async { Err("no".to_owned()) };
        assert_eq!(*cached.get(fail).await.unwrap(), 1);
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(cached.get(fail).await.unwrap_err(), "no");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_for_a_moment() {
        let cached: Cached<usize> = Cached::new();
        let tries = AtomicUsize::new(0);
        let fail = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err("down".to_owned())
        };
        for _ in 0..10 {
            assert_eq!(cached.get(fail).await.unwrap_err(), "down");
        }
        assert_eq!(tries.load(Ordering::SeqCst), 1);
        tokio::time::advance(FAILURE_KEPT).await;
        assert!(cached.get(fail).await.is_err());
        assert_eq!(tries.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_goes_away_leaves_the_fetch_to_the_next() {
        let cached = Arc::new(Cached::new());
        let slow = {
            let cached = Arc::clone(&cached);
            tokio::spawn(
                async move { cached.get(std::future::pending::<Result<Fresh<usize>, String>>).await },
            )
        };
        tokio::task::yield_now().await;
        slow.abort();
        assert_eq!(*cached.get(|| async { fresh(5) }).await.unwrap(), 5);
    }
}
