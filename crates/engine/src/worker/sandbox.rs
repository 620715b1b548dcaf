//! What a worker gives up, on Linux: a model file is a stranger's data, and its parser and
//! kernels are native code. Reading is left where libraries, drivers and the model lie;
//! writing, the network, other programs and other processes are not.
//!
//! Best effort, layer by layer: an older kernel or a container may lack one, and a worker
//! that is less shut in still answers. One line of the log says what holds. What is
//! denied fails with an error rather than a signal, so that a driver that only probes
//! lives on.

use std::path::{Path, PathBuf};

/// What is needed to shut a worker in.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux shuts it in"))]
pub(super) struct Sandbox {
    /// The model's file, or its folder if it lies in several files, and those beside it.
    models: Vec<PathBuf>,
    /// The one folder it may write to.
    cache: Option<PathBuf>,
}

impl Sandbox {
    /// The sandbox of a worker for the model at `path` and other files that it reads, which may
    /// write to `cache`.
    pub(super) fn around<'p>(
        path: &Path,
        beside: impl Iterator<Item = &'p PathBuf>,
        cache: Option<PathBuf>,
    ) -> Self {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let path = real(path);
        let model = match path.parent() {
            Some(folder) if super::is_split(&path) => folder.to_owned(),
            _ => path,
        };
        let beside = beside.map(|path| real(path));
        Self { models: std::iter::once(model).chain(beside).collect(), cache }
    }

    /// Shuts this thread and all that it will start in; other programs, processes and the
    /// network are shut off for threads that run already, too.
    pub(super) fn enter(&self, name: &str) {
        let (files, calls) = (files(self), calls());
        tracing::info!(model = name, files, calls, "the worker is shut in as far as this system can");
    }
}

/// Where libraries, drivers and facts about the machine lie.
#[cfg(target_os = "linux")]
const READABLE: [&str; 8] = ["/usr", "/lib", "/lib64", "/opt", "/nix", "/etc", "/proc", "/sys"];
/// Devices are opened to be written to.
#[cfg(target_os = "linux")]
const DEVICES: &str = "/dev";

#[cfg(target_os = "linux")]
fn files(sandbox: &Sandbox) -> &'static str {
    use landlock::RulesetStatus;
    match restrict_files(sandbox) {
        Ok(RulesetStatus::FullyEnforced) => "read-only, few",
        Ok(RulesetStatus::PartiallyEnforced) => "read-only, few (as far as this kernel's Landlock goes)",
        Ok(RulesetStatus::NotEnforced) => "all: this kernel has no Landlock",
        Err(error) => {
            tracing::debug!(%error, "Landlock");
            "all: Landlock failed"
        }
    }
}

#[cfg(target_os = "linux")]
fn restrict_files(
    Sandbox { models, cache }: &Sandbox,
) -> Result<landlock::RulesetStatus, landlock::RulesetError> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules,
    };
    // What the third version knows: the fifth would also take a GPU's ioctls away.
    let (read, all) = (AccessFs::from_read(ABI::V3), AccessFs::from_all(ABI::V3));
    let ruleset = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .create()?
        // Folders that are not there are passed over.
        .add_rules(path_beneath_rules(READABLE, read))?
        .add_rules(path_beneath_rules([DEVICES], read | AccessFs::WriteFile | AccessFs::Truncate))?
        .add_rules(path_beneath_rules(models, read))?
        .add_rules(path_beneath_rules(cache.as_slice(), all))?;
    Ok(ruleset.restrict_self()?.ruleset)
}

#[cfg(target_os = "linux")]
fn calls() -> &'static str {
    let applied = denied_calls().and_then(|program| {
        seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())
    });
    match applied {
        Ok(()) => "no network, no programs, no other processes",
        Err(error) => {
            tracing::debug!(error, "seccomp");
            "all: seccomp failed"
        }
    }
}

/// The filter that denies system calls which no computing needs: a list of what is denied rather than of
/// what is allowed, since GPU drivers differ in what they use.
#[cfg(target_os = "linux")]
fn denied_calls() -> Result<seccompiler::BpfProgram, String> {
    use seccompiler::{
        SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch,
    };
    let rule = |argument, operator, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
        SeccompRule::new(vec![condition.map_err(|error| error.to_string())?])
            .map_err(|error| error.to_string())
    };
    let own = u64::from(std::process::id());
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let mut rules: std::collections::BTreeMap<_, _> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    // Itself it may signal: that is how `abort` works.
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![rule(0, SeccompCmpOp::Ne, own)?]);
    }
    // Threads, but no processes. (clone3 hides its flags; what it starts inherits this.)
    rules.insert(libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(thread), 0)?]);
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, target);
    filter.and_then(TryInto::try_into).map_err(|error: seccompiler::BackendError| error.to_string())
}

/// System calls that are denied whatever their arguments.
#[cfg(target_os = "linux")]
const DENIED: &[i64] = &[
    // the network, and local services
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // the same by other doors
    libc::SYS_io_uring_setup,
    libc::SYS_open_by_handle_at,
    // other programs and processes
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // the kernel
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_reboot,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

#[cfg(not(target_os = "linux"))]
fn files(_: &Sandbox) -> &'static str {
    "all: only Linux has a sandbox here"
}

#[cfg(not(target_os = "linux"))]
fn calls() -> &'static str {
    "all"
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::{File, create_dir, read, write};
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::process::Command;

    use super::*;

    /// On a thread of its own: there is no way out.
    fn inside<T: Send>(look: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(look).join().unwrap())
    }

    fn denied<T: std::fmt::Debug>(outcome: std::io::Result<T>) {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn only_the_model_is_read_and_only_the_cache_is_written() {
        let home = tempfile::tempdir().unwrap();
        let (models, cache) = (home.path().join("models"), home.path().join("cache"));
        create_dir(&models).unwrap();
        create_dir(&cache).unwrap();
        let (model, secret) = (models.join("m.gguf"), models.join("secret"));
        write(&model, "GGUF").unwrap();
        let projector = models.join("mmproj-m.gguf");
        write(&projector, "GGUF").unwrap();
        write(&secret, "s").unwrap();
        let sandbox = Sandbox::around(&model, std::iter::once(&projector), Some(cache.clone()));
        inside(|| {
            // A kernel without Landlock can only say so; the log does.
            if restrict_files(&sandbox).unwrap() == landlock::RulesetStatus::NotEnforced {
                return;
            }
            assert_eq!(read(&model).unwrap(), b"GGUF");
            assert_eq!(read(&projector).unwrap(), b"GGUF");
            denied(read(&secret));
            denied(File::create(models.join("new")));
            denied(File::options().append(true).open(&model));
            denied(
                TcpListener::bind("127.0.0.1:0").and_then(|_| std::net::TcpStream::connect("127.0.0.1:9")),
            );
            write(cache.join("kept"), "k").unwrap();
            assert!(read("/proc/cpuinfo").is_ok() && read("/etc/passwd").is_ok());
        });
        assert!(read(&secret).is_ok(), "others are free");
    }

    #[test]
    fn a_model_in_several_files_is_read_whole() {
        let home = tempfile::tempdir().unwrap();
        let first = home.path().join("m-00001-of-00002.gguf");
        write(&first, "GGUF").unwrap();
        assert_eq!(Sandbox::around(&first, [].iter(), None).models, [home.path().canonicalize().unwrap()]);
    }

    #[test]
    fn no_network_no_programs_no_other_processes() {
        use rustix::process::{getpid, getppid, test_kill_process};
        inside(|| {
            seccompiler::apply_filter(&denied_calls().unwrap()).unwrap();
            denied(TcpListener::bind("127.0.0.1:0"));
            denied(std::os::unix::net::UnixDatagram::unbound());
            denied(Command::new("/bin/true").status());
            denied(test_kill_process(getppid().unwrap()).map_err(Into::into));
            assert!(test_kill_process(getpid()).is_ok(), "that is how it aborts");
            assert!(std::thread::spawn(|| 1).join().is_ok(), "computing needs threads");
        });
        assert!(TcpListener::bind("127.0.0.1:0").is_ok(), "others are free");
    }
}
