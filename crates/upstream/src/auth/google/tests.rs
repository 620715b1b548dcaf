//! Token exchanges against a scripted token service and metadata server. The key in
//! `fixtures/` was made for these tests and opens nothing.

use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::scripted::{Script, Scripted};

const KEY: &str = include_str!("fixtures/test_only_key.pem");
const GRANTED: &str = r#"{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}"#;

fn service_account(token_uri: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("account.json");
    let file = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": KEY,
        "client_email": "robot@p.iam.gserviceaccount.com", "token_uri": token_uri,
    });
    std::fs::write(&path, file.to_string()).unwrap();
    (dir, path)
}

#[tokio::test]
async fn a_service_account_signs_for_its_token_once() {
    let server = Scripted::always(Script::json(200, GRANTED)).await;
    let (_dir, path) = service_account(&format!("{}/token", server.url()));
    let tokens = Tokens::open(Some(&path)).unwrap();
    for _ in 0..3 {
        assert_eq!(tokens.get().await.unwrap().expose(), "ya29.token");
    }
    let [received] = &server.received()[..] else { panic!("one exchange") };
    assert_eq!(received.line, "POST /token");
    let body = std::str::from_utf8(&received.body).unwrap();
    assert!(
        body.starts_with("grant%5Ftype=urn%3Aietf%3Aparams%3Aoauth%3Agrant%2Dtype%3Ajwt%2Dbearer&assertion=")
    );
    let assertion = body.rsplit_once('=').unwrap().1;
    let assertion = percent_encoding::percent_decode_str(assertion).decode_utf8().unwrap().into_owned();

    let (unsigned, signature) = assertion.rsplit_once('.').unwrap();
    let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key())
        .verify(unsigned.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .expect("signed with the account's key");
    let part =
        |text: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap() };
    let (header, claims) = unsigned.split_once('.').unwrap();
    assert_eq!(part(header), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let claims = part(claims);
    assert_eq!(claims["iss"], "robot@p.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], format!("{}/token", server.url()));
    assert_eq!(claims["scope"], SCOPE);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), ASSERTION_LIFETIME_S);
}

#[tokio::test]
async fn a_user_trades_the_refresh_token() {
    let server = Scripted::always(Script::json(200, GRANTED)).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user.json");
    let file = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "s&s", "refresh_token": "r=1",
        "token_uri": server.url(), "quota_project_id": "payer",
    });
    std::fs::write(&path, file.to_string()).unwrap();
    let tokens = Tokens::open(Some(&path)).unwrap();
    assert_eq!(tokens.get().await.unwrap().expose(), "ya29.token");
    assert_eq!(tokens.quota_project().unwrap(), "payer");
    let body = server.received().remove(0).body;
    let expected = "grant%5Ftype=refresh%5Ftoken&client%5Fid=id&client%5Fsecret=s%26s&refresh%5Ftoken=r%3D1";
    assert_eq!(body, expected);
}

#[tokio::test]
async fn the_machine_is_asked_with_its_flavor() {
    let server = Scripted::always(Script::json(200, GRANTED)).await;
    let host = server.url().trim_start_matches("http://").to_owned();
    let credentials = Credentials::Machine { host };
    let tokens = Tokens { credentials, quota_project: None, cached: Cached::new() };
    assert_eq!(tokens.get().await.unwrap().expose(), "ya29.token");
    let received = server.received().remove(0);
    assert_eq!(received.line, "GET /computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!(received.headers["metadata-flavor"], "Google");
}

#[tokio::test]
async fn a_refused_token_says_why() {
    let denied = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    for (script, told) in [
        (Script::json(400, denied), "Invalid JWT Signature."),
        (Script::json(500, "<html>"), "without saying why"),
        (Script::json(200, "{}"), "not a token"),
    ] {
        let server = Scripted::always(script).await;
        let (_dir, path) = service_account(&server.url());
        let error = Tokens::open(Some(&path)).unwrap().get().await.unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_used_says_why_and_shows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.json");
    for (text, told) in [
        ("not json s3cret", "not one of Google's"),
        (r#"{"type":"service_account"}"#, "client_email"),
        (r#"{"type":"service_account","client_email":"a","private_key":"s3cret"}"#, "private_key"),
        (r#"{"type":"authorized_user","client_id":"a"}"#, "refresh_token"),
        (r#"{"type":"external_account"}"#, "external_account"),
    ] {
        std::fs::write(&path, text).unwrap();
        let Err(error) = Tokens::open(Some(&path)) else { panic!("{text}") };
        assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
    }
    assert!(Tokens::open(Some(Path::new("/no/such"))).is_err());
}
