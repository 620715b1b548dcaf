//! `outcrop providers`: which are known, which are configured, and whether one can be
//! reached.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upstream::{Auth, Known, Provider, Scheme, Step};

use crate::cli;
use crate::cli::ProvidersAction;
use crate::command::block_on;
use crate::config::Config;
use crate::exit::{Code, Exit, Outcome};
use crate::terminal::table;

pub(crate) fn run(arguments: cli::Providers) -> Outcome {
    let _logging = crate::logging::start("warn");
    match arguments.action {
        ProvidersAction::List { source, json } => list(&Config::load(source.config.as_deref())?, json),
        ProvidersAction::Test { source, name, model, json } => {
            let config = Config::load(source.config.as_deref())?;
            block_on(test(&config, &name, model.as_deref(), json))
        }
    }
}

/// One line of the list.
struct Row {
    name: String,
    title: String,
    dialects: Vec<&'static str>,
    credential: String,
    configured: bool,
}

fn list(config: &Config, json: bool) -> Outcome {
    let rows = rows(&config.providers)?;
    if json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "title": row.title, "dialects": row.dialects,
                    "credential": row.credential, "configured": row.configured,
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows).map_err(Exit::failed)?);
        return Ok(());
    }
    let cells: Vec<[String; 5]> = rows
        .into_iter()
        .map(|row| {
            let configured = if row.configured { "yes" } else { "" };
            [row.name, row.dialects.join(" "), configured.to_owned(), row.credential, row.title]
        })
        .collect();
    println!("{}", table(["NAME", "DIALECTS", "CONFIGURED", "CREDENTIAL", "TITLE"], &cells));
    println!("\n`[providers.NAME]` in outcrop.toml uses one; `outcrop providers test NAME` tries it.");
    Ok(())
}

/// What is configured first, then what is only known.
fn rows(configured: &BTreeMap<String, Provider>) -> Result<Vec<Row>, Exit> {
    let mut rows = Vec::with_capacity(configured.len() + Known::all().len());
    for (name, provider) in configured {
        let resolved =
            provider.resolve(name).map_err(|error| Exit::usage(format!("providers.{name}: {error}")))?;
        let known = provider.known(name).map_err(Exit::usage)?;
        rows.push(Row {
            name: name.clone(),
            title: known.map_or_else(|| resolved.base_url.clone(), |known| known.title.clone()),
            dialects: resolved.dialects.iter().map(|place| place.speaks.name()).collect(),
            credential: credential(&resolved.auth),
            configured: true,
        });
    }
    rows.extend(Known::all().iter().filter(|known| !configured.contains_key(&known.name)).map(|known| Row {
        name: known.name.clone(),
        title: known.title.clone(),
        dialects: known.dialects.iter().map(|speaks| speaks.name()).collect(),
        credential: credential(&known.auth),
        configured: false,
    }));
    Ok(rows)
}

/// Where the secret would come from; never the secret.
fn credential(auth: &Auth) -> String {
    if let Some(env) = auth.env_found() {
        return format!("{env} is set");
    }
    if let Some(file) = &auth.file {
        return format!("file {}", file.display());
    }
    match (&auth.command, &auth.value, auth.scheme) {
        (Some(command), ..) => format!("command {}", command.first().map_or("", String::as_str)),
        (_, Some(_), _) => "in the configuration".to_owned(),
        (.., Some(Scheme::Aws)) => "AWS credential chain".to_owned(),
        (.., Some(Scheme::Google)) => "Google application default credentials".to_owned(),
        _ if auth.env.is_empty() => "none".to_owned(),
        _ => {
            let optional = if auth.optional { " (optional)" } else { "" };
            format!("{} not set{optional}", auth.env.join(", "))
        }
    }
}

async fn test(config: &Config, name: &str, model: Option<&str>, json: bool) -> Outcome {
    let fresh = Provider::default();
    let provider = match config.providers.get(name) {
        Some(provider) => provider,
        None if Known::find(name).is_some() => &fresh,
        None => {
            let message =
                format!("there is no provider `{name}`; `outcrop providers list` shows those there are");
            return Err(Exit::new(Code::NotFound, message));
        }
    };
    let steps = upstream::probe(name, provider, model).await;
    if json {
        let steps: Vec<Value> = steps.iter().map(step_json).collect();
        println!("{:#}", json!({"provider": name, "steps": steps}));
    } else {
        print(name, &steps);
    }
    match steps.last() {
        Some(Step { outcome: Ok(_), .. }) => Ok(()),
        // What went wrong has been said.
        Some(step) if step.name == "configuration" => Err(Exit::new(Code::Usage, "")),
        _ => Err(Exit::new(Code::Network, "")),
    }
}

fn step_json(step: &Step) -> Value {
    match &step.outcome {
        Ok(found) => json!({"step": step.name, "ok": true, "found": found}),
        Err(fault) => json!({"step": step.name, "ok": false, "why": fault.why, "advice": fault.advice}),
    }
}

fn print(name: &str, steps: &[Step]) {
    println!("{name}");
    for step in steps {
        match &step.outcome {
            Ok(found) => println!("  ok      {:<14} {found}", step.name),
            Err(fault) => {
                println!("  FAILED  {:<14} {}", step.name, fault.why);
                println!("          {:<14} {}", "", fault.advice);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_comes_first_and_once() {
        let configured: BTreeMap<String, Provider> = toml::from_str(
            "[openai]\nauth.value = 's3cret'\n[lab]\nkind = 'vllm'\nbase_url = 'http://gpu:8000/v1'",
        )
        .unwrap();
        let rows = rows(&configured).unwrap();
        assert_eq!((rows[0].name.as_str(), rows[1].name.as_str()), ("lab", "openai"));
        assert_eq!(rows[1].credential, "in the configuration");
        assert_eq!(rows.iter().filter(|row| row.name == "openai").count(), 1);
        assert_eq!(rows.len(), Known::all().len() + 1);
        assert!(rows[2..].iter().all(|row| !row.configured));
    }

    #[test]
    fn a_credential_is_told_by_its_place() {
        let told = |text: &str| credential(&toml::from_str(text).unwrap());
        assert_eq!(told("value = 's3cret'"), "in the configuration");
        assert_eq!(told("file = '/run/key'"), "file /run/key");
        assert_eq!(told("command = ['vault', 'read', 's3cret']"), "command vault");
        assert_eq!(told("scheme = 'aws'"), "AWS credential chain");
        assert_eq!(
            told("env = 'OUTCROP_TEST_UNSET'\noptional = true"),
            "OUTCROP_TEST_UNSET not set (optional)"
        );
        assert_eq!(told(""), "none");
    }
}
