//! `outcrop pull`: fetches a model, with a progress bar for people and JSON for scripts.

use catalog::{Action, Catalog, LocalModel, Progress, PullError, PullErrorKind, Request, Settings, Step};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli;
use crate::command::models;
use crate::config::Home;
use crate::exit::{Code, Exit, Outcome};
use crate::terminal::size;

pub(crate) fn run(arguments: cli::Pull) -> Outcome {
    let _logging = crate::logging::start("warn");
    let home = Home::open()?;
    let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
    let request = Request::parse(&arguments.model, &catalog).map_err(fail)?;
    if let Some(terms) = request.terms() {
        eprintln!("{}\n{}", terms.notice, terms.url);
    }
    let mut settings = Settings::from_env();
    settings.accept_terms = arguments.accept_terms;
    let model = fetch(&request, &home, &settings)?;
    let derived = if arguments.no_derive { None } else { models::after_pull(&model.id, &home, &settings) };
    if arguments.json {
        let pulled = Pulled { model: &model, derived: derived.as_ref() };
        println!("{}", serde_json::to_string_pretty(&pulled).map_err(Exit::failed)?);
        return Ok(());
    }
    println!("{} is here: {} ({})", model.id, model.path.display(), size(model.size_bytes));
    if let Some(derived) = derived {
        models::tell(&model.id, &derived);
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Pulled<'a> {
    #[serde(flatten)]
    model: &'a LocalModel,
    #[serde(skip_serializing_if = "Option::is_none")]
    derived: Option<&'a LocalModel>,
}

/// Fetches a model, showing how far it is. Blocks.
pub(crate) fn fetch(request: &Request, home: &Home, settings: &Settings) -> Result<LocalModel, Exit> {
    watched(|progress| catalog::pull(request, &home.models(), settings, progress)).map_err(fail)
}

/// Does something that takes a while under a progress bar.
pub(crate) fn watched<T>(work: impl FnOnce(&mut dyn Progress) -> T) -> T {
    let mut bar = Bar(None);
    let done = work(&mut bar);
    bar.clear();
    done
}

/// A failed pull with the exit code scripts expect.
pub(crate) fn fail(error: PullError) -> Exit {
    let code = match error.kind() {
        PullErrorKind::Usage => Code::Usage,
        PullErrorKind::NotFound => Code::NotFound,
        PullErrorKind::Network => Code::Network,
        PullErrorKind::Local => Code::Failed,
    };
    Exit::new(code, error)
}

/// A progress bar on standard error; draws nothing where that is no terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn clear(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Begin { action, name, done_bytes, total_bytes } => {
                self.clear();
                let verb = match action {
                    Action::Download => "fetching",
                    Action::Verify => "verifying",
                    Action::Extract => "unpacking",
                    Action::Convert => "converting",
                    Action::Derive => "rewriting as Q8_0",
                };
                eprintln!(
                    "{verb} {name}{}",
                    total_bytes.map(|bytes| format!(" ({})", size(bytes))).unwrap_or_default()
                );
                let bar = match total_bytes {
                    Some(bytes) => ProgressBar::new(bytes).with_style(style()),
                    None => ProgressBar::new_spinner(),
                };
                bar.set_position(done_bytes);
                bar.reset_eta();
                self.0 = Some(bar);
            }
            Step::Advance { done_bytes } => {
                if let Some(bar) = &self.0 {
                    bar.set_position(done_bytes);
                }
            }
            Step::Note(text) => match &self.0 {
                Some(bar) => bar.suspend(|| eprintln!("{text}")),
                None => eprintln!("{text}"),
            },
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "  {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
    )
    .expect("the template above is well-formed")
}
