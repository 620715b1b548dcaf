//! Constrained output: what an answer may say, token by token.

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;
use message::Failure;

use crate::vocabulary::Token;

/// What one call may say next.
pub(crate) struct Constraint {
    matcher: Matcher,
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Constraint")
    }
}

impl Constraint {
    /// The tokens allowed next.
    pub(crate) fn mask(&mut self) -> Result<SimpleVob, Failure> {
        self.matcher.compute_mask_or_eos().map_err(too_complex)
    }

    /// Takes note of the token chosen.
    pub(crate) fn accept(&mut self, token: Token) -> Result<(), Failure> {
        self.matcher.consume_token(token).map_err(too_complex)
    }

    /// Nothing more may be said.
    pub(crate) fn satisfied(&mut self) -> bool {
        self.matcher.is_stopped()
    }
}

fn too_complex(error: impl std::fmt::Display) -> Failure {
    Failure::invalid(format!("the answer's schema is too complex to follow: {error}; simplify it"))
}
