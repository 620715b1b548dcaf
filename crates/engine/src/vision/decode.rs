//! From a file's bytes to pixels, within limits and in safe code: a client's image is read
//! here and not by llama.cpp's C readers.
//!
//! PNG, JPEG, WebP and GIF (its first picture), whatever the client calls them: the bytes
//! decide. The size is read from the head and refused before a pixel is; what is transparent
//! is put on white, since models know no transparency and dark words on it would vanish on
//! black; a photo is turned the way its camera was held.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

/// Longest side, in pixels: the vendors' limit.
const MAX_SIDE: u32 = 8000;
/// Most pixels: a 32-megapixel photo, 96 MiB of them decoded.
const MAX_PIXELS: u64 = 32 << 20;
/// Longest side over the shortest: what is scaled to a model's size would have no pixel left.
const MAX_RATIO: u32 = 100;
/// Most memory a decoder may ask for, in bytes: sixteen bits of four channels for each pixel.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8;

/// A picture, three bytes a pixel (red, green, blue), row by row.
pub(crate) type Pixels = RgbImage;

/// Reads a picture, or tells why not.
pub(crate) fn decode(bytes: &[u8]) -> Result<Pixels, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| format!("the image cannot be read: {error}"))?;
    let known = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif];
    if !reader.format().is_some_and(|format| known.contains(&format)) {
        return Err("these bytes are no image that can be read; send a PNG, JPEG, WebP or GIF".to_owned());
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let damaged = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => {
            format!("the image is too large: at most {MAX_SIDE} pixels a side; scale it down")
        }
        error => format!("the image is damaged: {error}"),
    };
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let most = MAX_PIXELS >> 20;
        return Err(format!(
            "the image has {width} x {height} pixels, at most {most} million are read; scale it down"
        ));
    }
    if width.max(height) > width.min(height).saturating_mul(MAX_RATIO) {
        return Err(format!(
            "the image has {width} x {height} pixels, at most {MAX_RATIO} times as long as wide are read"
        ));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(on_white(picture))
}

fn on_white(picture: DynamicImage) -> Pixels {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let mut pixels = Pixels::new(picture.width(), picture.height());
    for (to, from) in pixels.pixels_mut().zip(picture.pixels()) {
        let [red, green, blue, alpha] = from.0.map(u16::from);
        let over = |part: u16| ((part * alpha + 255 * (255 - alpha)) / 255) as u8;
        *to = Rgb([red, green, blue].map(over));
    }
    pixels
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageEncoder, Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    fn written(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn picture() -> RgbImage {
        RgbImage::from_fn(20, 10, |x, y| Rgb([(x * 12) as u8, (y * 25) as u8, 90]))
    }

    #[test]
    fn every_format_gives_the_same_picture() {
        assert_eq!(decode(&written(picture(), ImageFormat::Png)).unwrap(), picture());
        assert_eq!(decode(&written(picture(), ImageFormat::WebP)).unwrap(), picture());
        for lossy in [ImageFormat::Jpeg, ImageFormat::Gif] {
            let read = decode(&written(picture(), lossy)).unwrap();
            assert_eq!(read.dimensions(), (20, 10));
            let apart = |(a, b): (&u8, &u8)| a.abs_diff(*b) > 40;
            let off = read.iter().zip(picture().iter()).filter(|&(a, b)| apart((a, b))).count();
            assert!(off < 20, "{lossy:?}: {off} of 600 are far off");
        }
    }

    #[test]
    fn grey_is_a_colour_and_the_transparent_is_white() {
        let grey = GrayImage::from_pixel(3, 3, image::Luma([7]));
        assert_eq!(decode(&written(grey, ImageFormat::Png)).unwrap().get_pixel(1, 1).0, [7, 7, 7]);
        let clear = RgbaImage::from_fn(2, 1, |x, _| Rgba([10, 20, 30, if x == 0 { 0 } else { 255 }]));
        let read = decode(&written(clear, ImageFormat::Png)).unwrap();
        assert_eq!((read.get_pixel(0, 0).0, read.get_pixel(1, 0).0), ([255, 255, 255], [10, 20, 30]));
    }

    #[test]
    fn what_is_no_image_is_told_so() {
        for bytes in [&b""[..], b"GIF", b"hello, world", b"%PDF-1.7", b"BM\0\0\0\0\0\0\0\0\0\0\0\0"] {
            assert!(decode(bytes).unwrap_err().contains("PNG, JPEG, WebP or GIF"), "{bytes:?}");
        }
        let whole = written(picture(), ImageFormat::Png);
        for cut in [9, 30, whole.len() / 2] {
            assert!(decode(&whole[..cut]).unwrap_err().contains("damaged"), "cut at {cut}");
        }
    }

    /// A PNG's head that promises so much, and nothing behind it.
    fn promise(width: u32, height: u32) -> Vec<u8> {
        let mut head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        head.extend(width.to_be_bytes().into_iter().chain(height.to_be_bytes()).chain([8, 6, 0, 0, 0]));
        let sum = crc32fast::hash(&head[12..]);
        head.extend(sum.to_be_bytes());
        head.extend(b"\0\0\0\0IDAT");
        head.extend(crc32fast::hash(b"IDAT").to_be_bytes());
        head
    }

    #[test]
    fn a_bomb_is_refused_by_its_head() {
        let began = std::time::Instant::now();
        assert!(decode(&promise(8001, 100)).unwrap_err().contains("at most 8000 pixels a side"));
        assert!(decode(&promise(8000, 79)).unwrap_err().contains("100 times"));
        assert!(decode(&promise(8000, 8000)).unwrap_err().contains("scale it down"));
        assert!(decode(&promise(u32::MAX, u32::MAX)).is_err());
        assert!(began.elapsed().as_millis() < 500, "nothing was unpacked");
    }

    #[test]
    fn a_photo_is_turned_as_its_camera_was_held() {
        // EXIF with one entry, orientation 6: to be turned right.
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(std::mem::take(&mut exif)).unwrap();
        encoder.write_image(&picture(), 20, 10, image::ExtendedColorType::Rgb8).unwrap();
        assert_eq!(decode(&bytes).unwrap().dimensions(), (10, 20));
    }

    proptest! {
        #[test]
        fn damage_is_an_error_or_another_picture_and_never_a_panic(
            format in prop::sample::select(vec![
                ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif,
            ]),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = written(picture(), format);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            if let Ok(read) = decode(&bytes) {
                prop_assert!(read.width() <= MAX_SIDE && read.height() <= MAX_SIDE);
            }
        }
    }
}
