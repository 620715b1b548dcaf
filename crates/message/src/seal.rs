//! Whose seal a thinking block bears.
//!
//! Vendors sign or encrypt their models' reasoning, and refuse a turn that brings back
//! another vendor's seal. A client of one dialect stores what it was given and sends it
//! back word for word, whichever target the next turn goes to. So a seal that travels
//! under a foreign dialect is tagged with its vendor's name when the answer is decoded,
//! and every target takes back only its own.

/// A vendor that seals its models' reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sealer {
    /// Claude, wherever it is hosted. Its seals travel untagged: most clients are its own.
    Anthropic,
    /// Responses' `encrypted_content`.
    OpenAi,
    /// Gemini's `thoughtSignature`.
    Gemini,
}

const OPENAI: &str = "outcrop.openai:";
const GEMINI: &str = "outcrop.gemini:";

impl Sealer {
    /// The seal as it travels.
    pub fn tag(self, seal: &str) -> String {
        match self {
            Self::Anthropic => seal.to_owned(),
            Self::OpenAi => format!("{OPENAI}{seal}"),
            Self::Gemini => format!("{GEMINI}{seal}"),
        }
    }

    /// Whose a seal is that a client sent back, and the seal as its vendor wrote it.
    pub fn read(travelled: &str) -> (Self, &str) {
        if let Some(seal) = travelled.strip_prefix(OPENAI) {
            (Self::OpenAi, seal)
        } else if let Some(seal) = travelled.strip_prefix(GEMINI) {
            (Self::Gemini, seal)
        } else {
            (Self::Anthropic, travelled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendor_knows_its_own_seal_again() {
        for sealer in [Sealer::Anthropic, Sealer::OpenAi, Sealer::Gemini] {
            assert_eq!(Sealer::read(&sealer.tag("c2VhbA==")), (sealer, "c2VhbA=="));
        }
    }
}
