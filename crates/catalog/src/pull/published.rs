//! A model out of a folder of this machine, as model hubs publish them: converted.

use std::path::Path;

use super::Errand;
use crate::convert::{Unconverted, published};
use crate::fetch::{disk_error, room};
use crate::place::{Output, Provenance};
use crate::{Action, LocalModel, Precision, PullError, Step};

/// Writes the model in the folder as GGUF.
pub(super) fn from_folder(
    folder: &Path,
    precision: Precision,
    errand: Errand<'_>,
) -> Result<LocalModel, PullError> {
    let Errand { place, settings, progress } = errand;
    let not = |why: String| PullError::NotConverted { path: folder.to_owned(), why };
    let conversion = published(folder, precision, place.id()).map_err(not)?;
    let total_bytes = conversion.file_bytes();
    let (mut staged, file) = place.stage()?;
    let made = (|| {
        room(settings, &staged.path, total_bytes)?;
        progress.step(Step::Begin {
            action: Action::Convert,
            name: place.id(),
            done_bytes: 0,
            total_bytes: Some(total_bytes),
        });
        let mut output = Output::new(file, progress);
        conversion.write(&mut output).map_err(|unconverted| match unconverted {
            Unconverted::Files(why) => not(why),
            Unconverted::Disk(error) => disk_error(settings, &staged.path, error),
        })?;
        staged.sha256 = output.finish().1;
        let source = folder.display().to_string();
        let provenance = Provenance { source: &source, license: None, derived_from: None };
        place.install(staged, &provenance).map_err(|trouble| trouble.of_file(folder))
    })();
    if made.is_err() {
        place.clear();
    }
    made
}
