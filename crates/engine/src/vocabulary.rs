//! A model's vocabulary as plain data, read once at load, so that nothing above the
//! backend asks llama.cpp what a token looks like.

/// A token's number in its vocabulary.
pub(crate) type Token = u32;

/// How text becomes tokens; implemented by the backend (and by fakes in tests).
pub(crate) trait Tokenize: Send + Sync {
    /// Cuts `text` into tokens. With `special`, control tokens written out in the text
    /// (`<|im_end|>`) become those tokens; without, they are only characters.
    /// Adds nothing of its own (no beginning-of-text token).
    fn tokenize(&self, text: &str, special: bool) -> Vec<Token>;
}

/// What the tokens of a model are.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    /// The text of all tokens, end to end.
    bytes: Vec<u8>,
    /// Where each token's text ends in `bytes`.
    ends: Vec<u32>,
    /// Whether each token ends the model's turn.
    ends_turn: Vec<bool>,
    /// Control tokens and how they are written; their `piece` is empty.
    pub(crate) control: Vec<(Token, String)>,
    /// The beginning-of-text token, if prompts must begin with it.
    pub(crate) prompt_start: Option<Token>,
    /// The beginning-of-text token as written, for templates.
    pub(crate) bos: String,
    /// The end-of-text token as written, for templates.
    pub(crate) eos: String,
    /// The token that ends a turn first of all.
    pub(crate) primary_eos: Token,
}

impl Vocabulary {
    /// Adds the next token. `piece` is what it adds to visible text.
    pub(crate) fn push(&mut self, piece: &[u8], ends_turn: bool) {
        self.bytes.extend_from_slice(piece);
        // No vocabulary comes near 4 GiB of text; a cast keeps the table small.
        self.ends.push(self.bytes.len() as u32);
        self.ends_turn.push(ends_turn);
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// What a token adds to visible text; nothing for control tokens.
    pub(crate) fn piece(&self, token: Token) -> &[u8] {
        let index = token as usize;
        let Some(&end) = self.ends.get(index) else { return &[] };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// A token as it is written, control tokens included.
    pub(crate) fn written(&self, token: Token) -> &[u8] {
        let control = || self.control.iter().find(|(other, _)| *other == token);
        match self.piece(token) {
            [] => control().map_or(&[], |(_, text)| text.as_bytes()),
            piece => piece,
        }
    }

    /// Whether a token ends the model's turn.
    pub(crate) fn ends_turn(&self, token: Token) -> bool {
        self.ends_turn.get(token as usize).copied().unwrap_or(false)
    }

    /// The tokens that end the model's turn.
    pub(crate) fn turn_ends(&self) -> impl Iterator<Item = Token> + '_ {
        (0..).zip(&self.ends_turn).filter_map(|(token, &ends)| ends.then_some(token))
    }

    /// The most bytes of text one token can stand for.
    pub(crate) fn longest_piece(&self) -> usize {
        let pieces = (0..self.len() as u32).map(|token| self.piece(token).len());
        let control = self.control.iter().map(|(_, text)| text.len());
        pieces.chain(control).max().unwrap_or(1).max(1)
    }
}
