//! "No such model" that helps: names that come near, or all of them when they are few.

use message::{ErrorKind, Failure};

use super::Targets;

/// Most names suggested.
const SUGGESTIONS_MAX: usize = 3;
/// With at most this many models, all are listed when nothing comes near.
const LISTED_MAX: usize = 8;
/// How near a name must come, 0 to 1 (Jaro-Winkler): typos and missing suffixes do,
/// another model of the same vendor does not.
const SIMILARITY_MIN: f64 = 0.8;
/// Longest name compared and echoed, in bytes; comparing is quadratic.
const COMPARED_MAX_BYTES: usize = 256;
/// Most names compared: the cost of a stranger's typo stays under a millisecond.
const CANDIDATES_MAX: usize = 1000;

/// The failure for a name no target goes by.
pub(super) fn not_found(name: &str, targets: &Targets) -> Failure {
    let failure = |message| Failure::new(ErrorKind::NotFound, message).with_param("model");
    if name.len() > COMPARED_MAX_BYTES {
        return failure(format!(
            "no model goes by a name of {} bytes; list the models to see their names",
            name.len()
        ));
    }
    let near = near(name, targets);
    let count = targets.names().count();
    let advice = match (near.as_slice(), count) {
        ([], 0) => {
            "no model is configured here; `outcrop pull` fetches one, `outcrop.toml` adds hosted ones".into()
        }
        ([], 1..=LISTED_MAX) => format!("available: {}", targets.names().collect::<Vec<_>>().join(", ")),
        ([], _) => "list the models to see their names".into(),
        (near, _) => format!("did you mean {}?", near.join(", ")),
    };
    failure(format!("model '{name}' not found; {advice}"))
}

fn near<'a>(name: &str, targets: &'a Targets) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<_> = targets
        .names()
        .take(CANDIDATES_MAX)
        .filter(|candidate| candidate.len() <= COMPARED_MAX_BYTES)
        .map(|candidate| (similarity(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(SUGGESTIONS_MAX).map(|(_, candidate)| candidate).collect()
}

/// Of the whole names, or of the candidate's part behind its provider.
fn similarity(wanted: &str, candidate: &str) -> f64 {
    let whole = strsim::jaro_winkler(wanted, candidate);
    match candidate.split_once('/') {
        Some((_, bare)) => whole.max(strsim::jaro_winkler(wanted, bare)),
        None => whole,
    }
}
