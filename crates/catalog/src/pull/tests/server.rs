//! A scripted HTTP server on loopback: every request is answered as the test says.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: HashMap<String, String>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The connection is closed after so many bytes of the body.
    pub(super) cut: Option<usize>,
    /// And the connection is then held open, silent.
    pub(super) hold: bool,
    /// The body comes in chunks, its length untold.
    pub(super) chunked: bool,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }
}

/// A file server that knows ranges and validators.
pub(super) fn file(seen: &Seen, body: &[u8], etag: &str) -> Answer {
    let range = seen.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let fresh = seen.header("if-range").is_none_or(|wanted| wanted == etag);
    let answer = match range.map(|from| from.parse::<usize>().unwrap()) {
        Some(from) if fresh && from >= body.len() => {
            Answer::status(416).with("content-range", format!("bytes */{}", body.len()))
        }
        Some(from) if fresh => Answer { status: 206, ..Answer::ok(&body[from..]) }
            .with("content-range", format!("bytes {from}-{}/{}", body.len() - 1, body.len())),
        _ => Answer::ok(body),
    };
    answer.with("etag", etag)
}

pub(super) struct Server {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts it. `answer` gets every request and how many came before it.
    pub(super) fn start(answer: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        Self { url, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(&Seen, usize) -> Answer,
    log: &Mutex<Vec<Seen>>,
) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let seen = Seen { path, headers };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len() - 1
    };
    let answer = answer(&seen, before);
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
    if answer.chunked {
        head += "transfer-encoding: chunked\r\n";
    } else if !answer.headers.iter().any(|(name, _)| *name == "content-length") {
        head += &format!("content-length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).ok()?;
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len()).min(answer.body.len())];
    if !answer.chunked {
        stream.write_all(body).ok()?;
        if answer.hold {
            // Until the client is gone.
            let _ = stream.read(&mut [0]);
        }
        return Some(());
    }
    for chunk in body.chunks(1000) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).ok()?;
        stream.write_all(chunk).ok()?;
        stream.write_all(b"\r\n").ok()?;
    }
    if answer.cut.is_none() { stream.write_all(b"0\r\n\r\n").ok() } else { None }
}
