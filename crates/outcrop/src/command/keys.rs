//! `outcrop keys`: works on the store directly, also beside a running server.

use std::time::{Duration, SystemTime};

use platform::keys::{CreatedKey, KeyError, KeyInfo, Keys, NewKey};
use serde_json::json;

use crate::cli;
use crate::cli::KeysAction;
use crate::command::block_on;
use crate::config::Home;
use crate::exit::{Code, Exit, Outcome};
use crate::terminal::table;

pub(crate) fn run(arguments: cli::Keys) -> Outcome {
    let _logging = crate::logging::start("warn");
    block_on(async {
        let keys = open(&Home::open()?).await?;
        match arguments.action {
            KeysAction::Create { name, expires, json } => create(&keys, name, expires.as_deref(), json).await,
            KeysAction::List { json } => list(&keys, json).await,
            KeysAction::Revoke { id, json } => revoke(&keys, &id, json).await,
        }
    })
}

/// Opens the keys of a data folder.
pub(crate) async fn open(home: &Home) -> Result<Keys, Exit> {
    let store = store::Store::open(home.path()).await.map_err(Exit::failed)?;
    Keys::load(store).await.map_err(Exit::failed)
}

/// The lines to paste into a shell: the only time the secrets are seen.
pub(crate) fn exports(key: &CreatedKey) -> String {
    format!(
        "export OUTCROP_API_KEY={}\nexport AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}",
        key.bearer.expose(),
        key.info.access_key_id,
        key.secret_access_key.expose()
    )
}

async fn create(keys: &Keys, name: String, expires: Option<&str>, json: bool) -> Outcome {
    let expires = expires.map(lifetime).transpose()?.map(|life| SystemTime::now() + life);
    let key = keys.create(NewKey { name, expires }).await.map_err(fail)?;
    if json {
        let mut value = serde_json::to_value(&key.info).map_err(Exit::failed)?;
        value["bearer"] = json!(key.bearer.expose());
        value["secret_access_key"] = json!(key.secret_access_key.expose());
        println!("{value:#}");
    } else {
        println!("# key {} ({}), shown only now", key.info.id, key.info.name);
        println!("{}", exports(&key));
    }
    Ok(())
}

async fn list(keys: &Keys, json: bool) -> Outcome {
    let keys = keys.list().await.map_err(fail)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&keys).map_err(Exit::failed)?);
    } else if keys.is_empty() {
        println!("no keys yet: the first `outcrop serve` makes the root key, `outcrop keys create` others");
    } else {
        let rows: Vec<[String; 6]> = keys.iter().map(row).collect();
        println!("{}", table(["ID", "NAME", "BEARER", "ACCESS KEY", "STATE", "EXPIRES"], &rows));
    }
    Ok(())
}

fn row(key: &KeyInfo) -> [String; 6] {
    let state = serde_json::to_value(key.state).ok().and_then(|state| state.as_str().map(str::to_owned));
    [
        key.id.clone(),
        key.name.clone(),
        format!("…{}", key.bearer_tail),
        key.access_key_id.clone(),
        state.unwrap_or_default(),
        key.expires.map_or("never".to_owned(), |at| at.date().to_string()),
    ]
}

async fn revoke(keys: &Keys, id: &str, json: bool) -> Outcome {
    keys.revoke(id).await.map_err(fail)?;
    if json {
        println!("{}", json!({"id": id, "state": "revoked"}));
    } else {
        println!("revoked {id}; running servers refuse it within a second");
    }
    Ok(())
}

fn fail(error: KeyError) -> Exit {
    let code = if matches!(error, KeyError::NotFound { .. }) { Code::NotFound } else { Code::Failed };
    Exit::new(code, error)
}

/// `90s`, `30m`, `12h`, `30d`.
fn lifetime(text: &str) -> Result<Duration, Exit> {
    let wrong = || Exit::usage(format!("--expires {text}: write a number and s, m, h or d, such as 30d"));
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(unit_at);
    let unit_s: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = count.parse().map_err(|_| wrong())?;
    // A century is longer than any key should live, and keeps dates printable.
    const LONGEST_S: u64 = 100 * 366 * 86_400;
    match count.checked_mul(unit_s) {
        Some(seconds @ 1..=LONGEST_S) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_units_and_bounds() {
        assert_eq!(lifetime("30d").unwrap().as_secs(), 2_592_000);
        assert_eq!(lifetime("90s").unwrap().as_secs(), 90);
        for wrong in ["", "30", "d", "-1d", "0s", "1w", "99999999999999999999d", "999999d"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
