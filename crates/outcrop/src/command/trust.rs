//! `outcrop trust`: how clients come to trust this server's certificate.

use serde_json::json;
use server::tls::{Local, TRUST_VARIABLES};

use crate::cli;
use crate::config::Home;
use crate::exit::{Exit, Outcome};

pub(crate) fn run(arguments: cli::Trust) -> Outcome {
    let _logging = crate::logging::start("warn");
    let home = Home::open()?;
    let config = server::Config::default();
    let local = Local::open(&home.tls(), &config.tls_names).map_err(Exit::failed)?;
    let ca = local.ca_path().display().to_string();
    if arguments.json {
        let exports: serde_json::Map<_, _> =
            TRUST_VARIABLES.iter().map(|name| ((*name).to_owned(), json!(ca))).collect();
        println!("{:#}", json!({"ca": ca, "exports": exports}));
        return Ok(());
    }
    println!("# Clients started in this shell trust Outcrop's own certificate authority");
    println!("# (and, where the variable replaces the system's list, only that).");
    for name in TRUST_VARIABLES {
        println!("export {name}='{ca}'");
    }
    println!("# For the whole machine (Debian, Ubuntu):");
    println!(
        "#   sudo cp '{ca}' /usr/local/share/ca-certificates/outcrop.crt && sudo update-ca-certificates"
    );
    Ok(())
}
