//! Where a secret is: in the environment, a file, a command's output, or the table.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use message::Secret;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::cached::{Cached, Fresh};
use super::{Auth, Plain};

/// How often a file is read again: a rotated secret is in use after a second.
const FILE_REREAD: Duration = Duration::from_secs(1);

/// How long the last content of a file is used after it cannot be read any more: it may
/// be replaced in two steps.
const FILE_GRACE: Duration = Duration::from_secs(60);

/// Bytes of a secret's file or of a command's output that are read: the largest tokens
/// have a few thousand.
const SECRET_MAX_BYTES: u64 = 64 << 10;

/// What a command may take. Those that ask a vault or a login service take seconds.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a command's output is used when it does not say how long it lasts.
const COMMAND_KEPT: Duration = Duration::from_secs(300);

/// Part of a lifetime after which the next secret is fetched.
const RENEW_AT: f64 = 0.8;

/// A secret, as configured.
pub(super) enum Source {
    /// It stays.
    Fixed(Secret),
    /// It may change.
    Changing(Changing),
}

/// A secret that is read again.
pub(crate) struct Changing {
    origin: Origin,
    cached: Cached<Secret>,
}

enum Origin {
    File(PathBuf),
    Command(Vec<String>),
}

impl Source {
    /// What is configured; `None` for nothing.
    pub(super) fn open(auth: &Auth) -> Result<Option<Self>, String> {
        let given = [!auth.env.is_empty(), auth.file.is_some(), auth.command.is_some(), auth.value.is_some()];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err("give only one of `env`, `file`, `command` and `value`".to_owned());
        }
        if let Some(Plain(secret)) = &auth.value {
            return clean(secret.expose()).map(|secret| Some(Self::Fixed(secret)));
        }
        if let Some(path) = &auth.file {
            // Said at start rather than at the first call.
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            clean(&text)?;
            return Ok(Some(Self::changing(Origin::File(path.clone()))));
        }
        if let Some(command) = &auth.command {
            return match command.first() {
                Some(program) if !program.is_empty() => {
                    Ok(Some(Self::changing(Origin::Command(command.clone()))))
                }
                _ => Err("`command` is empty: write the program and its arguments".to_owned()),
            };
        }
        match auth.env_found() {
            Some(name) => {
                let text = std::env::var(name).map_err(|_| unset(&auth.env))?;
                clean(&text).map(|secret| Some(Self::Fixed(secret)))
            }
            None if auth.env.is_empty() || auth.optional => Ok(None),
            None => Err(unset(&auth.env)),
        }
    }

    fn changing(origin: Origin) -> Self {
        Self::Changing(Changing { origin, cached: Cached::new() })
    }
}

impl Changing {
    /// The secret as it is now.
    pub(super) async fn get(&self) -> Result<Arc<Secret>, String> {
        match &self.origin {
            Origin::File(path) => {
                self.cached
                    .get(|| async {
                        let value = read(path).await?;
                        Ok(Fresh { value, renew_in: FILE_REREAD, expires_in: FILE_REREAD + FILE_GRACE })
                    })
                    .await
            }
            Origin::Command(command) => self.cached.get(|| run(command)).await,
        }
    }
}

async fn read(path: &Path) -> Result<Secret, String> {
    let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(path, &error))?;
    let mut text = String::new();
    file.take(SECRET_MAX_BYTES).read_to_string(&mut text).await.map_err(|error| unreadable(path, &error))?;
    clean(&text)
}

/// Runs a command; what it prints is read to a bound, what it complains about is not shown.
async fn run(command: &[String]) -> Result<Fresh<Secret>, String> {
    let [program, arguments @ ..] = command else { return Err("`command` is empty".to_owned()) };
    let failed = |what: String| format!("the command `{program}` {what}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    let output = child.stdout.take();
    let work = async {
        let mut text = String::new();
        if let Some(output) = output {
            output.take(SECRET_MAX_BYTES).read_to_string(&mut text).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, text))
    };
    let (status, text) = tokio::time::timeout(COMMAND_TIMEOUT, work)
        .await
        .map_err(|_| failed(format!("took longer than {} s", COMMAND_TIMEOUT.as_secs())))?
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    if !status.success() {
        return Err(failed(format!("failed ({status})")));
    }
    printed(&text).map_err(failed)
}

#[derive(Deserialize)]
struct Printed {
    secret: String,
    expires_in: Option<f64>,
}

/// A bare secret, or JSON that says how long it lasts.
fn printed(text: &str) -> Result<Fresh<Secret>, String> {
    let (secret, lifetime) = match serde_json::from_str::<Printed>(text) {
        Ok(printed) => {
            let lifetime = printed.expires_in.map(Duration::try_from_secs_f64).transpose();
            (printed.secret, lifetime.map_err(|_| "printed an `expires_in` that is no number of seconds")?)
        }
        Err(_) => (text.to_owned(), None),
    };
    let value = clean(&secret).map_err(|why| format!("printed nothing of use: {why}"))?;
    let expires_in = lifetime.unwrap_or(COMMAND_KEPT);
    Ok(Fresh { value, renew_in: expires_in.mul_f64(RENEW_AT), expires_in })
}

fn clean(text: &str) -> Result<Secret, String> {
    match text.trim() {
        "" => Err("the secret is empty".to_owned()),
        text if text.bytes().any(|byte| byte < b' ') => {
            Err("the secret holds characters that cannot stand in a header".to_owned())
        }
        text => Ok(Secret::new(text)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read file `{}`: {error}", path.display())
}

fn unset(names: &[String]) -> String {
    match names {
        [name] => format!("environment variable `{name}` is not set (or not UTF-8)"),
        names => format!("none of the environment variables `{}` is set", names.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changing(auth: &Auth) -> Changing {
        match Source::open(auth) {
            Ok(Some(Source::Changing(changing))) => changing,
            _ => unreachable!("a file or a command"),
        }
    }

    fn command(script: &str) -> Auth {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        Auth { command: Some(command), ..Auth::default() }
    }

    #[tokio::test]
    async fn a_file_that_changes_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "one\n").unwrap();
        let secret = changing(&Auth { file: Some(path.clone()), ..Auth::default() });
        assert_eq!(secret.get().await.unwrap().expose(), "one");
        std::fs::write(&path, "two\n").unwrap();
        let next = async {
            while secret.get().await.unwrap().expose() != "two" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("the new one within a second or so");
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(FILE_REREAD + Duration::from_millis(50)).await;
        assert_eq!(secret.get().await.unwrap().expose(), "two", "for a while");
    }

    #[tokio::test]
    async fn a_command_runs_once_and_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        let secret = changing(&command(&format!("echo x >> {}; echo ' s3cret '", count.display())));
        for _ in 0..3 {
            assert_eq!(secret.get().await.unwrap().expose(), "s3cret");
        }
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n");
    }

    #[tokio::test]
    async fn what_a_failed_command_printed_is_told_to_nobody() {
        for (script, told) in [
            ("echo s3cret; exit 3", "exit status: 3"),
            ("true", "empty"),
            ("printf 'a\\001b'", "characters"),
            ("echo '{\"secret\":\"a\",\"expires_in\":-1}'", "expires_in"),
        ] {
            let error = changing(&command(script)).get().await.unwrap_err();
            assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
        }
        let absent = Auth { command: Some(vec!["/no/such/program".into()]), ..Auth::default() };
        assert!(changing(&absent).get().await.unwrap_err().contains("cannot be run"));
    }

    #[test]
    fn a_command_may_say_how_long_its_secret_lasts() {
        let fresh = printed(r#"{"secret": "k", "expires_in": 100}"#).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(
            (fresh.value.expose(), fresh.expires_in.as_secs(), fresh.renew_in.as_secs()),
            ("k", 100, 80)
        );
        let bare = printed("k\n").unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((bare.value.expose(), bare.expires_in), ("k", COMMAND_KEPT));
    }
}
