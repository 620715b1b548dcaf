//! Downloads of one file: cut, changed, lying, hostile, shared, killed.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::server::{Answer, Server, file};
use super::*;
use crate::settings::Token;
use crate::{Listed, PullErrorKind, Record, Terms};

#[test]
fn a_file_comes_whole_with_its_record() {
    let server = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let mut bench = Bench::new();
    let request = request(vec![url(&server, "/m.gguf")]);
    let model = bench.pull(&request, &settings()).unwrap();
    bench.assert_whole(&model);
    let record: Record =
        serde_json::from_slice(&fs::read(model.path.with_extension("json")).unwrap()).unwrap();
    assert!(record.verified);
    assert_eq!((record.license.as_deref(), record.sha256), (Some("MIT"), model.sha256));

    assert_eq!(bench.pull(&request, &settings()).unwrap(), model, "found, not fetched");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_cut_download_goes_on_where_it_was_cut() {
    let server = Server::start(|seen, before| {
        let answer = file(seen, &model_bytes(), "\"1\"");
        if before < 3 { answer.cut(100_000) } else { answer }
    });
    let mut bench = Bench::new();
    let model = bench.pull(&request(vec![url(&server, "/m.gguf")]), &settings()).unwrap();
    bench.assert_whole(&model);
    let ranges: Vec<_> = server.seen().iter().map(|seen| seen.header("range").map(str::to_owned)).collect();
    let range = |from: usize| Some(format!("bytes={from}-"));
    assert_eq!(ranges, [None, range(100_000), range(200_000), range(300_000)]);
    assert_eq!(server.seen()[1].header("if-range"), Some("\"1\""));
}

#[test]
fn the_next_pull_goes_on_with_what_the_last_one_left() {
    let server = Server::start(|seen, before| match before {
        0 => file(seen, &model_bytes(), "\"1\"").cut(300_000),
        1..=5 => Answer::status(503),
        _ => file(seen, &model_bytes(), "\"1\""),
    });
    let mut bench = Bench::new();
    let request = request(vec![url(&server, "/m.gguf")]);
    let error = bench.pull(&request, &settings()).unwrap_err();
    assert_eq!(error.kind(), PullErrorKind::Network);
    assert!(matches!(tried(error)[..], [SourceError::Status { status: 503, .. }]));
    assert_eq!(bench.state(), State::Partial { received_bytes: 300_000 });

    let model = bench.pull(&request, &settings()).unwrap();
    bench.assert_whole(&model);
    assert_eq!(server.seen().last().unwrap().header("range"), Some("bytes=300000-"));
}

#[test]
fn a_server_without_ranges_is_read_from_the_beginning() {
    let server = Server::start(|_, before| {
        let answer = Answer::ok(model_bytes());
        if before == 0 { answer.cut(100_000) } else { answer }
    });
    let mut bench = Bench::new();
    let model = bench.pull(&request(vec![url(&server, "/m.gguf")]), &settings()).unwrap();
    bench.assert_whole(&model);
}

#[test]
fn a_file_that_changed_meanwhile_is_read_anew() {
    // `If-Range` minded, and not: either way the new file comes whole.
    for minds in [true, false] {
        let server = Server::start(move |seen, before| {
            if before == 0 {
                return file(seen, &vec![0; model_bytes().len()], "\"old\"").cut(100_000);
            }
            let mut seen = seen.clone();
            if !minds {
                seen.headers.remove("if-range");
            }
            file(&seen, &model_bytes(), "\"new\"")
        });
        let mut bench = Bench::new();
        let request = Request::File { id: "m".into(), source: url(&server, "/m.gguf") };
        let model = bench.pull(&request, &settings()).unwrap();
        bench.assert_whole(&model);
    }
}

#[test]
fn a_part_gone_bad_is_noticed_and_fetched_again() {
    let server = Server::start(|seen, before| match before {
        0 => file(seen, &model_bytes(), "\"1\"").cut(300_000),
        1..=5 => Answer::status(503),
        _ => file(seen, &model_bytes(), "\"1\""),
    });
    let mut bench = Bench::new();
    let request = request(vec![url(&server, "/m.gguf")]);
    bench.pull(&request, &settings()).unwrap_err();
    let part = bench.partial().into_iter().find(|path| path.extension().unwrap() == "part").unwrap();
    let mut bytes = fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    fs::write(&part, bytes).unwrap();

    let model = bench.pull(&request, &settings()).unwrap();
    bench.assert_whole(&model);
    assert!(bench.notes.iter().any(|note| note.contains("starting over")), "{:?}", bench.notes);
}

#[test]
fn wrong_bytes_are_deleted_and_the_next_source_is_tried() {
    let mut wrong = model_bytes();
    wrong[100] ^= 1;
    let bad = Server::start(move |seen, _| file(seen, &wrong, "\"1\""));
    let good = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let mut bench = Bench::new();
    let error = bench.pull(&request(vec![url(&bad, "/m.gguf")]), &settings()).unwrap_err();
    assert!(error.to_string().contains("sha256"), "{error}");
    assert!(matches!(tried(error)[..], [SourceError::WrongHash { .. }]));
    assert_eq!(bench.partial(), Vec::<PathBuf>::new());

    let sources = vec![url(&bad, "/m.gguf"), url(&good, "/m.gguf")];
    let model = bench.pull(&request(sources), &settings()).unwrap();
    bench.assert_whole(&model);
    assert!(model.source.starts_with(&good.url));
    assert!(bench.notes.last().unwrap().contains("trying"), "{:?}", bench.notes);
}

#[test]
fn sources_that_are_away_are_passed_over_with_their_reasons() {
    let missing = Server::start(|_, _| Answer::status(404));
    let gated = Server::start(|_, _| Answer::status(401));
    let good = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let nobody = Source::Url { url: "http://127.0.0.1:9/m.gguf".into() };
    let unknown = Source::Url { url: "http://nobody.invalid/m.gguf".into() };
    let sources =
        vec![nobody, unknown, url(&missing, "/m.gguf"), url(&gated, "/m.gguf"), url(&good, "/m.gguf")];
    let mut bench = Bench::new();
    let model = bench.pull(&request(sources.clone()), &settings()).unwrap();
    bench.assert_whole(&model);
    assert_eq!(bench.notes.len(), 4);

    let error = Bench::new().pull(&request(sources[..4].to_vec()), &settings()).unwrap_err();
    let text = error.to_string();
    assert_eq!(tried(error).len(), 4);
    assert!(text.contains("there is no such file") && text.contains("HF_TOKEN"), "{text}");
}

#[test]
fn a_server_that_lies_about_the_size_is_not_believed() {
    type Lie = fn() -> Answer;
    let lies: [(&str, Lie); 5] = [
        ("longer", || Answer::ok(model_bytes()).with("content-length", "18446744073709551615")),
        ("shorter", || Answer::ok(&b"GGUF"[..])),
        ("no number", || Answer::ok(model_bytes()).with("content-length", "-5")),
        ("endless", || Answer { chunked: true, ..Answer::ok(vec![7; 2_000_000]) }),
        ("compressed", || Answer::ok(model_bytes()).with("content-encoding", "gzip")),
    ];
    for (lie, answer) in lies {
        let server = Server::start(move |_, _| answer());
        let mut bench = Bench::new();
        let error = bench.pull(&request(vec![url(&server, "/m.gguf")]), &settings()).unwrap_err();
        assert_eq!(error.kind(), PullErrorKind::Network, "{lie}: {error}");
        assert_eq!(bench.state(), State::Absent, "{lie}");
    }
}

#[test]
fn nonsense_ranges_are_refused() {
    for range in ["bytes 5-9/10", "bytes */*", "potatoes", "bytes 100001-500023/500024"] {
        let server = Server::start(move |seen, before| match before {
            0 => file(seen, &model_bytes(), "\"1\"").cut(100_000),
            _ => Answer { status: 206, ..Answer::ok(model_bytes()) }
                .with("content-range", range)
                .with("etag", "\"1\""),
        });
        let error = Bench::new().pull(&request(vec![url(&server, "/m.gguf")]), &settings()).unwrap_err();
        assert!(matches!(tried(error)[..], [SourceError::Nonsense { .. }]), "{range}");
    }
}

#[test]
fn what_is_no_model_gets_no_name() {
    let page = b"<!doctype html><title>Please log in</title>";
    let server = Server::start(move |_, _| Answer { chunked: true, ..Answer::ok(&page[..]) });
    let mut bench = Bench::new();
    let request = Request::File { id: "m".into(), source: url(&server, "/m.gguf") };
    let error = bench.pull(&request, &settings()).unwrap_err();
    assert!(error.to_string().contains("web page"), "{error}");
    assert_eq!(bench.state(), State::Absent);
}

#[test]
fn the_hub_is_asked_with_the_users_token_and_its_hash_is_verified() {
    let store = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let target = format!("{}/signed?sig=1", store.url);
    let hub = Server::start(move |seen, _| {
        assert_eq!(seen.path, "/org/repo/resolve/v1/q4/m.gguf");
        let hash =
            if seen.header("authorization").is_some() { sha256(&model_bytes()) } else { sha256(b"other") };
        Answer::status(302).with("location", target.clone()).with("x-linked-etag", format!("\"{hash}\""))
    });
    let source = Source::Hub { hub: "org/repo".into(), file: "q4/m.gguf".into(), revision: "v1".into() };
    let request = Request::File { id: "m".into(), source };
    let token = Some(Token("secret".into()));
    let settings = Settings { hub_endpoint: hub.url.clone(), hub_token: token, ..settings() };
    let mut bench = Bench::new();
    let model = bench.pull(&request, &settings).unwrap();
    bench.assert_whole(&model);
    assert_eq!(hub.seen()[0].header("authorization"), Some("Bearer secret"));
    assert_eq!(store.seen()[0].header("authorization"), None, "a token stays with its origin");
    assert!(!format!("{settings:?}").contains("secret"));

    let settings = Settings { hub_token: None, ..settings };
    let error = Bench::new().pull(&request, &settings).unwrap_err();
    assert!(matches!(tried(error)[..], [SourceError::WrongHash { .. }]));
}

#[test]
fn redirects_come_to_an_end() {
    let server = Server::start(|_, _| Answer::status(302).with("location", "/again"));
    let error = Bench::new().pull(&request(vec![url(&server, "/m.gguf")]), &settings()).unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
    assert!(server.seen().len() < 20);
}

#[test]
fn a_full_disk_is_said_before_anything_is_written() {
    let server = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let settings = Settings { free_space: no_room, ..settings() };
    let mut bench = Bench::new();
    let sources = vec![url(&server, "/m.gguf"), url(&server, "/m2.gguf")];
    let error = bench.pull(&request(sources), &settings).unwrap_err();
    assert!(matches!(error, PullError::DiskFull { free_bytes: 1_000_000, .. }), "{error}");
    assert_eq!((error.kind(), server.seen().len()), (PullErrorKind::Local, 1), "no other source helps");
    assert_eq!(bench.partial(), Vec::<PathBuf>::new());
}

#[test]
fn two_at_once_fetch_once() {
    let barrier = Arc::new(Barrier::new(2));
    let gate = Arc::clone(&barrier);
    let server = Server::start(move |seen, _| {
        // Held until the second pull has had to wait.
        gate.wait();
        file(seen, &model_bytes(), "\"1\"")
    });
    let folder = tempfile::tempdir().unwrap();
    let request = request(vec![url(&server, "/m.gguf")]);
    thread::scope(|scope| {
        let first = scope.spawn(|| pull(&request, folder.path(), &settings(), &mut ()).unwrap());
        let since = Instant::now();
        while server.seen().is_empty() {
            assert!(since.elapsed() < Duration::from_secs(20));
            thread::yield_now();
        }
        struct Waits<'a>(&'a Barrier);
        impl Progress for Waits<'_> {
            fn step(&mut self, step: Step<'_>) {
                if let Step::Note(note) = step {
                    assert!(note.contains("waiting"), "{note}");
                    self.0.wait();
                }
            }
        }
        let second = pull(&request, folder.path(), &settings(), &mut Waits(&barrier)).unwrap();
        assert_eq!(first.join().unwrap(), second);
    });
    assert_eq!(server.seen().len(), 1);
}

/// Not a test of its own: what the next one kills.
#[test]
fn child_of_kill() {
    let (Ok(address), Ok(folder)) = (std::env::var("PULL_CHILD_URL"), std::env::var("PULL_CHILD_DIR")) else {
        return;
    };
    let source = Source::Url { url: address };
    let _ = pull(&request(vec![source]), Path::new(&folder), &settings(), &mut ());
}

#[test]
fn kill_nine_leaves_a_part_and_no_lock() {
    let server = Server::start(|seen, before| match before {
        // Most of it, and then nothing more: the child waits until it is killed.
        0 => Answer { hold: true, ..file(seen, &model_bytes(), "\"1\"").cut(400_000) },
        _ => file(seen, &model_bytes(), "\"1\""),
    });
    let mut bench = Bench::new();
    let address = format!("{}/m.gguf", server.url);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pull::tests::download::child_of_kill"])
        .env("PULL_CHILD_URL", &address)
        .env("PULL_CHILD_DIR", bench.folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !matches!(bench.state(), State::Partial { received_bytes: 1.. }) {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", bench.state());
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.folder.path().join("m.gguf").exists());

    let model = bench.pull(&request(vec![Source::Url { url: address }]), &settings()).unwrap();
    bench.assert_whole(&model);
    let resumed = server.seen().last().unwrap().header("range").map(str::to_owned);
    assert!(resumed.is_some_and(|range| range.starts_with("bytes=")));
}

#[test]
fn terms_come_first() {
    let server = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let terms = Terms { url: "https://example.com/terms".into(), notice: "Read me".into() };
    let model =
        Model { terms: Some(terms), license: "Own Terms".into(), ..model(vec![url(&server, "/m.gguf")]) };
    let request = Request::Model(Box::new(model));
    assert_eq!(request.terms().unwrap().notice, "Read me");
    let mut bench = Bench::new();
    let error = bench.pull(&request, &settings()).unwrap_err();
    assert!(error.to_string().contains("https://example.com/terms"), "{error}");
    assert_eq!((error.kind(), server.seen().len()), (PullErrorKind::Usage, 0));
    let accepted = Settings { accept_terms: true, ..settings() };
    assert!(bench.pull(&request, &accepted).is_ok());
}

#[test]
fn another_model_of_the_same_name_is_not_overwritten() {
    let server = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let mut bench = Bench::new();
    let own = bench.folder.path().join("m.gguf");
    fs::write(&own, "mine").unwrap();
    let from = |path| Request::File { id: "m".into(), source: url(&server, path) };
    assert!(matches!(bench.pull(&from("/m.gguf"), &settings()), Err(PullError::Taken { .. })));
    fs::remove_file(&own).unwrap();
    bench.pull(&from("/m.gguf"), &settings()).unwrap();
    assert!(matches!(bench.pull(&from("/other/m.gguf"), &settings()), Err(PullError::Taken { .. })));
}

#[test]
fn a_damaged_model_is_pulled_again() {
    let server = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let mut bench = Bench::new();
    let request = request(vec![url(&server, "/m.gguf")]);
    let model = bench.pull(&request, &settings()).unwrap();
    fs::write(&model.path, "GGUF").unwrap();
    assert!(matches!(bench.state(), State::Damaged { actual_bytes: 4, .. }));
    assert_eq!(crate::find(bench.folder.path(), "m"), None);
    let again = bench.pull(&request, &settings()).unwrap();
    bench.assert_whole(&again);
}

#[test]
fn a_local_file_is_copied_if_it_is_a_model() {
    let elsewhere = tempfile::tempdir().unwrap();
    let original = elsewhere.path().join("m.gguf");
    fs::write(&original, model_bytes()).unwrap();
    let request = Request::Local { id: "m".into(), path: original.clone() };
    let mut bench = Bench::new();
    let full = Settings { free_space: no_room, ..settings() };
    assert!(matches!(bench.pull(&request, &full), Err(PullError::DiskFull { .. })));
    let model = bench.pull(&request, &settings()).unwrap();
    bench.assert_whole(&model);
    assert_eq!(bench.pull(&request, &settings()).unwrap(), model, "again is fine");

    let text = elsewhere.path().join("n.gguf");
    fs::write(&text, "not a model, but long enough to have a head").unwrap();
    let refused = bench.pull(&Request::Local { id: "n".into(), path: text }, &settings()).unwrap_err();
    assert!(matches!(refused, PullError::NotAModel { .. }), "{refused}");
    let missing = Request::Local { id: "n".into(), path: elsewhere.path().join("none.gguf") };
    assert!(matches!(bench.pull(&missing, &settings()), Err(PullError::Io { .. })));
}

#[test]
fn the_list_reads_as_json() {
    let server = Server::start(|seen, _| file(seen, &model_bytes(), "\"1\""));
    let mut bench = Bench::new();
    let model = bench.pull(&request(vec![url(&server, "/m.gguf")]), &settings()).unwrap();
    let catalog = crate::Catalog::load(Path::new("/nonexistent")).unwrap();
    let listed: Vec<Listed> = crate::list(bench.folder.path(), &catalog).unwrap();
    let json = serde_json::to_value(listed.last().unwrap()).unwrap();
    assert_eq!(json["state"]["status"], "ready");
    assert_eq!(json["path"], model.path.to_str().unwrap());
    assert_eq!(json["record"]["sha256"], model.sha256.to_string());
}
