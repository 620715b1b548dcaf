//! The rows of images: kept while calls need them, and after that as long as there is room,
//! so that the next turn of a conversation does not pay for its images again.
//!
//! Who looks at an image hangs it up here; the backend finds its rows by their pseudo-tokens.
//! No two pictures that hang here have one of these in common, so a row found is the right one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pseudo::{Digest, is_pseudo, pseudo};
use crate::vocabulary::Token;

/// What an image is in a prompt: marks that the model was taught, and between them rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Tokens of the vocabulary.
    Marks(Vec<Token>),
    /// So many rows.
    Rows(usize),
}

/// The tokens of an image that shows these parts.
pub(super) fn tokens(image: &Digest, attempt: u32, parts: &[Part]) -> Vec<Token> {
    let mut rows = pseudo(image, attempt, rows_of(parts)).into_iter();
    let of = |part: &Part| match part {
        Part::Marks(tokens) => tokens.clone(),
        Part::Rows(count) => rows.by_ref().take(*count).collect(),
    };
    parts.iter().flat_map(of).collect()
}

/// How many rows there are.
pub(super) fn rows_of(parts: &[Part]) -> usize {
    parts.iter().map(|part| if let Part::Rows(count) = part { *count } else { 0 }).sum()
}

/// An image that was looked at.
#[derive(Debug)]
pub(crate) struct Picture {
    /// What stands for it in a prompt.
    pub(crate) tokens: Vec<Token>,
    /// Its rows, one after the other.
    rows: Vec<f32>,
}

impl Picture {
    fn bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.tokens) * 12
    }
}

/// All pictures that calls need, and others.
#[derive(Debug)]
pub(crate) struct Gallery {
    /// Numbers in a row.
    width: usize,
    /// Most bytes of pictures, but for what a single call needs.
    limit: usize,
    walls: Mutex<Walls>,
}

#[derive(Debug, Default)]
struct Walls {
    pictures: HashMap<Digest, (Arc<Picture>, u64)>,
    /// Where the row of a pseudo-token is.
    places: HashMap<Token, (Digest, u32)>,
    /// Counts visits, so that the picture that was not looked at for longest goes first.
    visits: u64,
}

impl Gallery {
    /// Room for about `limit` bytes of pictures with rows of `width` numbers.
    pub(crate) fn new(width: usize, limit: usize) -> Self {
        Self { width, limit, walls: Mutex::default() }
    }

    /// A picture that hangs here.
    pub(crate) fn find(&self, image: &Digest) -> Option<Arc<Picture>> {
        let mut walls = self.walls();
        walls.visits += 1;
        let visits = walls.visits;
        let (picture, seen) = walls.pictures.get_mut(image)?;
        *seen = visits;
        Some(Arc::clone(picture))
    }

    /// Hangs a picture up; it stays as long as somebody holds it, and longer if there is room.
    pub(crate) fn hang(&self, image: Digest, parts: &[Part], rows: Vec<f32>) -> Arc<Picture> {
        let mut walls = self.walls();
        let fresh = |tokens: &Vec<Token>| {
            let mut own = HashSet::new();
            let mut rows = tokens.iter().filter(|token| is_pseudo(**token));
            rows.all(|token| own.insert(*token) && !walls.places.contains_key(token))
        };
        // One attempt is enough, but once in millions of images.
        let attempts = (0..u32::MAX).map(|attempt| tokens(&image, attempt, parts));
        let tokens = attempts.into_iter().find(fresh).unwrap_or_default();
        let pseudo: Vec<Token> = tokens.iter().copied().filter(|token| is_pseudo(*token)).collect();
        walls.places.extend((0..).zip(pseudo).map(|(row, token)| (token, (image, row))));
        let picture = Arc::new(Picture { tokens, rows });
        walls.visits += 1;
        let visits = walls.visits;
        walls.pictures.insert(image, (Arc::clone(&picture), visits));
        walls.clear(self.limit);
        picture
    }

    /// Whether calls hold so much that others must wait.
    pub(crate) fn crowded(&self) -> bool {
        let walls = self.walls();
        let held = walls.pictures.values().filter(|(picture, _)| Arc::strong_count(picture) > 1);
        held.map(|(picture, _)| picture.bytes()).sum::<usize>() > self.limit
    }

    /// Writes the rows of these pseudo-tokens one after the other; tells whether all hang here.
    pub(crate) fn copy_rows(&self, tokens: impl Iterator<Item = Token>, rows: &mut Vec<f32>) -> bool {
        rows.clear();
        let walls = self.walls();
        for token in tokens {
            let row = walls.places.get(&token).and_then(|(image, row)| {
                let (picture, _) = walls.pictures.get(image)?;
                picture.rows.get(*row as usize * self.width..)?.get(..self.width)
            });
            match row {
                Some(row) => rows.extend_from_slice(row),
                None => return false,
            }
        }
        true
    }

    fn walls(&self) -> MutexGuard<'_, Walls> {
        self.walls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Walls {
    /// Takes down what nobody holds until the rest is within the limit.
    fn clear(&mut self, limit: usize) {
        let mut bytes: usize = self.pictures.values().map(|(picture, _)| picture.bytes()).sum();
        while bytes > limit {
            let free = self.pictures.iter().filter(|(_, (picture, _))| Arc::strong_count(picture) == 1);
            let Some(oldest) = free.min_by_key(|(_, (_, seen))| *seen).map(|(image, _)| *image) else {
                return;
            };
            if let Some((picture, _)) = self.pictures.remove(&oldest) {
                bytes -= picture.bytes();
                for token in &picture.tokens {
                    self.places.remove(token);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::digest;

    const PARTS: [Part; 3] = [Part::Marks(Vec::new()), Part::Rows(2), Part::Rows(1)];

    fn image(number: u8) -> Digest {
        digest(b"", &[number])
    }

    fn hang(gallery: &Gallery, number: u8) -> Arc<Picture> {
        gallery.hang(image(number), &PARTS, vec![f32::from(number); 6])
    }

    #[test]
    fn rows_are_found_by_their_tokens() {
        let gallery = Gallery::new(2, 1 << 20);
        let parts = [Part::Marks(vec![7, 8]), Part::Rows(2), Part::Marks(vec![9]), Part::Rows(1)];
        let picture = gallery.hang(image(1), &parts, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let [7, 8, first, second, 9, third] = picture.tokens[..] else { panic!("{:?}", picture.tokens) };
        let mut rows = Vec::new();
        assert!(gallery.copy_rows([third, first].into_iter(), &mut rows));
        assert_eq!(rows, [5.0, 6.0, 1.0, 2.0]);
        assert!(!gallery.copy_rows([second, 7].into_iter(), &mut rows), "a mark has no row");
        assert!(Arc::ptr_eq(&picture, &gallery.find(&image(1)).unwrap()));
        assert!(gallery.find(&image(2)).is_none());
    }

    #[test]
    fn what_is_held_stays_and_of_the_rest_what_was_seen_last() {
        let one = Gallery::new(2, 0).hang(image(0), &PARTS, vec![0.0; 6]).bytes();
        let gallery = Gallery::new(2, 2 * one);
        let held = hang(&gallery, 1);
        drop(hang(&gallery, 2));
        drop(hang(&gallery, 3));
        assert!(gallery.find(&image(2)).is_none() && gallery.find(&image(3)).is_some());
        let others = [hang(&gallery, 4), hang(&gallery, 5)];
        assert!(gallery.crowded(), "three are held, and there is room for two");
        assert!(gallery.copy_rows(held.tokens.iter().copied(), &mut Vec::new()));
        drop((others, held));
        assert!(!gallery.crowded());
        let walls = gallery.walls();
        let rows: usize = walls.pictures.values().map(|(picture, _)| picture.tokens.len()).sum();
        assert_eq!(walls.places.len(), rows, "no place leads to what is gone");
    }

    #[test]
    fn two_pictures_never_have_a_number_in_common() {
        let gallery = Gallery::new(2, 1 << 20);
        let usual = tokens(&image(1), 0, &PARTS);
        // As if another image had the same number, which takes millions of them.
        gallery.walls().places.insert(usual[2], (image(9), 0));
        let picture = hang(&gallery, 1);
        assert_eq!(picture.tokens, tokens(&image(1), 1, &PARTS));
        assert_eq!(hang(&Gallery::new(2, 0), 1).tokens, usual);
    }
}
