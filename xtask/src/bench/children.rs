//! The processes of a run: model server, floor, and Outcrop with a configuration as
//! users have it — two providers, an alias each, a bearer key.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::Result;
use super::load::{Target, Work};

/// How long a process may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Tells the parent where a child listens.
pub(super) fn announce(listener: &TcpListener) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    Ok(out.flush()?)
}

/// Something that forwards.
pub(super) trait Proxy {
    fn name(&self) -> &'static str;
    fn pid(&self) -> u32;
    /// Where and as whom to send work.
    fn target(&self) -> Target;
    /// The work as this proxy does it.
    fn does(&self, work: Work) -> Work;
}

/// A child process, ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn_self(arguments: &[&str]) -> Result<(Running, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = Running(command.arg("bench").args(arguments).stdout(Stdio::piped()).spawn()?);
    let out = child.0.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    Ok((child, line.trim().parse()?))
}

/// The model server.
pub(super) struct Model {
    pub(super) address: SocketAddr,
    _child: Running,
}

impl Model {
    pub(super) fn start() -> Result<Self> {
        let (child, address) = spawn_self(&["model"])?;
        Ok(Self { address, _child: child })
    }
}

/// The bare proxy.
pub(super) struct Floor {
    address: SocketAddr,
    child: Running,
}

impl Floor {
    pub(super) fn start(to: SocketAddr) -> Result<Self> {
        let (child, address) = spawn_self(&["floor", "--to", &to.to_string()])?;
        Ok(Self { address, child })
    }
}

impl Proxy for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn pid(&self) -> u32 {
        self.child.0.id()
    }

    fn target(&self) -> Target {
        Target { address: self.address, key: String::new() }
    }

    /// It translates nothing: its client speaks as the upstream does.
    fn does(&self, work: Work) -> Work {
        work.untranslated()
    }
}

/// The gateway.
pub(super) struct Outcrop {
    address: SocketAddr,
    key: String,
    child: Running,
    _folder: Folder,
}

impl Outcrop {
    pub(super) async fn start(binary: &Path, model: SocketAddr) -> Result<Self> {
        let folder = Folder::new()?;
        let address = free_address()?;
        let config = folder.0.join("outcrop.toml");
        std::fs::write(&config, configuration(address, model))?;

        let mut child = Command::new(binary);
        child.arg("serve").arg("--config").arg(&config);
        child.env("OUTCROP_HOME", &folder.0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Running(child.spawn().map_err(|error| format!("{}: {error}", binary.display()))?);
        let out = child.0.stdout.take().ok_or("no standard output")?;
        let key = read_key(BufReader::new(out))?;
        wait_until_listening(address).await?;
        Ok(Self { address, key, child, _folder: folder })
    }
}

impl Proxy for Outcrop {
    fn name(&self) -> &'static str {
        "outcrop"
    }

    fn pid(&self) -> u32 {
        self.child.0.id()
    }

    fn target(&self) -> Target {
        Target { address: self.address, key: self.key.clone() }
    }

    fn does(&self, work: Work) -> Work {
        work
    }
}

fn configuration(listen: SocketAddr, model: SocketAddr) -> String {
    format!(
        r#"
[server]
listen = "{listen}"
tls = false

[providers.openai]
dialect = "openai-chat"
base_url = "http://{model}/v1"
auth.value = "upstream-key"
models = ["bench-upstream-model"]

[providers.anthropic]
dialect = "anthropic"
base_url = "http://{model}"
auth.value = "upstream-key"
models = ["bench-upstream-model"]

[aliases]
bench-openai = "openai/bench-upstream-model"
bench-anthropic = "anthropic/bench-upstream-model"
"#
    )
}

/// The root key, which is printed on first start, as `export OUTCROP_API_KEY=…`. The
/// rest of the output is read, too, so that the child never waits for us.
fn read_key(mut out: impl BufRead + Send + 'static) -> Result<String> {
    let mut line = String::new();
    let key = loop {
        line.clear();
        if out.read_line(&mut line)? == 0 {
            return Err("outcrop ended before it printed a key".into());
        }
        if let Some((_, key)) = line.split_once("OUTCROP_API_KEY=") {
            break key.trim().trim_matches(['"', '\'']).to_owned();
        }
    };
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    Ok(key)
}

async fn wait_until_listening(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if Instant::now() > deadline {
            return Err(format!("outcrop does not listen on {address}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn free_address() -> Result<SocketAddr> {
    Ok(StdListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A folder of this run's own, removed at its end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("outcrop-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
