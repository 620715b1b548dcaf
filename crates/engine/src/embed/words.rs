//! Texts → tokens of a model that computes whole texts, and the bounds on both.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use crate::backend::LoadedModel;
use crate::vocabulary::Token;

/// What it takes to cut texts into tokens for one model.
pub(crate) struct Words {
    pub(crate) model: Arc<LoadedModel>,
    /// Tokens of one input.
    pub(crate) max_tokens: usize,
    /// Bytes of the longest token: no text has fewer tokens than its bytes over this.
    longest_piece: usize,
}

impl Words {
    /// For inputs of at most so many tokens.
    pub(crate) fn new(model: Arc<LoadedModel>, max_tokens: u32) -> Self {
        let longest_piece = model.vocabulary().longest_piece();
        Self { model, max_tokens: max_tokens as usize, longest_piece }
    }

    /// The tokens of a text, without any that go around it.
    pub(crate) fn tokens(&self, text: &str) -> Vec<Token> {
        // BERT's words are of decomposed characters: llama.cpp takes accents apart for it,
        // but not the syllables of Hangul.
        if self.model.splits_words_as_bert() {
            return self.model.tokenize_words(&text.nfd().collect::<String>());
        }
        self.model.tokenize_words(text)
    }

    /// Fewest tokens that a text can have, without cutting it into any: a hostile 100 MB
    /// would take many seconds.
    pub(crate) fn at_least(&self, text: &str) -> usize {
        text.len() / self.longest_piece
    }

    /// The start of a text, beyond which there are only tokens that will not be kept.
    pub(crate) fn start<'t>(&self, text: &'t str) -> &'t str {
        &text[..boundary(text, self.enough_bytes().min(text.len()))]
    }

    /// The end of a text, before which there are only tokens that will not be kept.
    pub(crate) fn end<'t>(&self, text: &'t str) -> &'t str {
        &text[boundary(text, text.len().saturating_sub(self.enough_bytes()))..]
    }

    fn enough_bytes(&self) -> usize {
        self.max_tokens.saturating_mul(self.longest_piece)
    }
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
