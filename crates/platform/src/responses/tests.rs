//! Keeping, finding, following and forgetting responses.

use std::sync::Arc;

use message::ErrorKind;
use store::Store;

use super::running::{RUNNING_MAX, Running};
use super::*;

async fn responses(directory: &tempfile::TempDir) -> Responses {
    Responses::open(Store::open(directory.path()).await.unwrap(), Limits::default())
}

fn kept(principal: &str, id: &str, previous: Option<&str>) -> Kept {
    Kept {
        principal: principal.into(),
        id: id.into(),
        previous: previous.map(str::to_owned),
        response: format!("{{\"id\":\"{id}\"}}"),
        input: "[]".into(),
    }
}

#[tokio::test]
async fn what_is_kept_is_found_at_once_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let principal: Arc<str> = "key_a".into();
    let here = responses(&directory).await;
    here.keep(kept("key_a", "resp_1", None));
    let found = here.get(&principal, "resp_1").await.unwrap().expect("kept");
    assert_eq!(*found, kept("key_a", "resp_1", None));
    assert_eq!(here.get(&"key_b".into(), "resp_1").await.unwrap(), None, "another's");
    here.flush().await;
    assert!(here.waiting().is_empty());
    let there = responses(&directory).await;
    assert_eq!(there.get(&principal, "resp_1").await.unwrap(), Some(found));
}

#[tokio::test]
async fn what_is_forgotten_stays_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let principal: Arc<str> = "key_a".into();
    let responses = responses(&directory).await;
    responses.keep(kept("key_a", "resp_1", None));
    // Perhaps before it was written, perhaps after.
    assert!(responses.forget(&principal, "resp_1").await.unwrap());
    assert!(!responses.forget(&principal, "resp_1").await.unwrap());
    assert_eq!(responses.get(&principal, "resp_1").await.unwrap(), None);
    responses.keep(kept("key_a", "resp_2", None));
    responses.flush().await;
    assert_eq!(responses.get(&principal, "resp_1").await.unwrap(), None);
    assert!(responses.waiting().is_empty());
}

/// The writer may be at any point of its work when a response is forgotten; the store is
/// asked in between, as another call would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_response_never_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let principal: Arc<str> = "key_a".into();
    let responses = responses(&directory).await;
    for id in 0..100 {
        let id = format!("resp_{id}");
        responses.keep(kept("key_a", &id, None));
        for _ in 0..id.len() {
            tokio::task::yield_now().await;
        }
        assert!(responses.forget(&principal, &id).await.unwrap());
        assert_eq!(responses.get(&principal, &id).await.unwrap(), None, "{id}");
    }
    responses.flush().await;
    assert!(responses.waiting().is_empty());
}

#[tokio::test]
async fn a_conversation_is_followed_to_its_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let principal: Arc<str> = "key_a".into();
    let responses = responses(&directory).await;
    responses.keep(kept("key_a", "resp_1", None));
    responses.keep(kept("key_a", "resp_2", Some("resp_1")));
    responses.keep(kept("key_a", "resp_3", Some("resp_2")));
    let turns = responses.history(&principal, "resp_3").await.unwrap().expect("known");
    assert_eq!(turns.iter().map(|turn| turn.id.as_str()).collect::<Vec<_>>(), ["resp_1", "resp_2", "resp_3"]);
    responses.forget(&principal, "resp_1").await.unwrap();
    assert_eq!(responses.history(&principal, "resp_3").await.unwrap(), None, "its beginning is gone");
    assert_eq!(responses.history(&principal, "resp_9").await.unwrap(), None);
}

#[tokio::test]
async fn a_chain_without_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let responses = responses(&directory).await;
    responses.keep(kept("key_a", "resp_1", Some("resp_1")));
    let failure = responses.history(&"key_a".into(), "resp_1").await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let responses = responses(&directory).await;
    responses.keep(Kept { input: " ".repeat(RESPONSE_BYTES_MAX), ..kept("key_a", "resp_1", None) });
    assert_eq!(responses.get(&"key_a".into(), "resp_1").await.unwrap(), None);
}

#[tokio::test]
async fn a_log_is_read_while_it_grows_and_after() {
    let running = Running::default();
    let principal: Arc<str> = "key_a".into();
    let job = running.begin(&principal, "resp_1").unwrap();
    let mut follow = running.find(&principal, "resp_1").expect("under way").follow();
    job.log("one".into());
    follow.changed().await.unwrap();
    assert_eq!(job.event(0).as_deref(), Some(&b"one"[..]));
    assert_eq!(job.event(1), None);
    running.end(&principal, "resp_1");
    follow.changed().await.unwrap();
    assert!(follow.borrow().ended && job.has_ended());
    assert!(running.find(&principal, "resp_1").is_some(), "for those who come back");
    running.forget(&principal, "resp_1");
    assert!(running.find(&principal, "resp_1").is_none());
}

#[tokio::test]
async fn there_is_a_most_at_once() {
    let running = Running::default();
    let principal: Arc<str> = "key_a".into();
    for n in 0..RUNNING_MAX {
        running.begin(&principal, &format!("resp_{n}")).unwrap();
    }
    assert_eq!(
        running.begin(&principal, "one more").err().map(|failure| failure.kind),
        Some(ErrorKind::Overloaded)
    );
    running.end(&principal, "resp_0");
    assert!(running.begin(&principal, "one more").is_ok());
}

#[tokio::test]
async fn a_cancelled_answer_stops() {
    let running = Running::default();
    let job = running.begin(&"key_a".into(), "resp_1").unwrap();
    let task = tokio::spawn(std::future::pending::<()>());
    job.answered_by(task.abort_handle());
    job.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}
