//! How a model's worker process is started: this program again, as `outcrop worker`.

use std::process::Command;

use crate::exit::Exit;
use crate::logging;

/// OpenMP's threads spin while they wait for each other, unless told to sleep. On a
/// machine with other work, two that spun made one call take 37 seconds.
const WAIT_POLICY: (&str, &str) = ("OMP_WAIT_POLICY", "passive");

/// A command that runs a worker.
pub(super) fn command() -> Result<Command, Exit> {
    let mut command = this_program()?;
    command.arg("worker");
    if std::env::var_os(WAIT_POLICY.0).is_none() {
        command.env(WAIT_POLICY.0, WAIT_POLICY.1);
    }
    command.envs(logging::inherited());
    Ok(command)
}

/// The very file that runs, also after an upgrade put another in its place.
#[cfg(target_os = "linux")]
fn this_program() -> Result<Command, Exit> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("outcrop");
    Ok(command)
}

#[cfg(not(target_os = "linux"))]
fn this_program() -> Result<Command, Exit> {
    std::env::current_exe().map(Command::new).map_err(|error| {
        Exit::failed(format!("cannot find this program's own file, to run models with: {error}"))
    })
}
