//! Models written again, and what a disk and another process do to that.

use std::io::Write as _;

use tempfile::TempDir;
use time::OffsetDateTime;

use super::*;
use crate::gguf::tests::{file as gguf, model};
use crate::gguf::{TensorType, Value};
use crate::quantize::{decode, recode};
use crate::{Record, fastest, find};

const SMALL: Machine = Machine { avx2: true, cores: 2, memory_bytes: None };

fn settings() -> Settings {
    Settings { free_space: |_| Ok(u64::MAX), ..Settings::from_env() }
}

/// A models folder with a model `m`, of the kind that is slow on some machines.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, &model("tiny"));
    folder
}

/// Puts a model there as `pull` does.
fn put(folder: &TempDir, bytes: &[u8]) {
    let path = folder.path();
    fs::write(local::file(path, "m"), bytes).unwrap();
    let record = Record {
        source: "test".into(),
        sha256: Digest::of(Sha256::new_with_prefix(bytes)),
        verified: true,
        size_bytes: bytes.len() as u64,
        license: Some("MIT".into()),
        derived_from: None,
        pulled_at: OffsetDateTime::UNIX_EPOCH,
    };
    fs::write(local::record_path(path, "m"), serde_json::to_vec(&record).unwrap()).unwrap();
}

fn derive(folder: &TempDir, wish: Wish) -> Result<Derived, PullError> {
    derive_on(SMALL, folder.path(), "m", wish, &settings(), &mut ())
}

fn made(derived: Result<Derived, PullError>) -> LocalModel {
    match derived {
        Ok(Derived::Made(model)) => model,
        other => panic!("{other:?}"),
    }
}

/// What is in `derived/`, by name.
fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("derived")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != local::PARTIAL).collect();
    names.sort();
    names
}

#[test]
fn only_slow_tensors_change_and_the_rest_is_kept() {
    let folder = folder();
    let made = made(derive(&folder, Wish::Fastest));
    assert_eq!(names(&folder), ["m.q8_0.gguf", "m.q8_0.json"]);
    assert_eq!(made.sha256, Digest::of(Sha256::new_with_prefix(fs::read(&made.path).unwrap())));

    let (from, to) = (Gguf::open(&folder.path().join("m.gguf")).unwrap(), Gguf::open(&made.path).unwrap());
    let kinds = |gguf: &Gguf| gguf.tensors().iter().map(|tensor| tensor.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&from), [TensorType::Q4_1, TensorType::F32]);
    assert_eq!(kinds(&to), [TensorType::Q8_0, TensorType::F32]);
    let bytes = |gguf: &Gguf, path: &Path, index: usize| {
        let tensor = &gguf.tensors()[index];
        fs::read(path).unwrap()[tensor.start as usize..][..tensor.bytes as usize].to_vec()
    };
    let source = folder.path().join("m.gguf");
    assert_eq!(bytes(&from, &source, 1), bytes(&to, &made.path, 1));
    let recoded = recode(&bytes(&from, &source, 0), TensorType::Q4_1, TensorType::Q8_0).unwrap();
    assert_eq!(recoded, bytes(&to, &made.path, 0));

    for (key, value) in from.settings() {
        assert_eq!(to.get(key), Some(value), "{key}");
    }
    assert_eq!(to.get("general.file_type").unwrap().as_u64(), Some(7));
    let sha256 = Digest::of(Sha256::new_with_prefix(fs::read(&source).unwrap())).to_string();
    assert_eq!(to.get(DERIVED_FROM).unwrap().as_str(), Some(&*sha256));
    let record = local::record(&folder.path().join("derived"), "m.q8_0").unwrap();
    assert_eq!((record.license.as_deref(), record.derived_from), (Some("MIT"), sha256.parse().ok()));
}

/// Eight bits hold what four held: an error below one part in 254 of a block's largest.
#[test]
fn next_to_nothing_is_lost() {
    let settings = [("general.architecture", Value::from("llama"))];
    for kind in [TensorType::Q4_1, TensorType::Q5_0, TensorType::Q5_1] {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = gguf(&settings, &[("a.weight", &[64, 64], kind)]);
        let (start, block_bytes) =
            (bytes.len() - kind.bytes(64 * 64).unwrap() as usize, kind.block().1 as usize);
        // Scales and minima as models have them; the rest of a block may be anything.
        for (index, block) in bytes[start..].chunks_mut(block_bytes).enumerate() {
            block[..2].copy_from_slice(&half::f16::from_f32(0.001 * (index + 1) as f32).to_le_bytes());
            block[2..4].copy_from_slice(&half::f16::from_f32(-0.02 * index as f32).to_le_bytes());
        }
        put(&folder, &bytes);
        let decoded = |path: &Path| {
            let info = Gguf::open(path).unwrap().tensors()[0].clone();
            let mut numbers = vec![0.0; info.elements() as usize];
            let bytes = fs::read(path).unwrap();
            decode(info.kind, &bytes[info.start as usize..][..info.bytes as usize], &mut numbers).unwrap();
            numbers
        };
        let from = decoded(&folder.path().join("m.gguf"));
        let to = decoded(&made(derive(&folder, Wish::Fastest)).path);
        for (from, to) in from.chunks(32).zip(to.chunks(32)) {
            let largest = from.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
            // The scale itself is rounded to eleven bits.
            let bound = largest * (1.0 / 254.0 + 1.0 / 2048.0) + f32::MIN_POSITIVE;
            assert!(from.iter().zip(to).all(|(a, b)| (a - b).abs() <= bound), "{kind}");
        }
    }
}

#[test]
fn the_derived_file_is_used_while_it_is_of_the_file_that_is_here() {
    let folder = folder();
    let path = folder.path();
    assert_eq!(fastest(path, "m"), find(path, "m"));
    let derived = made(derive(&folder, Wish::Fastest)).path;
    assert_eq!(fastest(path, "m"), Some(derived.clone()));
    assert_eq!(find(path, "m"), Some(path.join("m.gguf")));
    assert!(matches!(derive(&folder, Wish::Fastest), Ok(Derived::Here(model)) if model.path == derived));

    put(&folder, &model("another"));
    assert_eq!(fastest(path, "m"), Some(path.join("m.gguf")), "it was made of another file");
    let derived = made(derive(&folder, Wish::Fastest)).path;
    assert_eq!(fastest(path, "m"), Some(derived.clone()));

    fs::OpenOptions::new().append(true).open(&derived).unwrap().write_all(b"x").unwrap();
    assert_eq!(fastest(path, "m"), Some(path.join("m.gguf")), "it is damaged");
    assert!(underive(path, "m", &mut ()).unwrap());
    assert!(!underive(path, "m", &mut ()).unwrap());
    assert_eq!((names(&folder), fastest(path, "m")), (vec![], Some(path.join("m.gguf"))));
}

#[test]
fn a_file_put_there_by_hand_is_told_from_its_successor_by_its_age() {
    let folder = folder();
    let path = folder.path();
    fs::remove_file(local::record_path(path, "m")).unwrap();
    let derived = made(derive(&folder, Wish::Fastest)).path;
    assert_eq!(fastest(path, "m"), Some(derived.clone()));
    let later = modified(&derived) + std::time::Duration::from_secs(1);
    File::options().write(true).open(path.join("m.gguf")).unwrap().set_modified(later).unwrap();
    assert_eq!(fastest(path, "m"), Some(path.join("m.gguf")));
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn nothing_is_made_where_nothing_is_gained() {
    let needless = |machine: Machine, bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        put(&folder, bytes);
        let derived = derive_on(machine, folder.path(), "m", Wish::Fastest, &settings(), &mut ());
        assert_eq!(names(&folder), Vec::<String>::new());
        match derived {
            Ok(Derived::Needless(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let slow = model("tiny");
    assert!(needless(Machine { avx2: false, ..SMALL }, &slow).contains("this processor"));
    assert!(needless(Machine { cores: 16, ..SMALL }, &slow).contains("16 cores"));
    assert!(needless(Machine { memory_bytes: Some(1000), ..SMALL }, &slow).contains("too much"));
    let settings = [("general.architecture", Value::from("llama"))];
    let fast = gguf(&settings, &[("a.weight", &[256, 2], TensorType::Q4_K)]);
    assert!(needless(SMALL, &fast).contains("none of its tensors"));
    let mixed = gguf(
        &settings,
        &[("a.weight", &[256, 9], TensorType::Q4_K), ("b.weight", &[256, 1], TensorType::Q4_1)],
    );
    assert!(needless(SMALL, &mixed).contains("any machine"));
}

#[test]
fn asked_for_every_matrix_changes() {
    let settings = [("general.architecture", Value::from("llama"))];
    let tensors: [(&str, &[u64], TensorType); 5] = [
        ("a.weight", &[256, 2], TensorType::Q6_K),
        ("b.weight", &[32, 2], TensorType::F16),
        ("c.weight", &[32, 2], TensorType::F32),
        ("d.weight", &[33, 2], TensorType::BF16),
        ("e.bias", &[32], TensorType::F16),
    ];
    let folder = tempfile::tempdir().unwrap();
    put(&folder, &gguf(&settings, &tensors));
    let made = Gguf::open(&made(derive(&folder, Wish::Q8_0)).path).unwrap();
    let kinds: Vec<_> = made.tensors().iter().map(|tensor| tensor.kind).collect();
    use TensorType::{BF16, F16, F32, Q8_0};
    assert_eq!(kinds, [Q8_0, Q8_0, F32, BF16, F16]);

    put(&folder, &gguf(&settings, &[("a.weight", &[256, 2], TensorType::IQ3_S)]));
    let error = derive(&folder, Wish::Q8_0).unwrap_err().to_string();
    assert!(error.contains("IQ3_S"), "{error}");
}

#[test]
fn what_goes_wrong_leaves_the_model_as_it_was() {
    let folder = folder();
    let full = Settings { free_space: |_| Ok(100), ..settings() };
    let error = derive_on(SMALL, folder.path(), "m", Wish::Fastest, &full, &mut ()).unwrap_err();
    assert!(matches!(error, PullError::DiskFull { .. }), "{error}");
    assert_eq!(fastest(folder.path(), "m"), Some(folder.path().join("m.gguf")));
    let partial = fs::read_dir(folder.path().join("derived").join(local::PARTIAL)).unwrap();
    assert_eq!(partial.count(), 0);

    let absent = derive_on(SMALL, folder.path(), "n", Wish::Fastest, &settings(), &mut ()).unwrap_err();
    assert!(absent.to_string().contains("outcrop pull n"), "{absent}");
    let outside = derive_on(SMALL, folder.path(), "../m", Wish::Fastest, &settings(), &mut ()).unwrap_err();
    assert!(outside.to_string().contains("no id"), "{outside}");
    put(&folder, b"GGUF, but not really, and long enough for a head");
    assert!(matches!(derive(&folder, Wish::Fastest), Err(PullError::NotAModel { .. })));
    let settings = [("split.count", Value::from(2))];
    put(&folder, &gguf(&settings, &[("a.weight", &[32, 2], TensorType::Q4_1)]));
    assert!(derive(&folder, Wish::Q8_0).unwrap_err().to_string().contains("split"));
}

#[test]
fn of_two_at_once_one_makes_it_and_the_other_finds_it() {
    let folder = folder();
    let derived: Vec<_> = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(|| derive(&folder, Wish::Fastest).unwrap()));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(derived.iter().filter(|derived| matches!(derived, Derived::Made(_))).count(), 1);
    assert_eq!(derived.iter().filter(|derived| matches!(derived, Derived::Here(_))).count(), 3);
}
