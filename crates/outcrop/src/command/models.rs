//! `outcrop models`: the catalog, and what of it is here.

use catalog::{Catalog, Listed};

use crate::cli;
use crate::config::Home;
use crate::exit::{Exit, Outcome};
use crate::terminal::{size, table};

pub(crate) fn run(arguments: cli::Models) -> Outcome {
    let _logging = crate::logging::start("warn");
    let home = Home::open()?;
    let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
    let models = catalog::list(&home.models(), &catalog).map_err(Exit::failed)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&models).map_err(Exit::failed)?);
        return Ok(());
    }
    let rows: Vec<[String; 5]> = models.iter().map(row).collect();
    println!("{}", table(["ID", "STATE", "SIZE", "LICENCE", "NAME"], &rows));
    println!("\n`outcrop pull ID` fetches one; `outcrop serve --model ID` serves it.");
    Ok(())
}

fn row(model: &Listed) -> [String; 5] {
    [
        model.id.clone(),
        model.state.to_string(),
        model.size_bytes.map(size).unwrap_or_default(),
        model.license.clone().unwrap_or_default(),
        model.name.clone(),
    ]
}
