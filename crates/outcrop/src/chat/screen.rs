//! The terminal side of a chat: lines in, answers out, Ctrl-C.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use rustyline::error::ReadlineError;

use crate::chat::client::{Client, Cost, Options};
use crate::chat::session::{HELP, Input, Session};
use crate::config::Home;
use crate::exit::{Code, Exit, Outcome};

/// Talks until the user leaves.
pub(crate) async fn talk(client: &Client, mut session: Session, options: Options, home: &Home) -> Outcome {
    println!("{} · /help for commands, Ctrl-D to leave", session.model);
    let mut lines = Lines::open(home)?;
    loop {
        let line;
        (lines, line) = lines.next().await?;
        let Some(line) = line else { return Ok(()) };
        match Input::parse(&line) {
            Input::Empty => {}
            Input::Say(question) => answer(client, &mut session, &options, question).await,
            Input::Retry => match session.retry() {
                Some(question) => answer(client, &mut session, &options, question).await,
                None => println!("nothing was asked yet"),
            },
            Input::Help => println!("{HELP}"),
            Input::Models => match client.models().await {
                Ok(models) => println!("{}", models.join("\n")),
                Err(error) => drop(error.report()),
            },
            Input::Model(model) => {
                println!("now talking to {model}");
                session.model = model;
            }
            Input::System(text) => {
                println!("{}", if text.is_some() { "instructions set" } else { "instructions removed" });
                session.system = text;
            }
            Input::Clear => {
                session.clear();
                println!("forgotten");
            }
            Input::Save(file) => save(&session, &file),
            Input::Quit => return Ok(()),
            Input::Unknown(line) => println!("{line}? /help lists the commands"),
        }
    }
}

/// One question from a pipe: the answer to standard output, nothing else.
pub(crate) async fn once(
    client: &Client,
    mut session: Session,
    options: Options,
    question: String,
) -> Outcome {
    session.ask(question);
    client.ask(&session, &options, &mut print).await?;
    println!();
    Ok(())
}

/// Asks and prints; Ctrl-C stops the answer and not the chat.
async fn answer(client: &Client, session: &mut Session, options: &Options, question: String) {
    session.ask(question);
    let started = Instant::now();
    let mut text = String::new();
    let mut first = None;
    let mut say = |piece: &str| {
        first.get_or_insert_with(|| started.elapsed());
        text.push_str(piece);
        print(piece);
    };
    let asked = tokio::select! {
        asked = client.ask(session, options, &mut say) => Some(asked),
        _ = tokio::signal::ctrl_c() => None,
    };
    println!();
    match asked {
        Some(Ok(cost)) => {
            footer(cost, first.unwrap_or_default().as_secs_f64(), started.elapsed().as_secs_f64())
        }
        Some(Err(error)) => drop(error.report()),
        None => println!("(stopped)"),
    }
    session.answered(text);
}

fn footer(cost: Cost, first_s: f64, total_s: f64) {
    let rate = cost.output_tokens as f64 / (total_s - first_s).max(1e-3);
    let line = format!(
        "{} in, {} out, first after {first_s:.1} s, {rate:.0} tokens/s",
        cost.input_tokens, cost.output_tokens
    );
    // Dim, where the terminal can.
    if std::io::stdout().is_terminal() { println!("\x1b[2m{line}\x1b[0m") } else { println!("{line}") }
}

/// Prints a piece of an answer at once. Control characters a model may be talked into
/// are shown, not obeyed: an answer must not move the cursor or retitle the terminal.
fn print(piece: &str) {
    let safe: String = piece
        .chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    print!("{safe}");
    // A closed pipe ends the process at the next write; there is nobody to tell.
    let _ = std::io::stdout().flush();
}

fn save(session: &Session, file: &str) {
    let text = serde_json::to_string_pretty(&session.messages()).unwrap_or_default();
    match std::fs::write(file, text) {
        Ok(()) => println!("saved to {file}"),
        Err(error) => println!("cannot write {file}: {error}"),
    }
}

/// The line editor, with history kept in the data folder.
struct Lines {
    editor: rustyline::DefaultEditor,
    history: std::path::PathBuf,
}

impl Lines {
    fn open(home: &Home) -> Result<Self, Exit> {
        let mut editor = rustyline::DefaultEditor::new()
            .map_err(|error| Exit::failed(format!("cannot read this terminal: {error}")))?;
        let history = home.path().join("chat_history");
        // The first chat has no history.
        let _ = editor.load_history(&history);
        Ok(Self { editor, history })
    }

    /// The next line, which may span several that end in `\`; `None` at Ctrl-D. Reading
    /// blocks, so it happens on a blocking thread.
    async fn next(mut self) -> Result<(Self, Option<String>), Exit> {
        tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            loop {
                match self.editor.readline(if text.is_empty() { "> " } else { "… " }) {
                    Ok(line) => {
                        text.push_str(&line);
                        if !text.ends_with('\\') {
                            break;
                        }
                        text.pop();
                        text.push('\n');
                    }
                    Err(ReadlineError::Interrupted) => {
                        text.clear();
                        println!("(Ctrl-D leaves)");
                    }
                    Err(ReadlineError::Eof) => return Ok((self, None)),
                    Err(error) => return Err(Exit::new(Code::Failed, error)),
                }
            }
            let _ = self.editor.add_history_entry(&text);
            let _ = self.editor.append_history(&self.history);
            Ok((self, Some(text)))
        })
        .await
        .map_err(Exit::failed)?
    }
}
