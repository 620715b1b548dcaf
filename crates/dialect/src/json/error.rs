//! Why a body is not JSON, in words a person can act on.

use std::fmt;

use message::Failure;

use super::DEPTH_MAX;

/// Why a body is not acceptable JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON at byte {offset} (line {line}, column {column}): {reason}")]
pub struct ScanError {
    /// Bytes before the fault.
    pub offset: usize,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Byte of that line, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    /// The body has no bytes, or only white space.
    Empty,
    /// The body ends inside a value: often a cut upload.
    UnexpectedEnd,
    ExpectedValue,
    /// The document is an array, string …, where only an object makes sense.
    ExpectedObject,
    ExpectedKey,
    ExpectedColon,
    ExpectedCommaOrBrace,
    ExpectedCommaOrBracket,
    InvalidNumber,
    InvalidEscape,
    /// A raw control character inside a string.
    ControlCharacter,
    InvalidUtf8,
    /// More than [`DEPTH_MAX`] arrays and objects inside each other.
    TooDeep,
    /// Something follows the document.
    TrailingCharacters,
    /// A wanted member stands twice: readers would disagree about which one counts.
    Duplicate(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the body is empty; send a JSON object",
            Self::UnexpectedEnd => "the body ends inside a value; it was probably cut",
            Self::ExpectedValue => "expected a value",
            Self::ExpectedObject => "expected an object",
            Self::ExpectedKey => "expected a key in double quotes",
            Self::ExpectedColon => "expected ':' after the key",
            Self::ExpectedCommaOrBrace => "expected ',' or '}'",
            Self::ExpectedCommaOrBracket => "expected ',' or ']'",
            Self::InvalidNumber => "not a JSON number",
            Self::InvalidEscape => "not a JSON escape sequence",
            Self::ControlCharacter => "a control character in a string must be escaped",
            Self::InvalidUtf8 => "the text is not UTF-8",
            Self::TooDeep => {
                return write!(f, "nested deeper than {DEPTH_MAX} levels; flatten the value");
            }
            Self::TrailingCharacters => "nothing may follow the document",
            Self::Duplicate(key) => {
                return write!(f, "the member \"{key}\" stands twice; send it once");
            }
        })
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        let failure = Self::invalid(error.to_string());
        match error.reason {
            Reason::Duplicate(key) => failure.with_param(key),
            _ => failure,
        }
    }
}
