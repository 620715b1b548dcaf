//! `outcrop pull`: fetches a model, with a progress bar for people and JSON for scripts.

use catalog::{Action, Catalog, LocalModel, Progress, PullError, PullErrorKind, Request, Settings, Step};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli;
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
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&model).map_err(Exit::failed)?);
    } else {
        println!("{} is here: {} ({})", model.id, model.path.display(), size(model.size_bytes));
    }
    Ok(())
}

/// Fetches a model, showing how far it is. Blocks.
pub(crate) fn fetch(request: &Request, home: &Home, settings: &Settings) -> Result<LocalModel, Exit> {
    let mut bar = Bar(None);
    let pulled = catalog::pull(request, &home.models(), settings, &mut bar);
    bar.clear();
    pulled.map_err(fail)
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
