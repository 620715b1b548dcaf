//! Puts the blocks of an answer one after the other.
//!
//! [`Event`]s of several blocks may interleave. Converse frames carry an index, too, but
//! popular clients append to whatever block was opened last (Strands), and real Bedrock
//! never interleaves: so what belongs to a later block waits until the earlier is whole.

use std::collections::BTreeMap;

use message::{Delta, ErrorKind, Event, Failure};

/// Most bytes of later blocks that wait while one is open: more than any model's longest
/// answer, so that only a broken upstream gets there.
pub(super) const HELD_BYTES_MAX: usize = 16 << 20;

/// More waits than [`HELD_BYTES_MAX`].
#[derive(Debug)]
pub(super) struct TooMuchHeld;

impl From<TooMuchHeld> for Failure {
    fn from(_: TooMuchHeld) -> Self {
        let reason = "the model's server mixes up the parts of its answer; nothing more can be held back";
        Self::new(ErrorKind::Upstream, reason)
    }
}

/// Reorders events; feed it all of them.
#[derive(Default)]
pub(super) struct Order {
    /// The block whose pieces go through.
    open: Option<u32>,
    /// What waits, by block: blocks are numbered in the order they begin.
    held: BTreeMap<u32, Vec<Event>>,
    held_bytes: usize,
}

impl Order {
    /// Takes in one event and passes on what may go now. Before `Finish` every block
    /// that is still open is closed.
    pub(super) fn push(&mut self, event: Event, mut emit: impl FnMut(Event)) -> Result<(), TooMuchHeld> {
        let Some(index) = block_of(&event) else {
            if matches!(event, Event::Finish { .. }) {
                self.close(&mut emit);
            }
            emit(event);
            return Ok(());
        };
        match (self.open, &event) {
            (None, Event::BlockStart { .. }) => {
                self.open = Some(index);
                emit(event);
            }
            (Some(open), Event::BlockStop { .. }) if open == index => {
                emit(event);
                self.open = None;
                self.release(&mut emit);
            }
            (Some(open), Event::Delta { .. }) if open == index => emit(event),
            (Some(open), _) if open != index => self.hold(index, event)?,
            // A piece of a block that never began or is over, or one that begins twice.
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, index: u32, event: Event) -> Result<(), TooMuchHeld> {
        let bytes = size(&event);
        if self.held_bytes + bytes > HELD_BYTES_MAX {
            return Err(TooMuchHeld);
        }
        match (self.held.get_mut(&index), &event) {
            (None, Event::BlockStart { .. }) => drop(self.held.insert(index, vec![event])),
            (Some(held), Event::Delta { .. } | Event::BlockStop { .. }) if !is_whole(held) => {
                held.push(event)
            }
            _ => return Ok(()),
        }
        self.held_bytes += bytes;
        Ok(())
    }

    /// Passes on the blocks that wait, up to and including the first that is not whole.
    fn release(&mut self, emit: &mut impl FnMut(Event)) {
        while self.open.is_none()
            && let Some((index, events)) = self.held.pop_first()
        {
            if !is_whole(&events) {
                self.open = Some(index);
            }
            for event in events {
                self.held_bytes -= size(&event);
                emit(event);
            }
        }
    }

    fn close(&mut self, emit: &mut impl FnMut(Event)) {
        while let Some(index) = self.open.take() {
            emit(Event::BlockStop { index });
            self.release(emit);
        }
    }
}

fn is_whole(events: &[Event]) -> bool {
    matches!(events.last(), Some(Event::BlockStop { .. }))
}

const fn block_of(event: &Event) -> Option<u32> {
    match event {
        Event::BlockStart { index, .. } | Event::Delta { index, .. } | Event::BlockStop { index } => {
            Some(*index)
        }
        _ => None,
    }
}

/// What an event holds, roughly.
fn size(event: &Event) -> usize {
    size_of::<Event>()
        + match event {
            Event::Delta { delta, .. } => match delta {
                Delta::Text { text, .. } => text.len(),
                Delta::Thinking(text) | Delta::Signature(text) | Delta::ToolInput(text) => text.len(),
                Delta::Citation(citation) => citation.text_bytes(),
                Delta::Opaque(value) => value.to_string().len(),
            },
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use message::{BlockHead, FinishReason};
    use proptest::prelude::*;

    use super::*;

    fn start(index: u32) -> Event {
        Event::BlockStart { index, block: BlockHead::Text }
    }

    fn delta(index: u32, text: &str) -> Event {
        Event::Delta { index, delta: Delta::text(text) }
    }

    fn stop(index: u32) -> Event {
        Event::BlockStop { index }
    }

    fn finish() -> Event {
        Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None }
    }

    fn ordered(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
        let mut order = Order::default();
        let mut out = Vec::new();
        for event in events {
            order.push(event, |event| out.push(event)).unwrap();
        }
        out
    }

    #[test]
    fn ordered_events_pass_at_once() {
        let events = [start(0), delta(0, "a"), stop(0), start(1), delta(1, "b"), stop(1), finish()];
        let mut order = Order::default();
        for event in events {
            let mut out = Vec::new();
            order.push(event.clone(), |event| out.push(event)).unwrap();
            assert_eq!(out, [event]);
        }
    }

    #[test]
    fn s1_parallel_blocks_are_told_apart() {
        let events = [
            start(0),
            start(1),
            start(2),
            delta(1, "x"),
            delta(0, "a"),
            stop(1),
            delta(2, "p"),
            delta(0, "b"),
            stop(0),
            delta(2, "q"),
            stop(2),
            finish(),
        ];
        let expected = [
            start(0),
            delta(0, "a"),
            delta(0, "b"),
            stop(0),
            start(1),
            delta(1, "x"),
            stop(1),
            start(2),
            delta(2, "p"),
            delta(2, "q"),
            stop(2),
            finish(),
        ];
        assert_eq!(ordered(events), expected);
    }

    #[test]
    fn s10_what_was_never_closed_is_closed_before_the_end() {
        let events = [start(0), start(1), delta(1, "b"), finish()];
        assert_eq!(ordered(events), [start(0), stop(0), start(1), delta(1, "b"), stop(1), finish()]);
    }

    #[test]
    fn pieces_of_blocks_that_never_began_are_left_out() {
        assert_eq!(
            ordered([delta(3, "x"), stop(3), start(0), delta(7, "y"), stop(0), finish()]),
            [start(0), stop(0), finish()]
        );
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = Order::default();
        order.push(start(0), |_| ()).unwrap();
        order.push(start(1), |_| ()).unwrap();
        let megabyte = "x".repeat(1 << 20);
        let held = (0..20).take_while(|_| order.push(delta(1, &megabyte), |_| ()).is_ok()).count();
        assert!((8..16).contains(&held), "{held}");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_interleaves(
            blocks in prop::collection::vec(0u32..4, 0..40),
        ) {
            // Four blocks begin; pieces come in any order; none is closed by its sender.
            let mut events: Vec<Event> = (0..4).map(start).collect();
            events.extend(blocks.iter().enumerate().map(|(n, block)| delta(*block, &n.to_string())));
            events.push(finish());
            let mut open = None;
            let mut pieces = 0;
            for event in ordered(events) {
                match event {
                    Event::BlockStart { index, .. } => {
                        prop_assert_eq!(open, None);
                        open = Some(index);
                    }
                    Event::Delta { index, .. } => {
                        prop_assert_eq!(open, Some(index));
                        pieces += 1;
                    }
                    Event::BlockStop { index } => {
                        prop_assert_eq!(open, Some(index));
                        open = None;
                    }
                    _ => prop_assert_eq!(open, None),
                }
            }
            prop_assert_eq!(pieces, blocks.len());
        }
    }
}
