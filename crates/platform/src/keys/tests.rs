//! Keys over a real store in a temporary folder.

use std::time::{Duration, Instant, SystemTime};

use message::{AuthFault, ErrorKind, Secret};
use store::Store;

use super::*;

async fn keys() -> (tempfile::TempDir, Keys) {
    let directory = tempfile::tempdir().unwrap();
    let keys = Keys::load(Store::open(directory.path()).await.unwrap()).await.unwrap();
    (directory, keys)
}

fn named(name: &str) -> NewKey {
    NewKey { name: name.into(), expires: None }
}

fn fault(keys: &Keys, bearer: &str, now: SystemTime) -> ErrorKind {
    keys.find_bearer(&Secret::new(bearer), now).unwrap_err().kind
}

#[tokio::test]
async fn a_created_key_lets_its_owner_in_both_ways() {
    let (_directory, keys) = keys().await;
    let created = keys.create(named(" ci ")).await.unwrap();
    let now = SystemTime::now();

    let principal = keys.find_bearer(&created.bearer, now).unwrap();
    assert_eq!(&*principal.key_id, created.info.id);
    assert_eq!(&*principal.name, "ci");
    let (same, secret) = keys.find_access_key(&created.info.access_key_id, now).unwrap();
    assert_eq!(same, principal);
    assert_eq!(secret.expose(), created.secret_access_key.expose());
}

#[tokio::test]
async fn secrets_have_their_documented_shapes() {
    let (_directory, keys) = keys().await;
    let created = keys.create(named("shape")).await.unwrap();
    let bearer = created.bearer.expose();
    let [prefix, id, rest] = bearer.split('_').collect::<Vec<_>>()[..] else { panic!("{bearer}") };
    assert_eq!(prefix, "ock");
    assert_eq!(format!("key_{id}"), created.info.id);
    assert!(rest.len() == 43 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert!(bearer.ends_with(&created.info.bearer_tail) && created.info.bearer_tail.len() == 4);

    let access = created.info.access_key_id.strip_prefix("OCAK").unwrap();
    assert!(access.len() == 16);
    assert!(access.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    assert_eq!(created.secret_access_key.expose().len(), 40);
    let debugged = format!("{created:?} {keys:?}");
    assert!(!debugged.contains(rest) && !debugged.contains(created.secret_access_key.expose()));
}

#[tokio::test]
async fn nothing_secret_is_stored_in_clear() {
    let (directory, keys) = keys().await;
    let created = keys.create(named("clear")).await.unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [&created.bearer, &created.secret_access_key] {
            let secret = secret.expose().as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}

#[tokio::test]
async fn strangers_are_told_what_is_wrong() {
    let (_directory, keys) = keys().await;
    let created = keys.create(named("a")).await.unwrap();
    let now = SystemTime::now();
    let unknown = ErrorKind::Unauthenticated(AuthFault::Unknown);
    let bearer = created.bearer.expose();
    let mut altered = bearer.to_owned();
    altered.pop();
    for wrong in
        ["", "sk-ant-123", "ock_", "ock_x", "ock__", "ock_nobody_123", &altered, &format!("{bearer}0")]
    {
        assert_eq!(fault(&keys, wrong, now), unknown, "{wrong}");
    }
    assert_eq!(keys.find_access_key("AKIAIOSFODNN7EXAMPLE", now).unwrap_err().kind, unknown);
    assert_eq!(keys.find_access_key("", now).unwrap_err().kind, unknown);
}

#[tokio::test]
async fn expiry_is_exact_to_the_second() {
    let (_directory, keys) = keys().await;
    let expires = SystemTime::now() + Duration::from_secs(60);
    let created = keys.create(NewKey { name: "short".into(), expires: Some(expires) }).await.unwrap();
    assert!(keys.find_bearer(&created.bearer, expires - Duration::from_secs(1)).is_ok());
    let expired = ErrorKind::Unauthenticated(AuthFault::Expired);
    assert_eq!(keys.find_bearer(&created.bearer, expires).unwrap_err().kind, expired);
    assert_eq!(keys.find_access_key(&created.info.access_key_id, expires).unwrap_err().kind, expired);
}

#[tokio::test]
async fn impossible_keys_are_refused() {
    let (_directory, keys) = keys().await;
    for name in ["", "  ", "a\nb", &"x".repeat(65)] {
        assert!(matches!(keys.create(named(name)).await, Err(KeyError::Name)), "{name:?}");
    }
    let year_9999 = Duration::from_secs(253_402_300_800);
    for expires in [SystemTime::UNIX_EPOCH, SystemTime::now(), SystemTime::UNIX_EPOCH + year_9999] {
        let new = NewKey { name: "x".into(), expires: Some(expires) };
        assert!(matches!(keys.create(new).await, Err(KeyError::Expiry)));
    }
    assert!(matches!(keys.revoke("key_nobody").await, Err(KeyError::NotFound { .. })));
}

#[tokio::test]
async fn the_root_key_is_made_once_ever() {
    let (directory, keys) = keys().await;
    let root = keys.ensure_root().await.unwrap().expect("first start");
    assert!(keys.find_bearer(&root.bearer, SystemTime::now()).is_ok());
    assert!(keys.ensure_root().await.unwrap().is_none());
    keys.revoke(&root.info.id).await.unwrap();

    let again = Keys::load(Store::open(directory.path()).await.unwrap()).await.unwrap();
    assert!(again.ensure_root().await.unwrap().is_none(), "a revoked root is not remade");
    assert_eq!(again.list().await.unwrap()[0].state, KeyState::Revoked);
}

#[tokio::test]
async fn a_revocation_by_another_process_is_noticed() {
    let (directory, here) = keys().await;
    let created = here.create(named("doomed")).await.unwrap();
    let watching = tokio::spawn(here.clone().watch());
    let there = Keys::load(Store::open(directory.path()).await.unwrap()).await.unwrap();
    there.revoke(&created.info.id).await.unwrap();

    let since = Instant::now();
    while here.find_bearer(&created.bearer, SystemTime::now()).is_ok() {
        assert!(since.elapsed() < Duration::from_secs(20), "never noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = here.find_bearer(&created.bearer, SystemTime::now()).unwrap_err();
    assert!(told.message.contains("revoked"), "{told}");
    watching.abort();
}

#[tokio::test]
async fn keys_stay_in_force_while_the_store_is_away() {
    let (_directory, keys) = keys().await;
    let created = keys.create(named("survivor")).await.unwrap();
    keys.store.close().await;
    assert!(keys.refresh().await.is_err());
    assert!(keys.find_bearer(&created.bearer, SystemTime::now()).is_ok());
}

#[tokio::test]
async fn another_master_key_spares_the_bearer_secret() {
    let (directory, keys) = keys().await;
    let created = keys.create(named("moved")).await.unwrap();
    keys.store.close().await;
    std::fs::write(directory.path().join("master.key"), "ab".repeat(32)).unwrap();
    let moved = Keys::load(Store::open(directory.path()).await.unwrap()).await.unwrap();
    let now = SystemTime::now();
    assert!(moved.find_bearer(&created.bearer, now).is_ok());
    let refused = moved.find_access_key(&created.info.access_key_id, now).unwrap_err();
    assert!(refused.message.contains("master key"), "{refused}");
}

#[tokio::test]
async fn the_list_is_ready_for_json() {
    let (_directory, keys) = keys().await;
    keys.create(named("a")).await.unwrap();
    let json = serde_json::to_value(keys.list().await.unwrap()).unwrap();
    assert_eq!(json[0]["state"], "active");
    assert_eq!(json[0]["expires"], serde_json::Value::Null);
    assert!(json[0]["created"].as_str().unwrap().ends_with('Z'));
    assert_eq!(json[0].as_object().unwrap().len(), 8, "no field appears unnoticed");
}
