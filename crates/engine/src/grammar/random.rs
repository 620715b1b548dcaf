//! Hundreds of schemas against a writer that means no good: whatever it would rather
//! say, what it has written in the end is a document of the schema, and hardly ever cut.

use super::tests::{END, grammars};
use super::*;

#[path = "../../tests/support/schemas.rs"]
#[allow(dead_code, unreachable_pub, reason = "the real model's tests use all of it")]
mod schemas;

use schemas::Dice;

/// How a writer would like to go on.
#[derive(Debug, Clone, Copy)]
enum Writer {
    /// Anywhere.
    Lost,
    /// With the same letter, for ever.
    Rambling,
    /// Deeper, for ever.
    Opening,
}

impl Writer {
    fn choose(self, allowed: &[Token], dice: &mut Dice) -> Token {
        let liked: &[u8] = match self {
            Self::Lost => b"",
            Self::Rambling => b"x1\\\xc3",
            Self::Opening => b"[{\",",
        };
        let liked = liked.iter().map(|&byte| Token::from(byte)).find(|token| allowed.contains(token));
        match liked {
            Some(token) if !dice.once_in(8) => token,
            _ => allowed[dice.below(allowed.len())],
        }
    }
}

/// What a writer writes in at most so many tokens, and whether it came to its end.
fn written(constraint: &mut Constraint, writer: Writer, dice: &mut Dice, most: usize) -> (String, bool) {
    let mut bytes = Vec::new();
    for left in (0..most).rev() {
        let mask = constraint.mask().unwrap();
        let allowed: Vec<Token> = (0..=END).filter(|&token| mask.is_allowed(token)).collect();
        let token = constraint.accept_within(writer.choose(&allowed, dice), left).unwrap();
        if token == END {
            return (String::from_utf8(bytes).unwrap(), true);
        }
        bytes.push(token as u8);
        if constraint.satisfied() {
            return (String::from_utf8(bytes).unwrap(), true);
        }
    }
    (String::from_utf8_lossy(&bytes).into_owned(), false)
}

#[test]
fn every_document_is_whole_and_valid() {
    const TOKENS: usize = 400;
    let grammars = grammars();
    let (mut refused, mut unfinished) = (Vec::new(), Vec::new());
    for number in 0..200 {
        let schema = schemas::schema(number);
        let asked =
            Ask { shape: Shape::Text(Form::Json(&schema)), syntax: Syntax::HERMES, before: Before::Nothing };
        let mut constraint = match grammars.compile(asked) {
            Ok(constraint) => constraint,
            Err(failure) => {
                assert!(failure.message.contains("oneOf"), "{number}: {}: {schema}", failure.message);
                refused.push(number);
                continue;
            }
        };
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let mut dice = Dice::new(number + 7);
        let writer = [Writer::Lost, Writer::Rambling, Writer::Opening][dice.below(3)];
        let (text, whole) = written(&mut constraint, writer, &mut dice, TOKENS);
        if !whole {
            unfinished.push((number, writer, text));
            continue;
        }
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{number}: {e}: {text}"));
        assert!(validator.is_valid(&document), "{number}: {text} is not of {schema}");
    }
    // The search for the end does not see every end; what it misses is cut and said to be.
    let some = &unfinished[..unfinished.len().min(3)];
    assert!(unfinished.len() <= 4, "{} of them: {some:?}", unfinished.len());
    assert!(refused.len() < 20, "{refused:?}");
}
