//! `outcrop chat`: talks to a running server, or to one in this process if none is running.

use std::io::{IsTerminal, Read};

use crate::chat::client::{Client, Options};
use crate::chat::screen;
use crate::chat::session::Session;
use crate::cli;
use crate::config::{Config, Home, Served};
use crate::exit::{Code, Exit, Outcome};
use crate::gateway;

/// Longest question read from a pipe: 1 MiB, more than any context holds.
const PIPED_BYTES: u64 = 1 << 20;

pub(crate) fn run(arguments: cli::Chat) -> Outcome {
    let _logging = crate::logging::start("error");
    // Two threads: one for the conversation, one for the server it may have to start.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| Exit::failed(format!("cannot start: {error}")))?.block_on(chat(arguments))
}

async fn chat(arguments: cli::Chat) -> Outcome {
    let home = Home::open()?;
    let ca = home.tls().join("ca.pem");
    let mut client = Client::new(&arguments.url, arguments.key.clone(), Some(&ca))?;
    let mut local = None;
    if !client.is_up().await {
        let server = start_here(&arguments, &home).await?;
        client = Client::new(&format!("http://{}", server.address), None, None)?;
        local = Some(server);
    }
    let model = match arguments.model {
        Some(model) => model,
        None => client.models().await?.into_iter().next().ok_or_else(|| {
            Exit::new(Code::NotFound, "the server has no models; `outcrop pull` fetches the default one")
        })?,
    };
    let session = Session::new(model, arguments.system);
    let options = Options { max_tokens: arguments.max_tokens, temperature: arguments.temperature };
    let outcome = if std::io::stdin().is_terminal() {
        screen::talk(&client, session, options, &home).await
    } else {
        let mut question = String::new();
        std::io::stdin().take(PIPED_BYTES).read_to_string(&mut question).map_err(Exit::failed)?;
        match question.trim() {
            "" => Err(Exit::usage("nothing was asked: type at a terminal, or pipe a question in")),
            question => screen::once(&client, session, options, question.to_owned()).await,
        }
    };
    if let Some(server) = local {
        server.stop().await;
    }
    outcome
}

/// A server for this conversation only: any free port, no key.
async fn start_here(arguments: &cli::Chat, home: &Home) -> Result<gateway::Local, Exit> {
    let mut config = Config::default();
    let model = arguments.model.as_deref().unwrap_or(catalog::DEFAULT_MODEL);
    config.models.push(Served::named(model));
    eprintln!("no server at {}: loading {model} here", arguments.url);
    gateway::Local::start(config, home).await
}
