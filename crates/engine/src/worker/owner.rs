//! The thread that owns the model: loads it, says so, and turns its crank.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::load::{self, Loaded, Reads};
use super::prepare::{self, Inboxes, Job, Preparer, Work};
use super::sandbox::Sandbox;
use super::{Link, embed, thread};
use crate::protocol::Report;
use crate::scheduler::Disk;
use crate::thread::{Ended, Shared};
use crate::{Adapter, Config, LoadError};

/// Everything that the thread takes with it.
pub(super) struct Owner {
    pub(super) path: PathBuf,
    pub(super) projector: Option<PathBuf>,
    pub(super) name: String,
    pub(super) config: Config,
    pub(super) adapters: Vec<Adapter>,
    /// Where it keeps what was computed of prompts.
    pub(super) disk: Option<Disk>,
    /// To be entered once the model is loaded, if not yet.
    pub(super) sandbox: Option<Sandbox>,
    pub(super) link: Arc<Link>,
    pub(super) shared: Arc<Shared>,
    pub(super) inboxes: Arc<Inboxes>,
    pub(super) waiting: Receiver<Job>,
    pub(super) work: Work,
}

impl Owner {
    /// The thread's whole life.
    pub(super) fn run(self) -> Result<(), Ended> {
        let Self {
            path,
            projector,
            name,
            config,
            adapters,
            disk,
            sandbox,
            link,
            shared,
            inboxes,
            waiting,
            work,
        } = self;
        let Loaded { model, ready, reads } =
            load::load(&path, projector.as_deref(), &name, &config, &adapters, progress(&link))?;
        if let Some(sandbox) = sandbox {
            sandbox.enter(&name);
        }
        let chats = matches!(reads, Reads::Chats(_));
        let tokens = ready.info.max_call_tokens;
        let places = config.slots as usize + config.queue;
        let preparer = Preparer { reads, link: Arc::clone(&link), inboxes, places };
        let begin = || {
            prepare::start(preparer, waiting).map_err(LoadError::Thread)?;
            // A gateway that is gone is noticed by who reads the socket.
            let _ = link.tell(&Report::Ready(ready));
            Ok(())
        };
        match chats {
            true => thread::run(&model, &config, disk, &work.chats, &shared, &link, begin),
            false => embed::run(&model, &config, tokens, &work.inputs, &shared, &link, begin),
        }
    }
}

/// Tells the gateway how far loading is, at every hundredth.
fn progress(link: &Arc<Link>) -> impl FnMut(f32) + 'static {
    let (link, mut told) = (Arc::clone(link), 0.0);
    move |done| {
        if done >= told + 0.01 {
            told = done;
            let _ = link.tell(&Report::Loading(done));
        }
    }
}
