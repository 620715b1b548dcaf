//! The desk without a worker, and then a real model whose worker is cut off.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use message::{ErrorKind, Event, Failure, FinishReason, Retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::desk::Losses;
use super::*;
use crate::protocol::{Ask, Figures, Said, Told};
use crate::reply::Events;
use crate::{Config, Engine};

#[path = "../../tests/support/model.rs"]
#[allow(clippy::panic, unreachable_pub, reason = "a panic here is the report")]
#[allow(clippy::duplicate_mod, reason = "the tests of `backend` load the same model")]
mod model;

const WINDOW: usize = 3;

fn question(text: &str) -> Question {
    Question::Continue { text: text.into(), max_tokens: 1 }
}

fn permit() -> Arc<OwnedSemaphorePermit> {
    Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
}

/// A desk whose worker is a socket that nobody reads.
fn desk() -> (Arc<Desk>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let desk = Arc::new(Desk::new(WINDOW));
    assert!(desk.connect(&ours, Duration::ZERO));
    (desk, theirs)
}

fn orders(desk: &Desk) -> Vec<Order> {
    let mut bytes = Vec::new();
    desk.orders(&mut bytes);
    let mut frames = Frames::new(&*bytes);
    std::iter::from_fn(|| frames.next().unwrap()).collect()
}

fn text(number: u64) -> (u64, Told) {
    (number, Told::Said(vec![Said::BlockStop { index: 0 }]))
}

fn finish(number: u64) -> (u64, Told) {
    let said = Said::Finish { reason: FinishReason::EndTurn, stop_sequence: None };
    (number, Told::Said(vec![said]))
}

#[tokio::test]
async fn a_worker_hears_of_calls_what_was_read_and_who_left() {
    let (desk, _theirs) = desk();
    let permit = permit();
    let (first, _items) = desk.submit(&question("a"), &permit, false).await.unwrap();
    let (second, _items) = desk.submit(&question("b"), &permit, false).await.unwrap();
    let (unheard, _items) = desk.submit(&question("c"), &permit, false).await.unwrap();
    drop(unheard);
    let heard = orders(&desk);
    assert_eq!(heard.len(), 2, "who left before it was heard of needs no word: {heard:?}");
    assert!(
        matches!(&heard[1], Order::Call { number: 1, ask: Ask::Continue { text, .. }, .. } if text == "b")
    );
    second.read(2);
    drop(first);
    second.read(3);
    let heard = orders(&desk);
    assert_eq!(heard, [Order::Read { number: 1, items: 5 }, Order::Cancel { number: 0 }]);
    // It keeps its place until the worker says that it is gone.
    drop(second);
    orders(&desk);
    assert_eq!(Arc::strong_count(&permit), 3);
    desk.deliver(vec![(0, Told::Gone), finish(1)], Figures::default()).unwrap();
    assert_eq!(Arc::strong_count(&permit), 1);
    desk.stop();
    assert_eq!(orders(&desk), [Order::Stop]);
    assert!(!desk.orders(&mut Vec::new()));
}

#[tokio::test]
async fn a_worker_that_breaks_the_rules_is_found_out() {
    let (desk, _theirs) = desk();
    let (_ticket, mut items) = desk.submit(&question("a"), &permit(), false).await.unwrap();
    let tell = |told| desk.deliver(told, Figures::default());
    assert!(tell(vec![text(7)]).is_err(), "of a call that never was");
    tell((0..WINDOW).map(|_| text(0)).collect()).unwrap();
    assert!(tell(vec![text(0)]).unwrap_err().contains("window"));
    items.recv().await.unwrap().unwrap();
    tell(vec![finish(0)]).unwrap();
    assert!(tell(vec![text(0)]).is_err(), "after its end");
}

#[tokio::test]
async fn a_death_ends_what_has_begun_and_the_rest_waits() {
    let (desk, _theirs) = desk();
    let permit = permit();
    let (begun, begun_items) = desk.submit(&question("a"), &permit, false).await.unwrap();
    let (fresh, fresh_items) = desk.submit(&question("b"), &permit, false).await.unwrap();
    let (_second, _items) = desk.submit(&question("c"), &permit, true).await.unwrap();
    desk.deliver(vec![text(0)], Figures { decoded: 5, busy: 1, ..Figures::default() }).unwrap();
    let mut events = Events::begin(begun, begun_items).await.unwrap().unwrap();
    events.next().await.unwrap().unwrap();
    desk.hang_up();
    assert_eq!(desk.disconnect(), Losses { again: 1, ended: 2 });
    desk.down("SIGKILL", Duration::from_secs(3));
    let cut = events.next().await.unwrap().unwrap_err();
    assert_eq!(cut.kind, ErrorKind::Unavailable);
    assert!(matches!(cut.retry, Retry::After(wait) if wait <= Duration::from_secs(4)), "{cut:?}");
    assert!(events.next().await.is_none());
    assert!(Events::begin(fresh, fresh_items).await.unwrap().is_none(), "it can be asked again");
    assert_eq!(desk.not_ready().unwrap(), "is restarting after SIGKILL");
    assert_eq!(desk.figures(), Figures { decoded: 5, ..Figures::default() });

    let again = question("b");
    let mut waits = Box::pin(desk.submit(&again, &permit, true));
    assert!((&mut waits).now_or_never().is_none());
    let (ours, _theirs) = UnixStream::pair().unwrap();
    assert!(desk.connect(&ours, Duration::ZERO));
    assert!(waits.await.is_ok());
    assert_eq!((desk.not_ready(), desk.restarts()), (None, 1));
    let waiting = question("d");
    desk.hang_up();
    let waits = desk.submit(&waiting, &permit, false);
    desk.stop();
    assert_eq!(waits.await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(!desk.pause(Duration::from_secs(60)), "the end comes first");
}

async fn whole(engine: &Engine, text: &str, tokens: usize) -> Result<Vec<Event>, Failure> {
    let events = engine.continue_greedily(text, tokens).await?;
    events.collect::<Vec<_>>().await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_dies_comes_back_and_answers_who_waited() {
    let config = Config { context_tokens: 2048, threads: Some(1), slots: 1, ..Config::default() };
    let engine = tokio::task::spawn_blocking(|| Engine::load(&model::model_path(), "mortal", config));
    let engine = engine.await.unwrap().unwrap();
    let expected = whole(&engine, "One, two, three,", 4).await.unwrap();
    let mut begun = engine.continue_greedily("One, two,", 1500).await.unwrap();
    begun.next().await.unwrap().unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { whole(&engine, "One, two, three,", 4).await }
    });
    while engine.stats().queued == 0 {
        tokio::task::yield_now().await;
    }
    engine.desk().cut_off();
    let last = begun.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(last.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(waiting.await.unwrap().unwrap(), expected, "as if nothing had happened");
    assert_eq!(engine.stats().restarts, 1);
    assert!(engine.is_alive());
}
