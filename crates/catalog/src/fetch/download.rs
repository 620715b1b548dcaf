//! One file from one address, resumed until it is whole, hashed as it comes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::thread;

use sha2::{Digest as _, Sha256};
use ureq::http::header::{self, HeaderMap};
use url::Url;

use super::part::{Part, Tag};
use super::{Answer, Client, Get, shown_url, status, unreachable};
use crate::settings::{Settings, Token};
use crate::{Action, Digest, Progress, PullError, SourceError, Step};

/// Most times in a row a download is taken up again without a new byte.
const FRUITLESS_MAX: u32 = 4;
/// Most times it is taken up again at all: a source that hands out a byte a time is of no use.
const RESUMES_MAX: u32 = 100;
/// Room left free on the disk beside the model, in bytes: a full disk breaks more than us.
const RESERVE_BYTES: u64 = 256 << 20;
/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// One file to download.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client,
    pub(crate) url: Url,
    pub(crate) token: Option<&'a Token>,
    /// What to call it to the user.
    pub(crate) name: &'a str,
    /// Its size, if known beforehand.
    pub(crate) size_bytes: Option<u64>,
    /// Its hash, if known beforehand.
    pub(crate) sha256: Option<Digest>,
    /// Bytes needed on the same disk afterwards (an unpacked wheel).
    pub(crate) extra_bytes: u64,
    pub(crate) settings: &'a Settings,
}

/// A failure: of the source, so that the next may be tried, or of this machine.
pub(crate) enum Trouble {
    Source(SourceError),
    Fatal(PullError),
}

impl Trouble {
    /// As the error of a file of this machine.
    pub(crate) fn of_file(self, path: &std::path::Path) -> PullError {
        match self {
            Self::Source(SourceError::NotAModel(why)) => PullError::NotAModel { path: path.to_owned(), why },
            Self::Source(error) => PullError::NotAModel { path: path.to_owned(), why: error.to_string() },
            Self::Fatal(error) => error,
        }
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<PullError> for Trouble {
    fn from(error: PullError) -> Self {
        Self::Fatal(error)
    }
}

/// Bytes of the file here, and the state of its hash over them.
struct Received {
    bytes: u64,
    hasher: Sha256,
}

impl Download<'_> {
    /// Downloads into `part` until it is whole and verified. Tells its hash, and whether
    /// that was known beforehand (by the catalog or the source).
    pub(crate) fn run(
        &self,
        part: &mut Part,
        progress: &mut dyn Progress,
    ) -> Result<(Digest, bool), Trouble> {
        let resumed = part.len() > 0;
        let outcome = self.whole(part, progress);
        if !matches!(
            outcome,
            Err(Trouble::Source(SourceError::WrongHash { .. } | SourceError::WrongSize { .. }))
        ) {
            return outcome;
        }
        part.discard().map_err(|error| self.local(part, error))?;
        if !resumed {
            return outcome;
        }
        // What lay here may have been of another time: once more from the beginning.
        progress.step(Step::Note("the resumed download did not verify; starting over"));
        self.run(part, progress)
    }

    fn whole(&self, part: &mut Part, progress: &mut dyn Progress) -> Result<(Digest, bool), Trouble> {
        let mut received = self.rehash(part, progress)?;
        let (mut fruitless, mut resumes) = (0, 0);
        while self.total(part) != Some(received.bytes) {
            let before = received.bytes;
            let error = match self.attempt(part, &mut received, progress) {
                Ok(()) => break,
                Err(Trouble::Source(error)) if error.is_transient() => error,
                Err(trouble) => return Err(trouble),
            };
            fruitless = if received.bytes > before { 0 } else { fruitless + 1 };
            resumes += 1;
            if fruitless > FRUITLESS_MAX || resumes > RESUMES_MAX {
                return Err(error.into());
            }
            progress.step(Step::Note(&format!("{error}; going on")));
            thread::sleep(self.settings.retry_delay * 2_u32.pow(fruitless));
        }
        verify(self.sha256.or(part.tag.sha256), received)
    }

    /// The size the whole file must have.
    fn total(&self, part: &Part) -> Option<u64> {
        self.size_bytes.or(part.tag.total_bytes)
    }

    /// Hashes what is here from before.
    fn rehash(&self, part: &mut Part, progress: &mut dyn Progress) -> Result<Received, Trouble> {
        let mut received = Received { bytes: 0, hasher: Sha256::new() };
        let here = part.len();
        if here == 0 || self.total(part).is_some_and(|total| here > total) {
            part.discard().map_err(|error| self.local(part, error))?;
            return Ok(received);
        }
        let (name, total_bytes) = (self.name, Some(here));
        progress.step(Step::Begin { action: Action::Verify, name, done_bytes: 0, total_bytes });
        let mut file = File::open(part.path()).map_err(|error| self.local(part, error))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = file.read(&mut chunk).map_err(|error| self.local(part, error))?;
            if count == 0 {
                return Ok(received);
            }
            received.take(&chunk[..count]);
            progress.step(Step::Advance { done_bytes: received.bytes });
        }
    }

    /// One request: as much of the rest as it brings.
    fn attempt(
        &self,
        part: &mut Part,
        received: &mut Received,
        progress: &mut dyn Progress,
    ) -> Result<(), Trouble> {
        let answer = self.request(part, received.bytes)?;
        let (offset, total_bytes) = match answer.status {
            206 => content_range(&answer.headers)
                .ok_or_else(|| nonsense(&answer.url, "a range without its place"))?,
            // Past the end: either all is here, or what is here is of another file.
            416 if total_of_416(&answer.headers) == Some(received.bytes) => return Ok(()),
            416 => return self.start_over(part, received, &answer),
            200 => (0, content_length(&answer.headers)),
            other => return Err(status(&answer.url, other).into()),
        };
        if encoded(&answer.headers) {
            return Err(nonsense(&answer.url, "a compressed body that was not asked for").into());
        }
        if offset != received.bytes {
            if offset != 0 {
                return Err(nonsense(&answer.url, "another range than asked for").into());
            }
            *received = Received { bytes: 0, hasher: Sha256::new() };
        }
        if let (Some(expected), Some(actual)) = (self.size_bytes, total_bytes)
            && expected != actual
        {
            return Err(SourceError::WrongSize { expected, actual }.into());
        }
        let etag = strong_etag(&answer.headers);
        if offset > 0 && part.tag.etag.is_some() && part.tag.etag != etag {
            // The file changed, and the server did not mind `If-Range`.
            return self.start_over(part, received, &answer);
        }
        let tag = Tag { etag, total_bytes, sha256: answer.linked_sha256 };
        let tag = Tag { sha256: tag.sha256.or(part.tag.sha256.filter(|_| offset > 0)), ..tag };
        self.check_room(part, received.bytes, total_bytes)?;
        self.take_body(part, tag, answer, received, progress)
    }

    fn start_over(&self, part: &mut Part, received: &mut Received, answer: &Answer) -> Result<(), Trouble> {
        *received = Received { bytes: 0, hasher: Sha256::new() };
        part.discard().map_err(|error| self.local(part, error))?;
        Err(SourceError::Cut { url: shown_url(&answer.url), received_bytes: 0 }.into())
    }

    fn request(&self, part: &Part, offset: u64) -> Result<Answer, SourceError> {
        let etag = part.tag.etag.as_deref();
        // Without a validator a range is only safe where the hash is known.
        let resumes = offset > 0 && (etag.is_some() || self.sha256.or(part.tag.sha256).is_some());
        let range = resumes.then(|| format!("bytes={offset}-"));
        let if_range = etag.filter(|_| resumes);
        self.client.get(&self.url, &Get { range, if_range, token: self.token, ..Get::default() })
    }

    fn take_body(
        &self,
        part: &mut Part,
        tag: Tag,
        answer: Answer,
        received: &mut Received,
        progress: &mut dyn Progress,
    ) -> Result<(), Trouble> {
        let total_bytes = self.size_bytes.or(tag.total_bytes);
        let mut file = part.append(tag, received.bytes).map_err(|error| self.local(part, error))?;
        let (name, done_bytes) = (self.name, received.bytes);
        progress.step(Step::Begin { action: Action::Download, name, done_bytes, total_bytes });
        let mut body = answer.body.into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cut(&answer.url, received.bytes, error).into()),
            };
            let after = received.bytes + count as u64;
            if let Some(expected) = total_bytes.filter(|total| after > *total) {
                return Err(SourceError::WrongSize { expected, actual: after }.into());
            }
            file.write_all(&chunk[..count]).map_err(|error| self.local(part, error))?;
            received.take(&chunk[..count]);
            progress.step(Step::Advance { done_bytes: received.bytes });
        }
        match total_bytes {
            Some(total) if received.bytes < total => {
                Err(SourceError::Cut { url: shown_url(&answer.url), received_bytes: received.bytes }.into())
            }
            _ => Ok(()),
        }
    }

    fn check_room(&self, part: &Part, received: u64, total_bytes: Option<u64>) -> Result<(), PullError> {
        let rest = total_bytes.or(self.size_bytes).map_or(0, |total| total.saturating_sub(received));
        room(self.settings, part.path(), rest.saturating_add(self.extra_bytes))
    }

    fn local(&self, part: &Part, error: io::Error) -> PullError {
        disk_error(self.settings, part.path(), error)
    }
}

/// The hash, and whether it was known beforehand.
fn verify(expected: Option<Digest>, received: Received) -> Result<(Digest, bool), Trouble> {
    let actual = Digest::of(received.hasher);
    match expected {
        Some(expected) if expected != actual => Err(SourceError::WrongHash { expected, actual }.into()),
        expected => Ok((actual, expected.is_some())),
    }
}

impl Received {
    fn take(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
    }
}

impl SourceError {
    /// Whether taking the download up again may work.
    fn is_transient(&self) -> bool {
        match self {
            Self::Cut { .. } => true,
            Self::Unreachable { transient, .. } => *transient,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

/// Whether there is room for `more_bytes` beside `file`, and the reserve.
pub(crate) fn room(settings: &Settings, file: &std::path::Path, more_bytes: u64) -> Result<(), PullError> {
    let folder = file.parent().unwrap_or(file);
    let free_bytes =
        (settings.free_space)(folder).map_err(|source| PullError::Io { path: folder.to_owned(), source })?;
    let needed_bytes = more_bytes.saturating_add(RESERVE_BYTES);
    if free_bytes < needed_bytes {
        return Err(PullError::DiskFull { path: folder.to_owned(), needed_bytes, free_bytes });
    }
    Ok(())
}

/// An error of the disk: full, or something else.
pub(crate) fn disk_error(settings: &Settings, file: &std::path::Path, error: io::Error) -> PullError {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        let folder = file.parent().unwrap_or(file);
        let free_bytes = (settings.free_space)(folder).unwrap_or(0);
        return PullError::DiskFull { path: folder.to_owned(), needed_bytes: RESERVE_BYTES, free_bytes };
    }
    PullError::Io { path: file.to_owned(), source: error }
}

fn cut(url: &Url, received_bytes: u64, error: io::Error) -> SourceError {
    match ureq::Error::from(error) {
        ureq::Error::Protocol(_) => SourceError::Cut { url: shown_url(url), received_bytes },
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            SourceError::Cut { url: shown_url(url), received_bytes }
        }
        error => unreachable(url, &error),
    }
}

fn nonsense(url: &Url, why: &str) -> SourceError {
    SourceError::Nonsense { url: shown_url(url), why: why.into() }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

/// `bytes 5-9/10` → where it begins, and the whole size if told.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

/// `bytes */10` → 10.
fn total_of_416(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes */")?.parse().ok()
}

fn strong_etag(headers: &HeaderMap) -> Option<String> {
    text(headers, header::ETAG).filter(|etag| !etag.starts_with("W/")).map(Into::into)
}

fn encoded(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn ranges_are_read_strictly() {
        let range = |value| content_range(&headers(header::CONTENT_RANGE, value));
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */10", "bytes -5/10", "items 0-1/2", "bytes 99999999999999999999-1/2"]
        {
            assert_eq!(range(bad), None, "{bad}");
        }
        assert_eq!(total_of_416(&headers(header::CONTENT_RANGE, "bytes */10")), Some(10));
        assert_eq!(content_length(&headers(header::CONTENT_LENGTH, "-1")), None);
    }

    #[test]
    fn only_strong_validators_are_sent_back() {
        assert_eq!(strong_etag(&headers(header::ETAG, "\"a\"")).as_deref(), Some("\"a\""));
        assert_eq!(strong_etag(&headers(header::ETAG, "W/\"a\"")), None);
    }
}
