//! Against what the Python package `gguf` makes of the same blocks (`fixtures/make.py`).

use super::*;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn blocks_mean_what_ggml_says() {
    use TensorType::*;
    for (kind, fixture) in [
        (Q4_0, &include_bytes!("fixtures/Q4_0.bin")[..]),
        (Q4_1, include_bytes!("fixtures/Q4_1.bin")),
        (Q5_0, include_bytes!("fixtures/Q5_0.bin")),
        (Q5_1, include_bytes!("fixtures/Q5_1.bin")),
        (Q8_0, include_bytes!("fixtures/Q8_0.bin")),
        (Q2_K, include_bytes!("fixtures/Q2_K.bin")),
        (Q3_K, include_bytes!("fixtures/Q3_K.bin")),
        (Q4_K, include_bytes!("fixtures/Q4_K.bin")),
        (Q5_K, include_bytes!("fixtures/Q5_K.bin")),
        (Q6_K, include_bytes!("fixtures/Q6_K.bin")),
    ] {
        let (in_block, block_bytes) = kind.block();
        let blocks = fixture.len() / (block_bytes + 4 * in_block) as usize;
        let (stored, expected) = fixture.split_at(blocks * block_bytes as usize);
        let mut numbers = vec![f32::NAN; expected.len() / 4];
        decode(kind, stored, &mut numbers).unwrap();
        assert_eq!(bits(&numbers), bits(&floats(expected)), "{kind}");
    }
}

#[test]
fn numbers_become_the_blocks_ggml_makes() {
    const COUNT: usize = 8 * 32;
    let (numbers, expected) = include_bytes!("fixtures/encode.bin").split_at(COUNT * 4);
    let (q8_0, floats_of_two) = expected.split_at(COUNT / 32 * 34);
    let (bf16, f16) = floats_of_two.split_at(COUNT * 2);
    let numbers = floats(numbers);
    for (kind, expected) in [(TensorType::Q8_0, q8_0), (TensorType::BF16, bf16), (TensorType::F16, f16)] {
        assert!(encode(kind, &numbers).unwrap() == expected, "{kind}");
    }
}

#[test]
fn what_is_no_number_breaks_nothing() {
    let mut numbers = [1.0_f32; 32];
    numbers[..4].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45]);
    for kind in [TensorType::Q8_0, TensorType::F16, TensorType::BF16] {
        assert_eq!(encode(kind, &numbers).unwrap().len() as u64, kind.bytes(32).unwrap());
    }
}

#[test]
fn many_pieces_are_put_together_in_order() {
    let numbers: Vec<f32> = (0..PIECE_ELEMENTS * 5 / 2).map(|n| (n as f32).sin()).collect();
    let bytes = encode(TensorType::F32, &numbers).unwrap();
    let recoded = recode(&bytes, TensorType::F32, TensorType::Q8_0).unwrap();
    assert!(recoded == encode(TensorType::Q8_0, &numbers).unwrap());
    let mut again = vec![0.0; numbers.len()];
    decode(TensorType::Q8_0, &recoded, &mut again).unwrap();
    for (number, again) in numbers.iter().zip(&again) {
        assert!((number - again).abs() <= 1.0 / 254.0 + 1e-3, "{number} {again}");
    }
}

#[test]
fn tables_are_run_and_not_converted() {
    let error = recode(&[0; 66], TensorType::IQ2_XXS, TensorType::F32).unwrap_err();
    assert!(error.contains("IQ2_XXS"), "{error}");
    assert!(recode(&[0; 4], TensorType::F32, TensorType::Q4_K).unwrap_err().contains("Q4_K"));
}
