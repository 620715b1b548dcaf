//! `outcrop serve`: everything, until a signal.

mod welcome;

use std::sync::Arc;

use platform::keys::Keys;
use platform::responses::Responses;
use server::{Auth, Listeners, Phase};

use crate::cli;
use crate::config::{Config, Home};
use crate::exit::{Exit, Outcome};
use crate::gateway::Parts;

pub(crate) fn run(arguments: cli::Serve) -> Outcome {
    let _logging = crate::logging::start("info");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Exit::failed(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(serve(arguments));
    // A download or a model load under way must not hold up the end: what it wrote is
    // under a name that does not count as a model.
    runtime.shutdown_background();
    outcome
}

async fn serve(arguments: cli::Serve) -> Outcome {
    let config = configure(&arguments)?;
    let home = Home::open()?;
    let parts = Arc::new(Parts::new(&config, &home)?);
    let listeners = listen(&config, &home).await?;
    let welcome = welcome::Welcome::new(&listeners, parts.names());
    let store = store::Store::open(home.path()).await.map_err(Exit::failed)?;
    let auth = authenticate(arguments.dev, store.clone(), &welcome).await?;
    let responses = Responses::open(store, config.responses);

    let shutdown = server::signals().map_err(Exit::failed)?;
    let serving = server::serve(
        config.server.clone(),
        listeners,
        parts.gateway(auth, Some(responses.clone())),
        shutdown.clone(),
    );
    let loading = {
        let parts = Arc::clone(&parts);
        tokio::task::spawn_blocking(move || parts.load(&config, &home))
    };
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map_err(Exit::failed),
        loaded = loading => loaded.map_err(Exit::failed)??,
    }
    if shutdown.phase() == Phase::Serving {
        welcome.ready();
    }
    serving.await.map_err(Exit::failed)?;
    responses.flush().await;
    tracing::info!("stopped");
    Ok(())
}

fn configure(arguments: &cli::Serve) -> Result<Config, Exit> {
    let mut config = Config::load(arguments.source.config.as_deref())?;
    if !arguments.models.is_empty() {
        config.serve_only(&arguments.models);
    }
    if let Some(address) = arguments.listen {
        config.server.listen = address;
    }
    if let Some(address) = arguments.tls_listen {
        config.server.tls_listen = address;
    }
    config.server.check().map_err(Exit::usage)?;
    let public = [config.server.listen, config.server.tls_listen].into_iter().find(|a| !a.ip().is_loopback());
    if let (true, Some(address)) = (arguments.dev, public) {
        return Err(Exit::usage(format!(
            "--dev lets anybody in, so it serves loopback only; {address} is not"
        )));
    }
    Ok(config)
}

/// Binds before anything slow: a taken port is said at once.
async fn listen(config: &Config, home: &Home) -> Result<Listeners, Exit> {
    let tls = if config.server.tls {
        let local = server::tls::Local::open(&home.tls(), &config.server.tls_names).map_err(Exit::failed)?;
        Some(local.server_config())
    } else {
        None
    };
    Listeners::bind(&config.server, tls).await.map_err(Exit::failed)
}

/// Who may call. The first start makes the root key and shows it, once.
async fn authenticate(dev: bool, store: store::Store, welcome: &welcome::Welcome) -> Result<Auth, Exit> {
    if dev {
        tracing::warn!("--dev: ANY credential is accepted, from this machine only");
        return Ok(Auth::Dev);
    }
    let keys = Keys::load(store).await.map_err(Exit::failed)?;
    if let Some(root) = keys.ensure_root().await.map_err(Exit::failed)? {
        welcome.root_key(&root);
    }
    tokio::spawn(keys.clone().watch());
    Ok(Auth::Keys(Arc::new(keys)))
}
