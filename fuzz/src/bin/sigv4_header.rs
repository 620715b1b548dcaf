//! Credentials: any header is read or refused, and nothing that was read verifies
//! without its secret.
#![no_main]

use dialect::{RequestHead, credential, sigv4};
use libfuzzer_sys::fuzz_target;
use message::{Credential, Secret};

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let pairs = [
        ("authorization", line()),
        ("x-amz-date", line()),
        ("host", line()),
        ("x-amz-content-sha256", line()),
        ("x-api-key", line()),
    ];
    let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let Some(headers) = fuzz::headers(&pairs) else { return };
    let (path, query) = (String::from_utf8_lossy(line()), String::from_utf8_lossy(line()));
    let request = RequestHead { method: "POST", path: &path, query: &query, headers: &headers };
    match credential::read(&headers) {
        Ok(Credential::Signed(signed)) => {
            let received = sigv4::Received {
                request: &request,
                body_sha256: sigv4::body_sha256(b"{}"),
                now_s: 1_795_348_800,
            };
            assert!(sigv4::verify(&signed, &Secret::new("a secret nobody knows"), &received).is_err());
            let mut other = signed.clone();
            other.signature = "0".repeat(64);
            assert_eq!(format!("{signed:?}"), format!("{other:?}"), "what is shown tells of the signature");
        }
        Ok(_) => {}
        Err(failure) => assert!(failure.message.len() < 400),
    }
});
