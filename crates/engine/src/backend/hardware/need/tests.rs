//! What layers take, by heads that were made up and by a real one.

use super::*;
use crate::backend::tests::model::model_path;

fn head(tensors: &[(&str, u64)]) -> Head {
    Head {
        blocks: 2,
        kv_heads: vec![3],
        key: 4,
        value: 4,
        vocabulary: 10,
        pools: false,
        tensors: tensors.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect(),
    }
}

#[test]
fn a_layer_takes_its_weights_and_its_cells() {
    let config = Config { context_tokens: 100, ..Config::default() };
    let cells = 100 * 3 * (4 + 4) * CELL_BYTES;
    let tied = [
        ("token_embd.weight", 500),
        ("blk.0.a", 1),
        ("blk.0.b", 2),
        ("blk.1.a", 5),
        ("output_norm.weight", 7),
    ];
    let taken = need(&head(&tied), &config).unwrap();
    assert_eq!(taken.layers, [cells + 3, cells + 5, 507], "the embedding is the output, too");
    assert_eq!((taken.of_last(1), taken.of_last(2)), (507, cells + 512));
    let own = [("token_embd.weight", 500), ("output.weight", 400), ("output_norm.weight", 7)];
    assert_eq!(need(&head(&own), &config).unwrap().layers, [cells, cells, 407]);
    let pools = Head { pools: true, ..head(&tied) };
    assert_eq!(need(&pools, &config).unwrap().layers, [3, 5, 507], "it keeps no cells");
    let each = Head { kv_heads: vec![1, 0], ..head(&[]) };
    assert_eq!(need(&each, &config).unwrap().layers, [cells / 3, 0, 0], "heads by layers");
}

#[test]
fn the_layers_of_a_real_model_are_all_of_its_file() {
    let path = model_path();
    let taken = of(&path, &Config { context_tokens: 0, ..Config::default() }).unwrap();
    let file = path.metadata().unwrap().len();
    let weights = taken.of_last(taken.layers.len());
    assert_eq!(taken.layers.len(), 31, "thirty, and the output");
    // Beside them a file has its vocabulary.
    assert!(weights < file && weights > file / 10 * 9, "{weights} of {file}");
    // One cell: a key and a value of 64 numbers for each of three heads and each layer.
    let more = of(&path, &Config { context_tokens: 1000, ..Config::default() }).unwrap();
    assert_eq!(more.of_last(31) - weights, 1000 * 30 * 3 * (64 + 64) * CELL_BYTES);
}

#[test]
fn a_head_may_claim_anything() {
    let huge = Head { kv_heads: vec![u64::MAX], vocabulary: u64::MAX, ..head(&[("blk.0.a", u64::MAX)]) };
    let taken = need(&huge, &Config::default()).unwrap();
    assert_eq!(taken.of_last(3), u64::MAX);
    for blocks in [0, u64::MAX] {
        assert_eq!(need(&Head { blocks, ..head(&[]) }, &Config::default()), None);
    }
}

#[test]
fn the_files_of_one_model_are_found_by_their_names() {
    let others = other_parts(Path::new("/m/big-00002-of-00003.gguf"));
    assert_eq!(others, ["/m/big-00001-of-00003.gguf", "/m/big-00003-of-00003.gguf"].map(PathBuf::from));
    assert!(other_parts(Path::new("/m/one-of-a-kind.gguf")).is_empty());
    assert!(other_parts(Path::new("/m/small.gguf")).is_empty());
}

#[test]
fn what_is_no_model_has_no_need() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, "GGUF, but nothing else").unwrap();
    assert_eq!(of(&path, &Config::default()), None);
    assert_eq!(of(&folder.path().join("nowhere.gguf"), &Config::default()), None);
}
