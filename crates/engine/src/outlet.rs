//! Where one call's items go, as the scheduler sees it: whether its reader keeps up,
//! whether anybody still reads, and the way out.
//!
//! Items gather in a [`Tray`] that all calls of a model share, until the step is over and
//! they leave together. How many may be on their way is the call's credit: a reader that
//! does not read uses it up, and pauses its own call and no other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::{Event, Failure};

use crate::reply::stopped;

/// The events of one step of one call, or the failure that ended it.
pub(crate) type Item = Result<Vec<Event>, Failure>;

/// A step sends one item, and so does a failure after it; a call with less credit waits
/// for its reader.
const ROOM: usize = 2;

/// How many items of a call may be on their way to its reader: one more than wanted,
/// since an item is sent only while two have room.
pub(crate) fn window(event_buffer: usize) -> usize {
    event_buffer.max(ROOM) + 1
}

/// Whether nothing comes after this item.
pub(crate) fn is_last(item: &Item) -> bool {
    match item {
        Ok(events) => matches!(events.last(), Some(Event::Finish { .. })),
        Err(_) => true,
    }
}

/// Where a call's items go. Every call sends exactly one last note: its end, a failure,
/// or, if its reader left, that it is gone. Clones are the same way out.
#[derive(Debug, Clone)]
pub(crate) struct Outlet(Arc<Open>);

impl Outlet {
    /// A way out onto `tray` for the call whose reader is `reader`.
    pub(crate) fn new(reader: Arc<Reader>, tray: Arc<Tray>) -> Self {
        Self(Arc::new(Open { reader, tray, over: AtomicBool::new(false) }))
    }

    /// Whether the reader keeps up: there is room for a step's item and a failure.
    pub(crate) fn has_room(&self) -> bool {
        self.0.reader.credit.load(Ordering::Acquire) >= ROOM
    }

    /// Nobody listens any more.
    pub(crate) fn abandoned(&self) -> bool {
        self.0.reader.gone.load(Ordering::Acquire)
    }

    /// Sends an item. After the last one nothing is sent any more.
    pub(crate) fn send(&self, item: Item) {
        let open = &*self.0;
        let already_over = match is_last(&item) {
            true => open.over.swap(true, Ordering::AcqRel),
            false => open.over.load(Ordering::Acquire),
        };
        if !already_over {
            let spend = |credit: usize| credit.checked_sub(1);
            let _ = open.reader.credit.fetch_update(Ordering::AcqRel, Ordering::Acquire, spend);
            open.tray.put(open.reader.number, Note::Item(item));
        }
    }
}

#[derive(Debug)]
struct Open {
    reader: Arc<Reader>,
    tray: Arc<Tray>,
    over: AtomicBool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !*self.over.get_mut() {
            let gone = self.reader.gone.load(Ordering::Acquire);
            let note = if gone { Note::Gone } else { Note::Item(Err(stopped())) };
            self.tray.put(self.reader.number, note);
        }
    }
}

/// A call's reader, as far as it is known here.
#[derive(Debug)]
pub(crate) struct Reader {
    number: u64,
    /// Items that may still be sent.
    credit: AtomicUsize,
    gone: AtomicBool,
}

impl Reader {
    /// The reader of call `number`, who takes `window` items before it must have read some.
    pub(crate) fn new(number: u64, window: usize) -> Arc<Self> {
        Arc::new(Self { number, credit: AtomicUsize::new(window), gone: AtomicBool::new(false) })
    }

    /// It has read so many items.
    pub(crate) fn has_read(&self, items: usize) {
        self.credit.fetch_add(items, Ordering::AcqRel);
    }

    /// It has left.
    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// What is told of a call.
#[derive(Debug)]
pub(crate) enum Note {
    /// Something for its reader.
    Item(Item),
    /// It ended because its reader left.
    Gone,
}

impl Note {
    /// Whether it is a call's last one.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Self::Item(item) => is_last(item),
            Self::Gone => true,
        }
    }
}

/// The notes of all calls that wait to leave, by the calls' numbers. Credit bounds it.
#[derive(Debug, Default)]
pub(crate) struct Tray(Mutex<Vec<(u64, Note)>>);

impl Tray {
    /// Everything on it, in order.
    pub(crate) fn take(&self) -> Vec<(u64, Note)> {
        std::mem::take(&mut self.notes())
    }

    fn put(&self, number: u64, note: Note) {
        self.notes().push((number, note));
    }

    fn notes(&self) -> MutexGuard<'_, Vec<(u64, Note)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's end of an outlet, for tests without a socket between them.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Inlet {
    reader: Arc<Reader>,
    tray: Arc<Tray>,
    taken: std::collections::VecDeque<Item>,
}

#[cfg(test)]
impl Outlet {
    /// An outlet of its own, with room for `window` items.
    pub(crate) fn pair(window: usize) -> (Self, Inlet) {
        let (reader, tray) = (Reader::new(0, window), Arc::<Tray>::default());
        let outlet = Self::new(Arc::clone(&reader), Arc::clone(&tray));
        (outlet, Inlet { reader, tray, taken: std::collections::VecDeque::new() })
    }
}

#[cfg(test)]
impl Inlet {
    /// The next item, if there is one.
    pub(crate) fn try_recv(&mut self) -> Option<Item> {
        self.taken.extend(self.tray.take().into_iter().filter_map(|(_, note)| match note {
            Note::Item(item) => Some(item),
            Note::Gone => None,
        }));
        let item = self.taken.pop_front()?;
        self.reader.has_read(1);
        Some(item)
    }
}

#[cfg(test)]
impl Drop for Inlet {
    fn drop(&mut self) {
        self.reader.leave();
    }
}

#[cfg(test)]
mod tests {
    use message::{ErrorKind, FinishReason};

    use super::*;

    fn last(tray: &Tray) -> Vec<String> {
        tray.take().iter().map(|(number, note)| format!("{number} {note:?}")).collect()
    }

    #[test]
    fn room_is_what_the_reader_gives() {
        let (outlet, mut inlet) = Outlet::pair(window(2));
        let mut sent = 0;
        while outlet.has_room() {
            outlet.send(Ok(vec![Event::BlockStop { index: sent }]));
            sent += 1;
        }
        assert_eq!(sent, 2, "and one is left for a failure");
        assert_eq!(inlet.try_recv(), Some(Ok(vec![Event::BlockStop { index: 0 }])));
        assert!(outlet.has_room());
        drop(inlet);
        assert!(outlet.abandoned());
    }

    #[test]
    fn every_call_has_exactly_one_last_note() {
        let tray = Arc::<Tray>::default();
        let outlet = |number| Outlet::new(Reader::new(number, 3), Arc::clone(&tray));
        let finish = vec![Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None }];
        let ended = outlet(1);
        ended.send(Ok(finish));
        ended.send(Err(Failure::new(ErrorKind::Timeout, "late")));
        drop(ended);
        assert_eq!(last(&tray).len(), 1);
        let reader = Reader::new(2, 3);
        let left = Outlet::new(Arc::clone(&reader), Arc::clone(&tray));
        reader.leave();
        drop(left.clone());
        assert!(last(&tray).is_empty(), "a clone is left");
        drop(left);
        assert_eq!(last(&tray), ["2 Gone"]);
        drop(outlet(3));
        assert!(last(&tray)[0].contains("Unavailable"), "a call that is dropped is told so");
    }
}
