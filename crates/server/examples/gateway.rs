//! Stand-in binary for the benchmark.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use message::{BoxService, ModelCard};
use std::collections::BTreeMap;
use std::sync::Arc;
#[global_allocator]
static ALLOC: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[derive(serde::Deserialize)]
struct Config {
    server: server::Config,
    providers: BTreeMap<String, upstream::Provider>,
    aliases: BTreeMap<String, String>,
}
fn main() {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(run());
}
async fn run() {
    let path = std::env::args().nth(3).unwrap();
    let config: Config = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let home = std::env::var("OUTCROP_HOME").unwrap();
    let store = store::Store::open(std::path::Path::new(&home)).await.unwrap();
    let keys = platform::keys::Keys::load(store).await.unwrap();
    let root = keys.ensure_root().await.unwrap().unwrap();
    let mut targets = platform::route::Targets::default();
    for (name, provider) in &config.providers {
        let transport = upstream::Transport::open(name, provider).unwrap();
        for model in &provider.models {
            let card = ModelCard {
                id: format!("{name}/{model}").into(),
                name: model.clone(),
                provider: name.clone(),
                created_s: 0,
                context_length: None,
                images: false,
                alias_of: vec![],
            };
            targets
                .add(platform::route::Target {
                    service: BoxService::new(upstream::Remote::new(&transport, model.as_str())),
                    card,
                })
                .unwrap();
        }
    }
    for (name, to) in &config.aliases {
        targets.alias(name, to).unwrap();
    }
    let route = platform::route::Route::new(targets);
    let service = platform::stack::build(route.clone());
    let listeners = server::Listeners::bind(&config.server, None).await.unwrap();
    let gateway = server::Gateway {
        service,
        auth: server::Auth::Keys(Arc::new(keys)),
        cards: Arc::new(move || route.cards()),
        readiness: Arc::new(Vec::new),
    };
    println!("export OUTCROP_API_KEY={}", root.bearer.expose());
    server::serve(config.server, listeners, gateway, server::signals().unwrap()).await.unwrap();
}
