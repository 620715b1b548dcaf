//! A constraint being followed, token by token.

use std::collections::VecDeque;
use std::fmt;

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;
use message::Failure;

use super::closing::{Place, way_out};
use super::in_short;
use crate::vocabulary::Token;

/// Tokens kept free beside the way out before every single token is looked at: what one
/// token opens is seldom longer to close.
const RESERVE: usize = 32;

/// What one call may say next.
pub(crate) struct Constraint {
    matcher: Matcher,
    place: Place,
    /// The way out from here, once it was looked for.
    way_out: Option<VecDeque<Token>>,
    /// Tokens until it has to be looked for again.
    carefree: usize,
    /// It can be looked for at all.
    can_close: bool,
}

impl Constraint {
    /// At the beginning; `can_close` if its grammar lets tokens be taken back.
    pub(super) fn new(matcher: Matcher, can_close: bool) -> Self {
        Self { matcher, place: Place::default(), way_out: None, carefree: 0, can_close }
    }

    /// The tokens allowed next.
    pub(crate) fn mask(&mut self) -> Result<SimpleVob, Failure> {
        self.matcher.compute_mask_or_eos().map_err(too_complex)
    }

    /// Takes note of the token chosen.
    pub(crate) fn accept(&mut self, token: Token) -> Result<(), Failure> {
        self.matcher.consume_token(token).map_err(too_complex)?;
        self.note(token);
        self.way_out = None;
        Ok(())
    }

    /// Takes note of the token chosen, with `left` more to come at most; or, if the answer
    /// could then not be finished, of the one that finishes it. Returns which it was.
    pub(crate) fn accept_within(&mut self, token: Token, left: usize) -> Result<Token, Failure> {
        if !self.can_close {
            self.accept(token)?;
            return Ok(token);
        }
        if self.carefree > 0 {
            self.carefree -= 1;
            self.accept(token)?;
            return Ok(token);
        }
        let known = match self.way_out.take() {
            Some(known) => Some(known),
            None => way_out(&mut self.matcher, self.place, left + 1).map(VecDeque::from),
        };
        if let Some(mut known) = known {
            if known.front() == Some(&token) {
                known.pop_front();
                self.accept(token)?;
                self.way_out = Some(known);
                return Ok(token);
            }
            return self.accept_unless_lost(token, left, known);
        }
        // No way out was found: it is too long already, or not to be seen from here.
        self.accept(token)?;
        self.carefree = RESERVE / 4;
        Ok(token)
    }

    fn accept_unless_lost(
        &mut self,
        token: Token,
        left: usize,
        mut known: VecDeque<Token>,
    ) -> Result<Token, Failure> {
        let before = self.place;
        self.accept(token)?;
        if let Some(found) = way_out(&mut self.matcher, self.place, left) {
            // The further the end, the longer nothing has to be looked for.
            self.carefree = (left - found.len()).saturating_sub(RESERVE + 2 * found.len()) / 8;
            self.way_out = (self.carefree == 0).then(|| found.into());
            return Ok(token);
        }
        self.matcher.rollback(1).map_err(too_complex)?;
        self.place = before;
        let Some(instead) = known.pop_front() else {
            // Nothing more was needed, so what is left out is not missed.
            self.accept(token)?;
            return Ok(token);
        };
        self.accept(instead)?;
        self.way_out = Some(known);
        Ok(instead)
    }

    /// Takes note of text that was written before it was asked. Tells whether all of it
    /// is allowed; if not, the constraint is of no more use.
    pub(crate) fn accept_text(&mut self, text: &str) -> bool {
        let Ok(environment) = self.matcher.tok_env() else { return false };
        let tokens = environment.tok_trie().greedy_tokenize(text.as_bytes());
        self.place.pass(text.as_bytes());
        let accepted = self.matcher.try_consume_tokens(&tokens);
        accepted.is_ok_and(|accepted| accepted == tokens.len())
    }

    /// What was written so far is not part of the answer: thinking.
    pub(crate) fn not_yet(&mut self) {
        self.place = Place::default();
    }

    /// The same constraint, for another place of the answer.
    pub(crate) fn fresh(&self) -> Self {
        Self { matcher: self.matcher.deep_clone(), way_out: self.way_out.clone(), ..*self }
    }

    /// Nothing more may be said.
    pub(crate) fn satisfied(&mut self) -> bool {
        self.matcher.is_stopped()
    }

    fn note(&mut self, token: Token) {
        if let Ok(environment) = self.matcher.tok_env() {
            self.place.pass(environment.tok_trie().token(token));
        }
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Constraint")
    }
}

fn too_complex(error: impl fmt::Display) -> Failure {
    let error = error.to_string();
    Failure::invalid(format!(
        "the answer's JSON schema or grammar became too complex to follow: {}; simplify it",
        in_short(&error)
    ))
}
