//! Looks at images: bytes → pixels → rows, and remembers what it saw.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::gallery::{Part, rows_of, tokens};
use super::{Digest, Gallery, Given, Picture, Pixels, decode, digest};
use crate::vocabulary::Token;

/// How often a call that waits for room looks again.
const LOOK: Duration = Duration::from_millis(20);

/// The second model, that makes rows of pixels; implemented by the backend.
pub(crate) trait Projector: Send {
    /// How a picture will stand in a prompt; cheap beside the next.
    fn parts(&mut self, pixels: &Pixels) -> Result<Vec<Part>, String>;

    /// The rows of the picture whose parts were asked for last, all of them.
    fn rows(&mut self) -> Result<Vec<f32>, String>;
}

/// What it takes to look at images.
pub(crate) struct Sight {
    projector: Mutex<Box<dyn Projector>>,
    /// What tells this projector from another.
    name: Vec<u8>,
    gallery: Arc<Gallery>,
}

impl Sight {
    /// With this projector, whose file is known as `name`; what it sees hangs in `gallery`.
    pub(crate) fn new(projector: Box<dyn Projector>, name: Vec<u8>, gallery: Arc<Gallery>) -> Self {
        Self { projector: Mutex::new(projector), name, gallery }
    }

    /// Waits while other calls hold as much as may be held; `gone` tells that nobody waits.
    pub(crate) fn wait_for_room(&self, gone: &dyn Fn() -> bool) {
        while self.gallery.crowded() && !gone() {
            std::thread::sleep(LOOK);
        }
    }

    /// Looks at an image, for no more than `most` tokens.
    pub(crate) fn look(&self, given: &Given<'_>, most: usize) -> Result<Arc<Picture>, Unseen> {
        let bytes = given.bytes()?;
        let image = digest(&self.name, &bytes);
        if let Some(picture) = self.gallery.find(&image) {
            return Ok(picture);
        }
        let mut projector = self.projector.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = projector.parts(&decode(&bytes)?)?;
        check(&image, &parts, most)?;
        let rows = projector.rows()?;
        Ok(self.gallery.hang(image, &parts, rows))
    }

    /// How many tokens an image has, if it were looked at.
    pub(crate) fn measure(&self, given: &Given<'_>, most: usize) -> Result<Vec<Token>, Unseen> {
        let bytes = given.bytes()?;
        let image = digest(&self.name, &bytes);
        if let Some(picture) = self.gallery.find(&image) {
            return Ok(picture.tokens.clone());
        }
        let mut projector = self.projector.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = projector.parts(&decode(&bytes)?)?;
        check(&image, &parts, most)
    }
}

/// Why an image was not looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// It cannot be.
    Image(String),
    /// It has so many tokens, too many.
    Long(usize),
}

impl From<String> for Unseen {
    fn from(why: String) -> Self {
        Self::Image(why)
    }
}

fn check(image: &Digest, parts: &[Part], most: usize) -> Result<Vec<Token>, Unseen> {
    if rows_of(parts) > most {
        return Err(Unseen::Long(rows_of(parts)));
    }
    Ok(tokens(image, 0, parts))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base64::Engine as _;
    use message::{Media, MediaSource};

    use super::*;

    /// Two rows for a picture, of its size; counts the pictures it worked on.
    struct Sizes(Arc<AtomicUsize>, f32);

    impl Projector for Sizes {
        fn parts(&mut self, pixels: &Pixels) -> Result<Vec<Part>, String> {
            self.1 = pixels.width() as f32;
            Ok(vec![Part::Marks(vec![5]), Part::Rows(2)])
        }

        fn rows(&mut self) -> Result<Vec<f32>, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(vec![self.1; 2])
        }
    }

    fn png(width: u32) -> Media {
        let mut bytes = std::io::Cursor::new(Vec::new());
        Pixels::new(width, 2).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        let base64 = base64::prelude::BASE64_STANDARD.encode(bytes.into_inner());
        Media { media_type: None, name: None, source: MediaSource::Base64(base64) }
    }

    #[test]
    fn an_image_is_worked_on_once() {
        let (worked, gallery) = (Arc::new(AtomicUsize::new(0)), Arc::new(Gallery::new(1, 1 << 20)));
        let sight =
            Sight::new(Box::new(Sizes(Arc::clone(&worked), 0.0)), b"p".to_vec(), Arc::clone(&gallery));
        let (one, other) = (png(3), png(4));
        let look = |media, most| sight.look(&Given::read(media, "").unwrap(), most);
        let measured = sight.measure(&Given::read(&one, "").unwrap(), 10).unwrap();
        assert_eq!(worked.load(Ordering::Relaxed), 0, "to count is cheap");
        let seen = look(&one, 10).unwrap();
        assert_eq!(seen.tokens, measured);
        assert_eq!(look(&one, 10).unwrap().tokens, measured);
        assert_eq!(worked.load(Ordering::Relaxed), 1);
        assert_ne!(look(&other, 10).unwrap().tokens, measured);
        let mut rows = Vec::new();
        assert!(gallery.copy_rows(seen.tokens[1..].iter().copied(), &mut rows) && rows == [3.0, 3.0]);
        assert_eq!(look(&png(9), 1).unwrap_err(), Unseen::Long(2));
    }
}
