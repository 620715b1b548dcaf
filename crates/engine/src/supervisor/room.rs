//! The memory that all models of a gateway share: who is in it, and who waits to get in.
//!
//! A supervisor that wants to load its model asks here first, and waits in line; here
//! models that can make room are told to (`evict`). What a model has it gives back when
//! its worker is gone. Locks: the room's before a desk's, so a desk wakes the line
//! ([`Room::poke`]) only when it holds no lock.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::desk::Desk;
use super::evict::{Candidate, Standing, choose};
use crate::LoadError;

/// How long a model that answers is left alone, before it takes no more calls so that
/// another gets its turn: long against a load, so that taking turns costs little.
pub(super) const TURN: Duration = Duration::from_secs(10);

/// The memory for models. Cheap to clone; clones are the same room.
#[derive(Clone, Default)]
pub struct Room(Arc<Inner>);

#[derive(Default)]
struct Inner {
    limit: Option<u64>,
    state: Mutex<State>,
    /// Something changed that somebody in line may wait for.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    tenants: BTreeMap<u64, Tenant>,
    /// Who waits, in order: nobody overtakes, or a large model would never get in.
    line: VecDeque<u64>,
    next: u64,
}

struct Tenant {
    desk: Arc<Desk>,
    bytes: u64,
    pinned: bool,
}

/// What a model wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) bytes: u64,
    pub(super) pinned: bool,
}

/// A model's part of the room. Dropping it gives it back.
pub(super) struct Lease {
    room: Room,
    id: u64,
}

/// Somebody's place in line.
struct Turn<'a> {
    room: &'a Room,
    id: u64,
}

impl Room {
    /// A room of so many bytes; `None`: without end.
    pub fn new(limit_bytes: Option<u64>) -> Self {
        Self(Arc::new(Inner { limit: limit_bytes, ..Inner::default() }))
    }

    /// The bytes that models have here now, and those that there are.
    pub fn usage(&self) -> (u64, Option<u64>) {
        (self.state().used(), self.0.limit)
    }

    /// Waits in line until there is room, for which others may be told to go. `None`:
    /// nobody wants the model any more; or calls do not, and there is no room left as it is.
    ///
    /// # Errors
    /// [`LoadError::Room`]: there never will be.
    pub(super) fn admit(&self, desk: &Arc<Desk>, wish: Wish) -> Result<Option<Lease>, LoadError> {
        // Leaves the line however this ends.
        let turn = self.stand_in_line();
        let mut state = self.state();
        loop {
            if !desk.wanted() {
                return Ok(None);
            }
            let first = state.line.front() == Some(&turn.id);
            let Some(limit) = self.0.limit else { break };
            state.must_fit(wish.bytes, limit)?;
            let missing = state.used().saturating_add(wish.bytes).saturating_sub(limit);
            if first && missing == 0 {
                break;
            }
            if !desk.called() {
                return Ok(None);
            }
            desk.crowded(&state.filled_by(limit));
            let again = if first { state.make_room(missing, desk.name()) } else { None };
            state = match again {
                Some(wait) => {
                    let woken = self.0.changed.wait_timeout(state, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let tenant = Tenant { desk: Arc::clone(desk), bytes: wish.bytes, pinned: wish.pinned };
        state.tenants.insert(turn.id, tenant);
        drop(state);
        Ok(Some(Lease { room: self.clone(), id: turn.id }))
    }

    fn stand_in_line(&self) -> Turn<'_> {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.line.push_back(id);
        Turn { room: self, id }
    }

    /// Lets those in line look again: a model became idle, a caller left, the end came.
    pub(super) fn poke(&self) {
        // With the lock, so that none is between looking and waiting.
        drop(self.state());
        self.0.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("usage", &self.usage()).finish()
    }
}

impl State {
    fn used(&self) -> u64 {
        self.tenants.values().map(|tenant| tenant.bytes).sum()
    }

    /// Whether there would be room if all went that can.
    fn must_fit(&self, bytes: u64, limit: u64) -> Result<(), LoadError> {
        let pinned: u64 =
            self.tenants.values().filter(|tenant| tenant.pinned).map(|tenant| tenant.bytes).sum();
        if bytes.saturating_add(pinned) <= limit {
            return Ok(());
        }
        Err(LoadError::Room { need_mib: mib(bytes), limit_mib: mib(limit), pinned_mib: mib(pinned) })
    }

    /// Tells models to go that can; when to look again, if nobody says so before.
    fn make_room(&self, missing: u64, wanting: &str) -> Option<Duration> {
        let mut soonest = None;
        let mut candidates = Vec::with_capacity(self.tenants.len());
        for (&id, tenant) in &self.tenants {
            let (standing, used) = tenant.desk.standing();
            let standing = if tenant.pinned { Standing::Stays(None) } else { standing };
            if let Standing::Stays(Some(wait)) = standing {
                soonest = Some(soonest.map_or(wait, |soonest: Duration| soonest.min(wait)));
            }
            candidates.push(Candidate { id, bytes: tenant.bytes, used, standing });
        }
        for id in choose(&candidates, missing) {
            if let Some(tenant) = self.tenants.get(&id) {
                tenant.desk.vacate(format!("to make room for {wanting}"));
            }
        }
        soonest
    }

    /// Who has what, in words.
    fn filled_by(&self, limit: u64) -> String {
        let whom: Vec<_> = self
            .tenants
            .values()
            .map(|tenant| {
                let how = match tenant.desk.standing() {
                    _ if tenant.pinned => "pinned",
                    (Standing::Idle, _) => "idle",
                    (Standing::Busy | Standing::Stays(_), _) => "answering calls",
                    (Standing::Leaving, _) => "about to go",
                };
                format!("{} has {} MiB ({how})", tenant.desk.name(), mib(tenant.bytes))
            })
            .collect();
        format!("of {} MiB (engine.memory_mib), {}", mib(limit), whom.join(", "))
    }
}

impl Lease {
    /// What the model really has.
    pub(super) fn resize(&self, bytes: u64) {
        if let Some(tenant) = self.room.state().tenants.get_mut(&self.id) {
            tenant.bytes = bytes;
        }
        self.room.poke();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.room.state().tenants.remove(&self.id);
        self.room.poke();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.line.retain(|id| *id != self.id);
        if state.line.is_empty() {
            // Nobody needs their room any more: those that still answer may go on.
            state.tenants.values().for_each(|tenant| tenant.desk.stay());
        }
        drop(state);
        self.room.poke();
    }
}

/// Bytes in MiB, rounded up.
pub(super) const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
