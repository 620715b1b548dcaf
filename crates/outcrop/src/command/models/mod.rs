//! `outcrop models`: the catalog, what of it is here, and what can be done with it.

mod convert;
mod derive;
mod show;

use catalog::{Catalog, Listed};

use crate::cli::{self, ModelsAction};
use crate::config::Home;
use crate::exit::{Exit, Outcome};
use crate::terminal::{size, table};

pub(crate) use derive::{after_pull, tell};

pub(crate) fn run(arguments: cli::Models) -> Outcome {
    let _logging = crate::logging::start("warn");
    let home = Home::open()?;
    let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
    match arguments.action {
        None => list(&home, &catalog, arguments.json),
        Some(ModelsAction::Show { model, json }) => show::run(&home, &catalog, &model, json),
        Some(ModelsAction::Convert(convert)) => convert::run(&home, &convert),
        Some(ModelsAction::Derive(derive)) => derive::run(&home, &derive),
    }
}

fn list(home: &Home, catalog: &Catalog, json: bool) -> Outcome {
    let models = catalog::list(&home.models(), catalog).map_err(Exit::failed)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&models).map_err(Exit::failed)?);
        return Ok(());
    }
    let rows: Vec<[String; 5]> = models.iter().flat_map(rows).collect();
    println!("{}", table(["ID", "STATE", "SIZE", "LICENCE", "NAME"], &rows));
    println!(
        "\n`outcrop pull ID` fetches one; `outcrop serve --model ID` serves it; `outcrop models show ID` \
         tells more."
    );
    Ok(())
}

/// A model's line, and one for what was derived from it.
fn rows(model: &Listed) -> Vec<[String; 5]> {
    let own = [
        model.id.clone(),
        model.state.to_string(),
        model.size_bytes.map(size).unwrap_or_default(),
        model.license.clone().unwrap_or_default(),
        model.name.clone(),
    ];
    let derived = model.derived.as_ref().map(|derived| {
        let name = "derived from the one above, and run in its place".to_owned();
        [format!("  {}", derived.id), "ready".into(), size(derived.size_bytes), String::new(), name]
    });
    std::iter::once(own).chain(derived).collect()
}
