//! The desk without a worker, and then a real model whose worker is cut off, or which has
//! to make room for another.

use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use message::{ErrorKind, Event, Failure, FinishReason, Retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::desk::Departure;
use super::*;
use crate::protocol::{Ask, Figures, Said, Told};
use crate::reply::Events;
use crate::{Config, Engine, ModelInfo, Task};

#[path = "../../tests/support/model.rs"]
#[allow(clippy::panic, unreachable_pub, reason = "a panic here is the report")]
#[allow(clippy::duplicate_mod, reason = "the tests of `backend` load the same model")]
mod model;

const WINDOW: usize = 3;

fn question(text: &str) -> Question {
    Question::Continue { text: text.into(), max_tokens: 1, adapter: 0 }
}

fn permit() -> Arc<OwnedSemaphorePermit> {
    Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
}

fn terms(name: &str) -> Terms {
    let queue_timeout = Duration::from_secs(600);
    let silence = queue_timeout;
    Terms { name: name.into(), window: WINDOW, queue_timeout, keep_alive: None, silence }
}

/// What is known of a model that answers.
fn ready() -> Arc<Ready> {
    let info = ModelInfo {
        name: "scripted".to_owned(),
        architecture: "llama".to_owned(),
        title: None,
        license: None,
        context_length: 1,
        max_call_tokens: 1,
        vocab_size: 1,
        size_bytes: 1,
        parameters: 1,
        has_template: true,
        native_tools: false,
        images: false,
        task: Task::Chat,
        embedding_length: None,
        computed_on: "the processor".to_owned(),
    };
    Arc::new(Ready { info, thinks: false })
}

/// Has a desk's worker be a socket that nobody reads.
fn connect(desk: &Desk) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    desk.loading(&ours);
    assert!(desk.connect(&ours, ready(), Duration::ZERO));
    theirs
}

fn desk() -> (Arc<Desk>, UnixStream) {
    let desk = Arc::new(Desk::new(terms("scripted"), Room::default()));
    let theirs = connect(&desk);
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
    assert_eq!(desk.disconnect(), Departure { again: 1, ended: 2, left: None });
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
    let _theirs = connect(&desk);
    assert!(waits.await.is_ok());
    assert_eq!((desk.not_ready(), desk.restarts()), (None, 1));
    let waiting = question("d");
    desk.hang_up();
    let waits = desk.submit(&waiting, &permit, false);
    desk.stop();
    assert_eq!(waits.await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(!desk.pause(Duration::from_secs(60)), "the end comes first");
}

#[tokio::test]
async fn a_call_wakes_the_model_and_one_that_leaves_is_forgotten() {
    let desk = Arc::new(Desk::new(terms("asleep"), Room::default()));
    assert!(desk.not_ready().is_none(), "asleep is ready");
    assert_eq!((desk.phase().as_str(), desk.wanted()), ("asleep", false));
    let (asked, permit) = (question("a"), permit());
    let mut waits = Box::pin(desk.submit(&asked, &permit, false));
    assert!((&mut waits).now_or_never().is_none());
    assert!(desk.wanted() && desk.sleep());
    drop(waits);
    assert!(!desk.wanted());

    let mut two =
        [Box::pin(desk.submit(&asked, &permit, false)), Box::pin(desk.submit(&asked, &permit, false))];
    for waits in &mut two {
        assert!(waits.now_or_never().is_none());
    }
    desk.progress(0.43);
    assert_eq!(desk.phase(), "loading (43 %)");
    let _theirs = connect(&desk);
    for waits in two {
        waits.await.unwrap();
    }
    assert_eq!((desk.loads(), desk.restarts(), desk.phase().as_str()), (1, 0, "ready"));
}

#[tokio::test]
async fn who_waits_hears_once_why_it_could_not_be_loaded() {
    let desk = Arc::new(Desk::new(terms("broken"), Room::default()));
    let (asked, permit) = (question("a"), permit());
    let mut first = Box::pin(desk.submit(&asked, &permit, false));
    assert!((&mut first).now_or_never().is_none());
    let error = || LoadError::Template("line 3".to_owned());
    desk.failed(error(), "its template: line 3", Retry::After(Duration::from_secs(7)));
    assert!(!desk.wanted(), "who was told waits no more");
    // The next one came after it, and tries again.
    let mut second = Box::pin(desk.submit(&asked, &permit, false));
    assert!((&mut second).now_or_never().is_none());
    let failure = first.await.unwrap_err();
    assert_eq!((failure.kind, failure.retry), (ErrorKind::Unavailable, Retry::After(Duration::from_secs(7))));
    assert!(failure.message.contains("its template: line 3"), "{failure:?}");
    assert!(desk.wanted() && desk.not_ready().is_none());
    assert!(desk.phase().contains("line 3"), "{}", desk.phase());
    let _theirs = connect(&desk);
    second.await.unwrap();

    // Whoever asked without a call has the error itself.
    let desk = Arc::new(Desk::new(terms("broken"), Room::default()));
    let loading = std::thread::spawn({
        let desk = Arc::clone(&desk);
        move || desk.load()
    });
    assert!(desk.sleep());
    desk.failed(error(), "its template: line 3", Retry::No);
    assert!(matches!(loading.join().unwrap(), Err(LoadError::Template(_))));
}

#[tokio::test]
async fn a_worker_ends_with_its_last_call_and_not_before() {
    let (desk, _theirs) = desk();
    let permit = permit();
    let (_ticket, _items) = desk.submit(&question("a"), &permit, false).await.unwrap();
    assert!(matches!(orders(&desk)[..], [Order::Call { number: 0, .. }]));
    desk.vacate("to make room for another".to_owned());
    assert_eq!(desk.phase(), "unloading");
    let late = question("late");
    let mut waits = Box::pin(desk.submit(&late, &permit, false));
    assert!((&mut waits).now_or_never().is_none(), "no more calls");
    // Whose room is not needed after all goes on.
    desk.stay();
    let (_second, _items) = waits.await.unwrap();
    desk.vacate("to make room for another".to_owned());
    desk.deliver(vec![finish(0)], Figures::default()).unwrap();
    assert!(matches!(orders(&desk)[..], [Order::Call { number: 1, .. }]), "one is still answered");
    desk.deliver(vec![finish(1)], Figures::default()).unwrap();
    assert_eq!(orders(&desk), [Order::Stop]);
    desk.stay();
    assert_eq!(desk.phase(), "unloading", "it was told");
    desk.hang_up();
    assert!(desk.farewell(Duration::ZERO));
    let left = Some("to make room for another".to_owned());
    assert_eq!(desk.disconnect(), Departure { again: 0, ended: 0, left });
    desk.asleep();
    assert_eq!((desk.phase().as_str(), desk.restarts()), ("asleep", 0));
}

#[tokio::test]
async fn keep_alive_counts_from_the_last_call() {
    let terms = Terms { keep_alive: Some(Duration::ZERO), ..terms("brief") };
    let desk = Arc::new(Desk::new(terms, Room::default()));
    let (asked, permit) = (question("a"), permit());
    let mut waits = Box::pin(desk.submit(&asked, &permit, false));
    assert!((&mut waits).now_or_never().is_none());
    let _theirs = connect(&desk);
    let (_ticket, _items) = waits.await.unwrap();
    assert!(matches!(orders(&desk)[..], [Order::Call { .. }]));
    desk.deliver(vec![finish(0)], Figures::default()).unwrap();
    assert_eq!(orders(&desk), [Order::Stop]);
    desk.hang_up();
    assert!(desk.disconnect().left.unwrap().contains("keep-alive"));
}

#[tokio::test]
async fn a_worker_that_says_nothing_is_cut_off() {
    let terms = Terms { silence: Duration::ZERO, ..terms("hung") };
    let desk = Arc::new(Desk::new(terms, Room::default()));
    let (asked, permit) = (question("a"), permit());
    let mut waits = Box::pin(desk.submit(&asked, &permit, false));
    assert!((&mut waits).now_or_never().is_none());
    let mut theirs = connect(&desk);
    let (_ticket, _items) = waits.await.unwrap();
    assert!(!desk.orders(&mut Vec::new()));
    assert_eq!(std::io::Read::read(&mut theirs, &mut [0]).unwrap(), 0, "its socket is closed");
}

const HALF: Wish = Wish { bytes: 50, pinned: false };

/// A loaded model with its part of a room.
fn tenant(room: &Room, name: &str, wish: Wish) -> (Arc<Desk>, Lease, UnixStream) {
    let desk = Arc::new(Desk::new(terms(name), room.clone()));
    let (asked, permit) = (question("wake"), permit());
    let mut waits = Box::pin(desk.submit(&asked, &permit, false));
    assert!((&mut waits).now_or_never().is_none());
    let lease = room.admit(&desk, wish).unwrap().unwrap();
    drop(waits);
    let theirs = connect(&desk);
    (desk, lease, theirs)
}

/// Somebody who waits to be let in; hears how that went.
fn queue(room: &Room, desk: &Arc<Desk>, wish: Wish) -> mpsc::Receiver<Result<Option<Lease>, LoadError>> {
    let (tell, outcome) = mpsc::channel();
    let (room, desk) = (room.clone(), Arc::clone(desk));
    std::thread::spawn(move || tell.send(room.admit(&desk, wish)));
    outcome
}

#[tokio::test]
async fn the_one_not_used_for_longest_makes_room() {
    let room = Room::new(Some(100));
    let (old, old_lease, _old) = tenant(&room, "old", HALF);
    let (young, _young_lease, _young) = tenant(&room, "young", HALF);
    let next = Arc::new(Desk::new(terms("next"), room.clone()));
    let (asked, permit) = (question("a"), permit());
    let mut waits = Box::pin(next.submit(&asked, &permit, false));
    assert!((&mut waits).now_or_never().is_none());
    let outcome = queue(&room, &next, HALF);
    assert_eq!(orders(&old), [Order::Stop], "it is told as soon as somebody waits");
    drop(old_lease);
    let lease = outcome.recv().unwrap().unwrap().unwrap();
    assert_eq!((young.phase().as_str(), room.usage()), ("ready", (100, Some(100))));
    lease.resize(60);
    assert_eq!(room.usage(), (110, Some(100)));
    drop(lease);
    assert_eq!(room.usage(), (50, Some(100)));
}

#[tokio::test]
async fn who_finds_no_room_is_told_what_fills_it_and_leaves_the_line() {
    let room = Room::new(Some(100));
    let pinned = Wish { pinned: true, ..HALF };
    let (kept, _kept_lease, _kept) = tenant(&room, "kept", pinned);
    let (busy, _busy_lease, _busy) = tenant(&room, "busy", HALF);
    let permit = permit();
    let (_ticket, _items) = busy.submit(&question("a"), &permit, false).await.unwrap();

    let next = Arc::new(Desk::new(terms("next"), room.clone()));
    let never = room.admit(&next, HALF);
    assert!(never.unwrap().is_none(), "nobody wants it");
    let asked = question("b");
    let mut waits = Box::pin(next.submit(&asked, &permit, false));
    assert!((&mut waits).now_or_never().is_none());
    let too_large = room.admit(&next, Wish { bytes: 51 << 20, pinned: false });
    assert!(matches!(too_large, Err(LoadError::Room { need_mib: 51, .. })), "it can never be");
    let outcome = queue(&room, &next, HALF);
    tokio::time::timeout(Duration::from_secs(20), async {
        while !next.phase().contains("busy has 1 MiB (answering calls)") {
            assert!((&mut waits).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(next.phase().contains("kept has 1 MiB (pinned)"), "{}", next.phase());
    drop(waits);
    assert!(outcome.recv().unwrap().unwrap().is_none());
    assert_eq!((busy.phase().as_str(), kept.phase().as_str()), ("ready", "ready"));
}

#[tokio::test]
async fn at_the_start_nobody_has_to_go() {
    let room = Room::new(Some(100));
    let (first, _lease, _theirs) = tenant(&room, "first", Wish { bytes: 80, pinned: false });
    let second = Arc::new(Desk::new(terms("second"), room.clone()));
    let loading = std::thread::spawn({
        let second = Arc::clone(&second);
        move || second.load()
    });
    assert!(second.sleep());
    assert!(room.admit(&second, HALF).unwrap().is_none());
    second.put_off();
    assert!(!loading.join().unwrap().unwrap());
    assert_eq!((first.phase().as_str(), second.phase().as_str()), ("ready", "asleep"));
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

/// Two models in room for one: calls take turns, each is answered as if it were alone.
#[tokio::test(flavor = "multi_thread")]
async fn models_swap_and_answer_the_same_again() {
    let config =
        Config { context_tokens: 512, threads: Some(1), slots: 1, saved_mib: 0, ..Config::default() };
    let footprint = Footprint { file_bytes: 100 << 20, ..Footprint::default() };
    let room = Room::new(Some(footprint.estimate(&config) * 3 / 2));
    let path = model::model_path();
    let open = |name| {
        let spec = crate::ModelSpec {
            path: &path,
            projector: None,
            name,
            config: &config,
            adapters: &[],
            residence: Residence::default(),
            footprint,
        };
        Engine::start(Source::Threads, spec, &room).unwrap()
    };
    let engines = [open("one"), open("two")];
    assert!(engines.iter().all(|engine| engine.is_alive() && engine.state() == "asleep"));
    let mut expected = None;
    for round in 1..=3 {
        for (engine, other) in [(&engines[0], &engines[1]), (&engines[1], &engines[0])] {
            let answer = whole(engine, "One, two, three,", 4).await.unwrap();
            assert_eq!(*expected.get_or_insert_with(|| answer.clone()), answer);
            assert_eq!((engine.stats().loads, engine.stats().restarts), (round, 0));
            assert_eq!((engine.state().as_str(), other.state().as_str()), ("ready", "asleep"));
        }
    }
    for engine in engines {
        tokio::task::spawn_blocking(move || engine.shutdown()).await.unwrap();
    }
    assert_eq!(room.usage().0, 0);
}
