//! Whose turn it is: the principal who has been served least.
//!
//! Each principal has a counter of the tokens computed for it, and the one with the lowest
//! goes first: what deficit round robin approximates with quanta, without its list of turns
//! (virtual token counters: Sheng et al., "Fairness in Serving Large Language Models", OSDI
//! 2024). Who was away does not save up: on return its counter is lifted to that of the
//! least served, less a small credit, so that whoever asks for little is served at once.

use std::collections::HashMap;
use std::sync::Arc;

/// Tokens a principal that comes back may be ahead of the others: about one question.
const CREDIT: u64 = 256;

/// The counters of those who have calls here.
#[derive(Debug, Default)]
pub(super) struct Fair {
    shares: HashMap<Arc<str>, Share>,
}

#[derive(Debug)]
struct Share {
    served: u64,
    calls: usize,
}

impl Fair {
    /// A call of theirs has come.
    pub(super) fn arrive(&mut self, who: &Arc<str>) {
        let floor = self.floor();
        let share = self.shares.entry(Arc::clone(who)).or_insert(Share { served: floor, calls: 0 });
        if share.calls == 0 {
            share.served = share.served.max(floor);
        }
        share.calls += 1;
    }

    /// A call of theirs has ended.
    pub(super) fn leave(&mut self, who: &Arc<str>) {
        if let Some(share) = self.shares.get_mut(who) {
            share.calls -= 1;
        }
        if self.shares.values().all(|share| share.calls == 0) {
            // What somebody was given while nobody else asked is no debt to who comes next.
            self.shares.clear();
            return;
        }
        // Whoever is away and no longer ahead would be lifted on return all the same.
        let floor = self.floor();
        self.shares.retain(|_, share| share.calls > 0 || share.served > floor);
    }

    /// Tokens were computed for them.
    pub(super) fn charge(&mut self, who: &Arc<str>, tokens: u64) {
        if let Some(share) = self.shares.get_mut(who) {
            share.served += tokens;
        }
    }

    /// What has been computed for them: the less, the earlier their turn.
    pub(super) fn served(&self, who: &str) -> u64 {
        self.shares.get(who).map_or(0, |share| share.served)
    }

    /// Whether `who` is so far behind `other` that `other` should give way at once.
    pub(super) fn is_owed(&self, who: &str, other: &str) -> bool {
        self.served(who) + CREDIT / 2 < self.served(other)
    }

    fn floor(&self) -> u64 {
        let here = self.shares.values().filter(|share| share.calls > 0);
        here.map(|share| share.served).min().unwrap_or(0).saturating_sub(CREDIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_served_goes_first() {
        let (mut fair, a, b) = (Fair::default(), Arc::from("a"), Arc::from("b"));
        fair.arrive(&a);
        fair.arrive(&b);
        fair.charge(&a, 100);
        assert!(fair.served("b") < fair.served("a"));
        assert!(!fair.is_owed("b", "a"), "a small difference upsets nobody's step");
        fair.charge(&a, 100);
        assert!(fair.is_owed("b", "a"));
    }

    #[test]
    fn being_away_saves_nothing_up_but_a_credit() {
        let (mut fair, heavy, light) = (Fair::default(), Arc::from("heavy"), Arc::from("light"));
        fair.arrive(&heavy);
        fair.charge(&heavy, 1_000_000);
        fair.arrive(&light);
        assert_eq!(fair.served("light"), 1_000_000 - CREDIT);
        fair.charge(&light, 100);
        fair.leave(&light);
        fair.arrive(&light);
        assert_eq!(fair.served("light"), 1_000_000 - CREDIT + 100, "coming again is no way to more");
        fair.leave(&light);
        fair.charge(&heavy, 1_000);
        fair.arrive(&light);
        assert_eq!(fair.served("light"), 1_001_000 - CREDIT);
    }

    #[test]
    fn what_was_given_while_nobody_else_asked_is_no_debt() {
        let (mut fair, early, late) = (Fair::default(), Arc::from("early"), Arc::from("late"));
        fair.arrive(&early);
        fair.charge(&early, 1_000_000);
        fair.leave(&early);
        fair.arrive(&late);
        fair.arrive(&early);
        assert_eq!(fair.served("early"), fair.served("late"));
    }

    #[test]
    fn nobody_is_remembered_for_ever() {
        let (mut fair, stays) = (Fair::default(), Arc::from("stays"));
        fair.arrive(&stays);
        for name in 0..1000 {
            let who: Arc<str> = name.to_string().into();
            fair.arrive(&who);
            fair.charge(&who, 10);
            fair.leave(&who);
            fair.charge(&stays, 1_000);
        }
        assert!(fair.shares.len() <= 2, "those behind the least served are gone");
        fair.leave(&stays);
        assert!(fair.shares.is_empty());
    }
}
