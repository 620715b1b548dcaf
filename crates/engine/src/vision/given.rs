//! An image as the client gave it: its bytes, or why there are none to be had.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use message::{ErrorKind, Failure, Media, MediaSource};

/// Most images in one call: Anthropic's limit, the lowest of the vendors'.
pub(crate) const MAX_IMAGES: usize = 100;
/// Most bytes of one image: OpenAI's limit, the highest of the vendors'.
const MAX_BYTES: usize = 20 << 20;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An image of a conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    base64: &'a str,
}

impl<'a> Given<'a> {
    /// Refuses what is not in the request.
    pub(crate) fn read(media: &'a Media, path: &str) -> Result<Self, Failure> {
        let elsewhere = match &media.source {
            MediaSource::Base64(base64) => return Ok(Self { base64 }),
            MediaSource::Url(_) => "models served here fetch nothing from a URL",
            MediaSource::Text(_) => "an image is no text",
            MediaSource::Reference(_) => "models served here have no files to look it up in",
        };
        let message = format!("{path}: {elsewhere}; send the image's bytes in the request, as base64");
        Err(Failure::new(ErrorKind::Unsupported, message).with_param(path.to_owned()))
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, String> {
        if self.base64.len() / 4 * 3 > MAX_BYTES {
            return Err(format!("an image may have at most {} MiB", MAX_BYTES >> 20));
        }
        BASE64.decode(self.base64).map_err(|error| format!("the image is not valid base64: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(source: MediaSource) -> Media {
        Media { media_type: Some("image/png".into()), name: None, source }
    }

    #[test]
    fn only_what_is_in_the_request_can_be_seen() {
        let url = media(MediaSource::Url("https://example.com/a.png".into()));
        let refused = Given::read(&url, "messages.0.content.1").unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Unsupported);
        assert!(refused.message.contains("base64"), "it says what to do: {}", refused.message);
        let here = media(MediaSource::Base64("aGk=".into()));
        assert_eq!(Given::read(&here, "").unwrap().bytes().unwrap(), b"hi");
    }

    #[test]
    fn bytes_that_are_none_or_too_many_are_told() {
        let bytes = |base64: &str| {
            let media = media(MediaSource::Base64(base64.into()));
            Given::read(&media, "").unwrap().bytes()
        };
        assert_eq!(bytes("aGk").unwrap(), b"hi", "some clients leave the padding out");
        assert!(bytes("a*b").unwrap_err().contains("base64"));
        assert!(bytes(&"A".repeat(MAX_BYTES / 3 * 4 + 8)).unwrap_err().contains("20 MiB"));
    }
}
