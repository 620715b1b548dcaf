//! Guesses at what an answer says next, so that one step can say several tokens of it.
//!
//! Answers repeat what was said before: code that is changed, passages that are quoted,
//! objects of a list. What followed the last few tokens when they stood there before is a
//! guess that costs nothing to make (prompt lookup). A step computes it behind the call's
//! own token, and says as much of it as the call would have said by itself, token by token,
//! by its own sampler and rules: an answer is the same with guesses as without.
//!
//! Whether it pays is measured. How often guesses are right is known of every call, since
//! they can be made and not computed; what a row more of a step costs, `pace` knows. On one
//! core of a CPU it is most of what the first costs, on a GPU next to nothing.

use crate::vision::is_pseudo;
use crate::vocabulary::Token;

/// Tokens that must be alike for what follows them to be a guess.
const ALIKE: usize = 3;
/// Most tokens of a guess in a step.
const MOST: usize = 8;
/// How far back is looked; a text's end is likelier to repeat what is near.
const FAR: usize = 16_384;
/// What is kept of the past with every token: half of it is forgotten in seven.
const MEMORY: f64 = 0.9;
/// Guesses that count as made before the first one, half of them right.
const PRIOR: f64 = 2.0;
/// What a guess must be worth of what it costs.
const MARGIN: f64 = 1.1;

/// A call's guesses.
#[derive(Debug, Default)]
pub(super) struct Speculation {
    made: f64,
    right: f64,
    /// What is expected next.
    guess: Vec<Token>,
    /// Of these, the first so many are in the step.
    put: usize,
}

impl Speculation {
    /// Looks for what may come after these tokens. Returns what of it to compute in the next
    /// step, where a row more costs `price` of what it brings a call to be in it.
    pub(super) fn guess(&mut self, tokens: &[Token], price: f64, most: usize) -> &[Token] {
        self.guess.clear();
        // An image is not said.
        self.guess.extend(followed(tokens).iter().take_while(|token| !is_pseudo(**token)));
        self.put = depth(self.rate(), price).min(most).min(self.guess.len());
        &self.guess[..self.put]
    }

    /// Nothing is guessed in the next step.
    pub(super) fn rest(&mut self) {
        self.guess.clear();
        self.put = 0;
    }

    /// After so many tokens of the guess this one is said. Tells whether the step knows what
    /// comes then.
    pub(super) fn said(&mut self, after: usize, token: Token) -> bool {
        let Some(&expected) = self.guess.get(after) else { return false };
        let right = expected == token;
        self.made = self.made * MEMORY + 1.0;
        self.right = self.right * MEMORY + f64::from(u8::from(right));
        right && after < self.put
    }

    /// How often it guesses right.
    fn rate(&self) -> f64 {
        (self.right + PRIOR / 2.0) / (self.made + PRIOR)
    }
}

/// What followed the last tokens where they stood before.
fn followed(tokens: &[Token]) -> &[Token] {
    let Some(begins) = tokens.len().checked_sub(ALIKE) else { return &[] };
    let far = begins.saturating_sub(FAR);
    let before = &tokens[far..tokens.len() - 1];
    match before.windows(ALIKE).rposition(|window| window == &tokens[begins..]) {
        Some(at) => {
            let next = far + at + ALIKE;
            &tokens[next..tokens.len().min(next + MOST)]
        }
        None => &[],
    }
}

/// How many tokens of a guess are worth a row each: one is of use if all before it are
/// right, too.
fn depth(rate: f64, price: f64) -> usize {
    let worth = |nth: &usize| rate.powi(i32::try_from(*nth).unwrap_or(i32::MAX)) > price * MARGIN;
    (1..=MOST).take_while(worth).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_what_followed_last_time() {
        assert_eq!(followed(&[1, 2, 3, 4, 5, 9, 1, 2, 3]), [4, 5, 9, 1, 2, 3]);
        assert_eq!(followed(&[1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]), [5, 1, 2, 3], "the last time");
        assert_eq!(followed(&[7, 7, 7, 7]), [7], "over itself");
        assert!(followed(&[1, 2, 3]).is_empty() && followed(&[1, 2]).is_empty() && followed(&[]).is_empty());
        let long: Vec<Token> = (0..100).chain(0..3).collect();
        assert_eq!(followed(&long), [3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn the_likelier_and_the_cheaper_the_further() {
        assert_eq!(depth(0.9, 0.5), 5);
        assert_eq!(depth(0.6, 0.5), 1);
        assert_eq!(depth(0.5, 0.5), 0);
        assert_eq!(depth(1.0, 0.95), 0, "a row that costs what it brings is not worth its risk");
        assert_eq!(depth(0.9, 0.01), MOST);
    }

    #[test]
    fn it_learns_from_guesses_that_were_not_computed() {
        let text = [1, 2, 3, 4, 1, 2, 3];
        let mut call = Speculation::default();
        assert!(call.guess(&text, 0.6, 8).is_empty(), "half of them are right, nobody knows yet");
        assert!(!call.said(0, 4), "right, but nothing was computed after it");
        for _ in 0..20 {
            call.guess(&text, 0.6, 8);
            call.said(0, 4);
        }
        assert_eq!(call.guess(&text, 0.6, 8).len(), 4);
        assert!(call.said(0, 4) && call.said(1, 1) && !call.said(2, 9));
        for _ in 0..20 {
            call.guess(&text, 0.6, 8);
            call.said(0, 9);
        }
        assert!(call.guess(&text, 0.6, 8).is_empty());
    }

    #[test]
    fn no_more_than_there_is_room_for() {
        let mut call = Speculation::default();
        let text = [1, 2, 3, 4, 1, 2, 3];
        assert_eq!(call.guess(&text, 0.0, 2), [4, 1]);
        assert!(call.said(0, 4) && call.said(1, 1));
        assert!(!call.said(2, 2), "right once more, and that was all");
        call.rest();
        assert!(!call.said(0, 4), "nothing was guessed");
    }
}
